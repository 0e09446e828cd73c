"""Counts of customers and products, and their names, beside everything else."""

import pytest

from exporter.metrics import catalogue
from exporter.metrics.breakdown import RenderedBreakdown, render_breakdown, series_of_customers
from exporter.metrics.exposition import families
from exporter.metrics.snapshot import Snapshot, SnapshotStore
from exporter.metrics.targets import CustomerSeries
from exporter.model.rows import DeploymentRow, SourceName, UsageRow
from exporter.model.totals import Breakdown, Names, Sums, Total
from exporter.web.scrape import plain
from tests.fixtures.exposition import read_text

ROW = UsageRow("Exchange", "o365", "reseller", 0.5, None, 5.0, 10.0)
CUSTOMERS: Names = {"A1": (1.0, "Adatum")}


LABELS = ("workload", "service", "channel", "customer_id")


def breakdown(customers: int, names: dict[str, Names]) -> Breakdown:
    sums: Sums = {
        ("Exchange", "o365", "reseller", f"C{number}"): Total(float(number), 10.0 if number else None)
        for number in range(customers)
    }
    return Breakdown(LABELS, sums, names)


def series(store: SnapshotStore) -> dict[str, list[dict[str, str]]]:
    text = b"".join(plain(store.current, b"")).decode()
    return {family.name: [sample.labels for sample in family.samples] for family in read_text(text)}


def published(names: dict[str, dict[str, Names]]) -> SnapshotStore:
    """Return a store where both sources of one partner know these names, by source."""
    store = SnapshotStore()
    for source, known in names.items():
        row = ROW if source == "usage" else DeploymentRow("o365", "reseller", 0.5)
        store.publish("contoso", row.SOURCE, families("contoso", [row], []), RenderedBreakdown({}, known))
    return store


def test_counts_with_detail_stand_for_those_without() -> None:
    store = SnapshotStore()
    ready = render_breakdown("contoso", SourceName.USAGE, breakdown(3_001, {"customer_id": CUSTOMERS}))
    store.publish("contoso", SourceName.USAGE, families("contoso", [ROW], []), ready)
    found = series(store)
    active = found["partnercenter_licenses_active"]
    assert len(active) == 3_001
    assert active[0].keys() == {"partner", "workload", "service", "channel", "customer_id"}
    # The value that the API did not give is no sample.
    assert len(found["partnercenter_licenses_qualified"]) == 3_000
    assert found["partnercenter_license_usage_ratio"] == [
        {"partner": "contoso", "workload": "Exchange", "service": "o365", "channel": "reseller"}
    ]


def test_the_counts_are_drained_so_that_they_are_held_once() -> None:
    drained = breakdown(10, {})
    render_breakdown("contoso", SourceName.USAGE, drained)
    assert len(drained.sums) == 0


def test_label_values_are_escaped() -> None:
    odd = Breakdown(LABELS, {('a"b\n', "100 %s", "\\", "C1"): Total(1.0)}, {})
    ready = render_breakdown("con%toso", SourceName.USAGE, odd)
    assert ready is not None
    assert ready.blocks[catalogue.LICENSES_ACTIVE][0].plain == (
        b'partnercenter_licenses_active{partner="con%toso",workload="a\\"b\\n",service="100 %s",'
        b'channel="\\\\",customer_id="C1"} 1.0\n'
    )
    assert ready.blocks[catalogue.LICENSES_QUALIFIED] == ()


ODD = ('c"1\\', "two\nlines", 'x,customer_id="c1"', "back\\", "Überblick 概要", "\\n", "c1")


@pytest.mark.parametrize("product", [(), ("P1",), ('",customer_id="c1"',)])
def test_a_customers_series_are_found_again_whatever_the_labels_are(product: tuple[str, ...]) -> None:
    labels = LABELS + ("product_id",) * len(product)
    sums: Sums = {(odd, "o365", odd[::-1], odd, *product): Total(1.0, 10.0) for odd in ODD}
    ready = render_breakdown("con,customer_id=toso", SourceName.USAGE, Breakdown(labels, sums, {}))
    for odd in ODD:
        assert series_of_customers(ready, {odd, "c2"}) == (CustomerSeries(odd, (odd, "o365", odd[::-1])),)
    assert len(series_of_customers(ready, set(ODD))) == len(ODD)


def test_a_customers_series_is_one_for_all_products_and_none_where_no_licence_qualifies() -> None:
    key = ("Exchange", "o365", "reseller")
    sums: Sums = {
        (*key, "c1", "P1"): Total(1.0, 10.0),
        (*key, "c1", "P2"): Total(1.0, 5.0),
        (*key, "c2", "P1"): Total(0.0, 0.0),
        (*key, "c3", "P1"): Total(1.0, None),
    }
    ready = render_breakdown("contoso", SourceName.USAGE, Breakdown((*LABELS, "product_id"), sums, {}))
    assert series_of_customers(ready, {"c1", "c2", "c3", "c4"}) == (CustomerSeries("c1", key),)


def test_without_customers_there_are_no_series_of_customers() -> None:
    products = Breakdown((*LABELS[:3], "product_id"), {("Exchange", "o365", "reseller", "c1"): Total(1.0, 10.0)}, {})
    assert series_of_customers(render_breakdown("contoso", SourceName.USAGE, products), {"c1"}) == ()
    assert series_of_customers(None, {"c1"}) == ()


def test_a_customer_is_found_in_every_block() -> None:
    ready = render_breakdown("contoso", SourceName.USAGE, breakdown(3_001, {}))
    found = series_of_customers(ready, {f"C{number}" for number in range(0, 3_001, 500)})
    assert sorted(series.customer for series in found) == ["C1000", "C1500", "C2000", "C2500", "C3000", "C500"]


def test_a_name_that_both_sources_know_is_shown_once_and_the_newest_wins() -> None:
    old: Names = {"A1": (1.0, "Adatum"), "B2": (9.0, "Blue Yonder Airlines")}
    new: Names = {"A1": (2.0, "Adatum Corp"), "B2": (8.0, "Blue Yonder")}
    for sources in (("usage", "deployment"), ("deployment", "usage")):
        store = published(dict(zip(sources, ({"customer_id": old}, {"customer_id": new}), strict=True)))
        named = series(store)["partnercenter_customer_info"]
        assert sorted((labels["customer_id"], labels["customer_name"]) for labels in named) == [
            ("A1", "Adatum Corp"),
            ("B2", "Blue Yonder Airlines"),
        ]


def test_names_go_with_the_last_source_that_knows_them() -> None:
    store = published({"usage": {"customer_id": CUSTOMERS}, "deployment": {"customer_id": CUSTOMERS}})
    store.withdraw("contoso", SourceName.USAGE)
    assert len(series(store)["partnercenter_customer_info"]) == 1
    store.withdraw("contoso", SourceName.DEPLOYMENT)
    assert store.current == Snapshot()


def test_partners_names_do_not_mix() -> None:
    store = published({"usage": {"product_id": {"P1": (1.0, "Business")}}})
    store.publish("fabrikam", SourceName.USAGE, {}, RenderedBreakdown({}, {"product_id": {"P1": (2.0, "Enterprise")}}))
    named = series(store)["partnercenter_product_info"]
    assert [(labels["partner"], labels["product_name"]) for labels in named] == [
        ("contoso", "Business"),
        ("fabrikam", "Enterprise"),
    ]
