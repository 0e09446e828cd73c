"""Counts of customers and products, and their names, beside everything else."""

from exporter.metrics import catalogue
from exporter.metrics.breakdown import RenderedBreakdown, render_breakdown
from exporter.metrics.exposition import families
from exporter.metrics.snapshot import Snapshot, SnapshotStore
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
