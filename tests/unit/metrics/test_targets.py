"""Which target a series has."""

import itertools
from collections.abc import Sequence

import pytest

from exporter.metrics.targets import Target, target_of, unmatched
from exporter.model.rows import DeploymentRow, UsageRow

SERIES = ("contoso", "Exchange", "o365", "reseller")
ROW = UsageRow("Exchange", "o365", "reseller", 0.5)


def target(selected: Sequence[bool]) -> Target:
    """Return a target that names these labels of the series."""
    names = ("partner", "workload", "service", "channel")
    wanted = zip(names, SERIES, selected, strict=True)
    return Target(ratio=0.5, **{name: value for name, value, named in wanted if named})


def test_of_all_that_match_the_most_specific_wins_partner_before_workload_before_service_before_channel() -> None:
    every = [target(named) for named in itertools.product([False, True], repeat=4)]
    by_weight = sorted(
        every, key=lambda t: [value is not None for value in (t.partner, t.workload, t.service, t.channel)]
    )
    for weaker, stronger in itertools.combinations(by_weight, 2):
        assert target_of([weaker, stronger], "contoso", ROW) is stronger
        assert target_of([stronger, weaker], "contoso", ROW) is stronger


def test_naming_the_partner_beats_naming_all_the_rest() -> None:
    rest = Target(ratio=0.1, workload="Exchange", service="o365", channel="reseller")
    partner = Target(ratio=0.9, partner="contoso")
    assert target_of([rest, partner], "contoso", ROW) == partner


@pytest.mark.parametrize(
    "other",
    [
        Target(ratio=0.5, partner="fabrikam"),
        Target(ratio=0.5, workload="exchange"),
        Target(ratio=0.5, service="crm"),
        Target(ratio=0.5, channel="direct"),
        Target(ratio=0.5, partner="contoso", channel="direct"),
    ],
)
def test_a_target_of_another_series_does_not_match(other: Target) -> None:
    assert target_of([other], "contoso", ROW) is None
    assert unmatched([other, Target(ratio=0.5)], [("contoso", ROW)]) == (other,)


def test_a_target_of_the_partner_alone_matches_its_series() -> None:
    assert unmatched([Target(ratio=0.5, partner="contoso")], [("contoso", ROW)]) == ()


def test_a_target_for_everything_matches_everything() -> None:
    assert target_of([Target(ratio=0.5)], "contoso", ROW) == Target(ratio=0.5)
    assert unmatched([Target(ratio=0.5)], [("contoso", ROW)]) == ()


def test_a_target_that_a_more_specific_one_hides_still_matches() -> None:
    hidden = Target(ratio=0.5)
    assert unmatched([hidden, Target(ratio=0.7, workload="Exchange")], iter([("contoso", ROW)])) == ()


def test_without_series_every_target_matches_nothing() -> None:
    assert unmatched([Target(ratio=0.5)], []) == (Target(ratio=0.5),)


def test_a_target_is_for_usage_only() -> None:
    deployment = DeploymentRow("o365", "reseller", 0.5)
    assert target_of([Target(ratio=0.5)], "contoso", deployment) is None
    assert unmatched([Target(ratio=0.5)], [("contoso", deployment)]) == (Target(ratio=0.5),)


def test_a_target_is_described_in_plain_text() -> None:
    assert str(Target(ratio=0.5)) == "0.5 for everything"
    assert str(Target(ratio=0.75, partner="contoso", workload="Exchange")) == (
        "0.75 for partner='contoso', workload='Exchange'"
    )
    assert str(Target(ratio=1.0, service="o365", channel="direct")) == "1 for service='o365', channel='direct'"


def test_a_target_is_compared_with_all_four_labels_of_a_series_or_not_at_all() -> None:
    with pytest.raises(ValueError, match="zip"):
        Target(ratio=0.5).matches(("contoso", "Exchange", "o365"))
