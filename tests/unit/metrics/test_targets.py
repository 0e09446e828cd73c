"""Which target a series has."""

import itertools
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.metrics.targets import CustomerSeries, Target, Targets, unmatched
from exporter.model.rows import DeploymentRow, Row, UsageRow

NAMES = ("customer", "partner", "workload", "service", "channel")
SERIES = ("c1", "contoso", "Exchange", "o365", "reseller")
CUSTOMER = CustomerSeries("c1", ("Exchange", "o365", "reseller"))
ROW = UsageRow("Exchange", "o365", "reseller", 0.5)


def target(selected: Sequence[bool]) -> Target:
    """Return a target that names these labels of the series."""
    wanted = zip(NAMES, SERIES, selected, strict=True)
    return Target(ratio=0.5, **{name: value for name, value, named in wanted if named})


def _weight(target: Target) -> list[bool]:
    return [getattr(target, name) is not None for name in NAMES]


def without(targets: Sequence[Target], *rows: Row) -> tuple[Target, ...]:
    """Return the targets that match no series of these rows."""
    return unmatched(targets, Targets(targets).used("contoso", rows))


def test_of_all_that_match_the_most_specific_wins_partner_before_workload_before_service_before_channel() -> None:
    every = [target((False, *named)) for named in itertools.product([False, True], repeat=4)]
    for weaker, stronger in itertools.combinations(sorted(every, key=_weight), 2):
        assert Targets([weaker, stronger]).of("contoso", ROW) is stronger
        assert Targets([stronger, weaker]).of("contoso", ROW) is stronger


def test_naming_the_partner_beats_naming_all_the_rest() -> None:
    rest = Target(ratio=0.1, workload="Exchange", service="o365", channel="reseller")
    partner = Target(ratio=0.9, partner="contoso")
    assert Targets([rest, partner]).of("contoso", ROW) == partner


def test_of_all_that_name_the_customer_the_most_specific_wins() -> None:
    every = [target((True, *named)) for named in itertools.product([False, True], repeat=4)]
    for weaker, stronger in itertools.combinations(sorted(every, key=_weight), 2):
        assert Targets([weaker, stronger]).of_customer("contoso", CUSTOMER) is stronger
        assert Targets([stronger, weaker]).of_customer("contoso", CUSTOMER) is stronger


def test_naming_the_customer_beats_naming_all_the_rest() -> None:
    rest = Target(ratio=0.1, partner="contoso", workload="Exchange", service="o365", channel="reseller")
    customer = Target(ratio=0.9, customer="c1")
    index = Targets([rest, customer])
    assert index.of_customer("contoso", CUSTOMER) == customer
    assert index.of("contoso", ROW) == rest


def test_a_customer_that_no_target_names_has_none_of_its_own() -> None:
    index = Targets([Target(ratio=0.5), Target(ratio=0.9, customer="c2"), target((True, True, False, False, False))])
    assert index.customers == {"c1", "c2"}
    assert index.of_customer("contoso", CustomerSeries("c3", CUSTOMER.key)) is None
    assert index.of_customer("fabrikam", CUSTOMER) is None


def test_a_target_of_a_customer_matches_by_that_customers_series_alone() -> None:
    named, common = Target(ratio=0.9, customer="c1", workload="Exchange"), Target(ratio=0.5)
    index = Targets([named, common])
    assert index.used("contoso", [ROW]) == {common}
    assert index.used("contoso", [ROW], [CUSTOMER]) == {named, common}
    assert index.used("contoso", [], [CustomerSeries("c1", ("Teams", "o365", "reseller"))]) == set()


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
    assert Targets([other]).of("contoso", ROW) is None
    assert without([other, Target(ratio=0.5)], ROW) == (other,)


def test_a_target_of_the_partner_alone_matches_its_series() -> None:
    assert without([Target(ratio=0.5, partner="contoso")], ROW) == ()


def test_a_target_for_everything_matches_everything() -> None:
    assert Targets([Target(ratio=0.5)]).of("contoso", ROW) == Target(ratio=0.5)
    assert without([Target(ratio=0.5)], ROW) == ()


def test_a_target_that_a_more_specific_one_hides_still_matches() -> None:
    hidden = Target(ratio=0.5)
    assert without([hidden, Target(ratio=0.7, workload="Exchange")], ROW) == ()


def test_without_series_every_target_matches_nothing() -> None:
    assert without([Target(ratio=0.5)]) == (Target(ratio=0.5),)


def test_a_target_is_for_usage_only() -> None:
    deployment = DeploymentRow("o365", "reseller", 0.5)
    assert Targets([Target(ratio=0.5)]).of("contoso", deployment) is None
    assert without([Target(ratio=0.5)], deployment) == (Target(ratio=0.5),)


def test_a_target_is_described_in_plain_text() -> None:
    assert str(Target(ratio=0.5)) == "0.5 for everything"
    assert str(Target(ratio=0.75, partner="contoso", workload="Exchange")) == (
        "0.75 for partner='contoso', workload='Exchange'"
    )
    assert str(Target(ratio=0.9, customer="c1", partner="contoso")) == "0.9 for customer='c1', partner='contoso'"
    assert str(Target(ratio=1.0, service="o365", channel="direct")) == "1 for service='o365', channel='direct'"


words = st.sampled_from(["a", "b", "c"])
targets = st.lists(
    st.builds(Target, ratio=st.just(0.5), **dict.fromkeys(NAMES, st.none() | words)), unique=True, max_size=30
)
rows = st.lists(st.builds(UsageRow, words, words, words), max_size=10)
customers = st.lists(st.builds(CustomerSeries, words, st.tuples(words, words, words)), max_size=10)


def strongest_of(matching: Sequence[Target]) -> Target | None:
    return max(matching, key=_weight, default=None)


@given(targets, rows, customers)
def test_a_lookup_finds_what_a_comparison_of_every_target_with_every_series_would(
    given_targets: list[Target], given_rows: list[UsageRow], given_customers: list[CustomerSeries]
) -> None:
    found = Targets(given_targets)
    used = set()
    for row in given_rows:
        series = dict(zip(NAMES, (None, "a", *row.key), strict=True))
        matching = [t for t in given_targets if all(getattr(t, name) in (None, series[name]) for name in NAMES)]
        assert found.of("a", row) is strongest_of(matching)
        used |= set(matching)
    for customer in given_customers:
        series = dict(zip(NAMES, (customer.customer, "a", *customer.key), strict=True))
        matching = [t for t in given_targets if t.customer and all(getattr(t, n) in (None, series[n]) for n in NAMES)]
        assert found.of_customer("a", customer) is strongest_of(matching)
        used |= set(matching)
    assert found.used("a", given_rows, given_customers) == used
