"""The mutants of the alert rules: what is changed in an expression, and which tests run then."""

import pytest

from tests.rule_mutants import changes, mutants_of, suite_of
from tests.support.rules import rules


@pytest.mark.parametrize(
    ("expr", "mutants"),
    [
        ("a > 0", {"a >= 0", "a < 0", "a > 1", "a > -1"}),
        (
            "a == 7 * 86400",
            {"a != 7 * 86400", "a == 6 * 86400", "a == 8 * 86400", "a == 7 / 86400"}
            | {"a == 7 * 77760", "a == 7 * 95040"},
        ),
        ("a >= 0.1", {"a > 0.1", "a < 0.1", "a >= 0.09", "a >= 0.11"}),
        ("a and on (b, c) d", {"a unless on (b, c) d", "a and ignoring (b, c) d", "a and on (c) d", "a and on (b) d"}),
        ("max by (b) (a)", {"min by (b) (a)", "max without (b) (a)", "max by () (a)"}),
        ('a{b="c", d!~"e"}', {'a{d!~"e"}', 'a{b="c"}', 'a{b!="c", d!~"e"}', 'a{b="c", d=~"e"}'}),
        (
            "last_over_time(a[6h:5m] offset 1w)",
            {"max_over_time(a[6h:5m] offset 1w)", "min_over_time(a[6h:5m] offset 1w)"}
            | {f"last_over_time(a[{window}:5m] offset 1w)" for window in ("10800s", "43200s")}
            | {f"last_over_time(a[6h:5m] offset {offset})" for offset in ("302400s", "1209600s")},
        ),
        (
            "a > on (b) group_left () c",
            {"a >= on (b) group_left () c", "a < on (b) group_left () c"}
            | {"a > ignoring (b) group_left () c", "a > on () group_left () c", "a > on (b)  c"},
        ),
        (
            'label_replace(a, "b", "c", "", "")',
            {'label_replace(a, "xb", "c", "", "")', 'label_replace(a, "b", "xc", "", "")'},
        ),
    ],
)
def test_an_expression_is_changed_in_each_place(expr: str, mutants: set[str]) -> None:
    assert {expr[:start] + text + expr[end:] for start, end, text in changes(expr)} == mutants


def test_waits_and_labels_are_changed_too() -> None:
    [rule] = [rule for rule in rules() if rule.name == "PartnerCenterStateNotWritable"]
    lines = {mutant.lines for mutant, _ in mutants_of(rule)}
    assert {("- for: 15m", "+ for: 450s"), ("- for: 15m", "+ for: 1800s"), ("- for: 15m",)} <= lines
    assert ("- keep_firing_for: 15m",) in lines
    assert ("- severity: warning",) in lines


def test_a_rule_is_tested_with_what_it_is_made_of_and_what_is_made_of_it() -> None:
    [recorded] = [rule for rule in rules() if rule.name.endswith(":overdue")]
    loaded = {rule.name for rule in suite_of(recorded).loaded}
    assert {"PartnerCenterPollsFailing", "PartnerCenterThrottled"} <= loaded
    assert "partner_source_reason:partnercenter_poll_failures_total:increase" in loaded
    assert "PartnerCenterRowsDropped" not in loaded
