"""The mutants of the alert rules: what is changed in an expression, and which tests run then."""

import pytest
import yaml

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
        ("group by (b) (a)", {"group without (b) (a)", "group by () (a)"}),
        ("present_over_time(a[2s])", {"present_over_time(a[1s])", "present_over_time(a[4s])"}),
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


def test_a_rule_is_loaded_after_what_it_is_made_of_and_without_what_is_made_of_it() -> None:
    [alert] = [rule for rule in rules() if rule.name == "PartnerCenterCustomersFellBelowTarget"]
    loaded = [rule.name for rule in suite_of(alert).loaded]
    assert loaded == [
        "partner_customer_id_service:partnercenter_license_usage_target_ratio:sum_shortfall",
        "partner_source:partnercenter_source_info:other_offset1w",
        "PartnerCenterCustomersFellBelowTarget",
    ]


def test_alerts_of_the_same_name_are_loaded_together() -> None:
    [alert] = [rule for rule in rules() if str(rule) == "PartnerCenterRefreshTokenExpiresSoon critical"]
    assert len(suite_of(alert).loaded) == 2


def test_a_rule_is_tested_with_the_assertions_that_name_it() -> None:
    [recorded] = [rule for rule in rules() if rule.name == "partner_service_channel:partnercenter_licenses_sold:sum"]
    [test] = map(yaml.safe_load, suite_of(recorded).tests)
    [group] = test["tests"]
    assert [query["expr"] for query in group["promql_expr_test"]] == [recorded.name]
    assert {series["series"].partition("{")[0] for series in group["input_series"]} == {"partnercenter_licenses_sold"}
