"""How surviving mutants are recognised and compared with their list."""

import pytest

from tests.mutants import LIST, UNEXPLAINED, Mutant, differences, read_list, read_mutant, written_list

DIFF = """\
# exporter.polling.schedule.x_jitter__mutmut_3: survived
--- exporter/polling/schedule.py
+++ exporter/polling/schedule.py
@@ -1,3 +1,3 @@
 def jitter(delay_seconds: float) -> float:
     # longer at random
-    return delay_seconds + 1
+    return delay_seconds - 1
"""


@pytest.mark.parametrize(
    ("name", "function"),
    [
        ("exporter.polling.schedule.x_jitter__mutmut_3", "schedule.jitter"),
        ("exporter.polling.schedule.x__own__mutmut_12", "schedule._own"),
        ("exporter.partner_center.retry.xǁRetryPolicyǁdelay__mutmut_1", "retry.RetryPolicy.delay"),
    ],
)
def test_a_mutant_is_known_by_its_function_and_its_lines(name: str, function: str) -> None:
    lines = ("- return delay_seconds + 1", "+ return delay_seconds - 1")
    assert read_mutant(name, DIFF) == Mutant(function, lines)


def test_the_list_is_read_as_it_is_written_and_explains_every_mutant() -> None:
    text = LIST.read_text("utf-8")
    explanations = read_list(text)
    assert explanations
    assert text.endswith(written_list(explanations))
    assert [mutant for mutant, reason in explanations.items() if reason in ("", UNEXPLAINED)] == []


def test_a_survivor_without_an_explanation_and_a_listed_mutant_that_no_longer_survives_are_differences() -> None:
    explained, unexplained, missing, stale = (Mutant("retry.delay", (f"- {name}",)) for name in "abcd")
    explanations = {explained: "It only logs.", unexplained: UNEXPLAINED, stale: "It only logs."}
    assert differences([explained], {explained: "It only logs."}) == []
    assert differences([explained, unexplained, missing], explanations) == [
        f"listed in mutants.md, but no longer survives: {stale}",
        f"survives, but mutants.md does not explain why that is harmless: {unexplained}",
        f"survives, but mutants.md does not explain why that is harmless: {missing}",
    ]


@pytest.mark.parametrize(
    ("before", "after", "is_wording"),
    [
        ('remedy="check api_url"', 'remedy="XXcheck api_urlXX"', True),
        ('remedy="check API"', 'remedy="check api"', True),
        ('remedy="check api_url"', "remedy=None", False),
        ('get("Retry-After", "")', 'get("retry-after", "")', False),
        ('get("Date", "")', 'get("Date", "XXXX")', False),
        ("""f"{body.decode('utf-8')} x\"""", """f"{body.decode('UTF-8')} x\"""", False),
        ('wait + 1, "a b"', 'wait - 1, "a b"', False),
    ],
)
def test_only_a_changed_message_counts_as_wording(before: str, after: str, *, is_wording: bool) -> None:
    assert Mutant("retry.delay", (f"- {before}", f"+ {after}")).is_wording is is_wording
