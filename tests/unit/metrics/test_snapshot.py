"""What partners and sources publish, joined into one exposition."""

import gzip
import zlib

from prometheus_client import Metric

from exporter.metrics import catalogue
from exporter.metrics.exposition import families
from exporter.metrics.snapshot import Snapshot, SnapshotStore
from exporter.model.rows import DeploymentRow, SourceName, UsageRow
from exporter.web.scrape import gzipped
from tests.fixtures.exposition import read_text


def usage(*workloads: str, ratio: float = 0.5) -> tuple[UsageRow, ...]:
    return tuple(UsageRow(name, "o365", "reseller", ratio, 1489104000.0) for name in workloads)


DEPLOYMENT = (DeploymentRow("o365", "reseller", 0.9, 10.0, 1489104000.0),)


def publish(store: SnapshotStore, partner: str, rows: tuple[UsageRow | DeploymentRow, ...]) -> None:
    store.publish(partner, rows[0].SOURCE, families(partner, rows, []))


def text_of(snapshot: Snapshot) -> str:
    return b"".join(block.plain for block in snapshot.blocks).decode()


def read(store: SnapshotStore) -> dict[str, Metric]:
    return {family.name: family for family in read_text(text_of(store.current))}


def test_before_the_first_poll_there_are_no_series() -> None:
    assert SnapshotStore().current == Snapshot((), 0, 0)


def test_several_partners_and_sources_become_one_exposition_with_each_family_once() -> None:
    store = SnapshotStore()
    for partner in ("fabrikam", "contoso", "tailspin"):
        publish(store, partner, usage("Exchange", "Teams"))
        publish(store, partner, DEPLOYMENT)
    text = text_of(store.current)
    assert text.count("# TYPE partnercenter_license_usage_ratio gauge\n") == 1
    samples = [
        (s.labels["partner"], s.labels["workload"]) for s in read(store)["partnercenter_license_usage_ratio"].samples
    ]
    assert samples == [(p, w) for p in ("contoso", "fabrikam", "tailspin") for w in ("Exchange", "Teams")]
    assert len(read(store)["partnercenter_licenses_sold"].samples) == 3


def test_families_stand_in_the_catalogues_order_and_none_is_empty() -> None:
    store = SnapshotStore()
    publish(store, "contoso", DEPLOYMENT)
    publish(store, "contoso", usage("Exchange"))
    given = {*families("contoso", usage("Exchange"), []), *families("contoso", DEPLOYMENT, [])}
    wanted = [m.name for m in catalogue.DATA if m in given]
    assert list(read(store)) == wanted
    assert all(family.samples for family in read(store).values())


def test_publishing_again_replaces_all_series_of_that_partners_source() -> None:
    store = SnapshotStore()
    publish(store, "contoso", usage("Exchange", "Teams"))
    publish(store, "fabrikam", usage("Exchange"))
    publish(store, "contoso", usage("Yammer"))
    samples = read(store)["partnercenter_license_usage_ratio"].samples
    assert [(s.labels["partner"], s.labels["workload"]) for s in samples] == [
        ("contoso", "Yammer"),
        ("fabrikam", "Exchange"),
    ]


def test_withdrawing_removes_all_of_a_source_and_nothing_else() -> None:
    store = SnapshotStore()
    publish(store, "fabrikam", usage("Exchange"))
    before = text_of(store.current)
    publish(store, "contoso", usage("Exchange"))
    publish(store, "contoso", DEPLOYMENT)
    store.withdraw("contoso", SourceName.USAGE)
    store.withdraw("contoso", SourceName.DEPLOYMENT)
    assert text_of(store.current) == before
    store.withdraw("fabrikam", SourceName.USAGE)
    assert store.current == Snapshot((), 0, 0)


def test_an_answer_without_rows_leaves_nothing_behind() -> None:
    store = SnapshotStore()
    publish(store, "contoso", usage("Exchange"))
    store.publish("contoso", SourceName.USAGE, {})
    assert store.current == Snapshot((), 0, 0)


def test_withdrawing_what_was_never_published_changes_nothing() -> None:
    store = SnapshotStore()
    publish(store, "contoso", usage("Exchange"))
    before = store.current
    store.withdraw("contoso", SourceName.DEPLOYMENT)
    store.withdraw("fabrikam", SourceName.USAGE)
    assert store.current == before


def test_a_snapshot_that_a_scrape_holds_does_not_change_under_it() -> None:
    store = SnapshotStore()
    publish(store, "contoso", usage("Exchange"))
    scraped = store.current
    text = text_of(scraped)
    publish(store, "contoso", usage("Teams"))
    assert text_of(scraped) == text


def test_checksum_and_size_are_those_of_the_plain_bytes() -> None:
    store = SnapshotStore()
    publish(store, "contoso", usage(*(f"workload {n}" for n in range(1_000))))
    publish(store, "fabrikam", DEPLOYMENT)
    plain = text_of(store.current).encode()
    assert (store.current.crc, store.current.size) == (zlib.crc32(plain), len(plain))


def test_the_ready_deflate_of_every_block_contains_the_plain_bytes() -> None:
    store = SnapshotStore()
    publish(store, "contoso", usage("Exchange"))
    publish(store, "fabrikam", usage("Überblick\n"))
    for block in store.current.blocks:
        assert zlib.decompressobj(-zlib.MAX_WBITS).decompress(block.deflated) == block.plain
    assert gzip.decompress(b"".join(gzipped(store.current, b""))) == text_of(store.current).encode()
