"""Any rows in any partners: both parsers read back exactly what went in, packed or plain."""

import gzip
import math
import zlib

from hypothesis import given
from hypothesis import strategies as st

from exporter.metrics import catalogue
from exporter.metrics.exposition import Block, block, families
from exporter.metrics.snapshot import Snapshot, SnapshotStore
from exporter.metrics.targets import Target
from exporter.model.rows import DeploymentRow, SourceName, UsageRow
from exporter.web.scrape import gzipped, plain
from exporter.web.toolkit.negotiation import wants_gzip, wants_openmetrics
from tests.fixtures.exposition import read_openmetrics, read_text
from tests.property.strategies import any_text, deployment_rows, torn_text, usage_rows

Row = UsageRow | DeploymentRow
Key = tuple[str, SourceName]
Series = dict[tuple[str, tuple[str, ...]], float]

PARTNERS = st.sampled_from(["contoso", "fabrikam", "a.b-c_1"])
PUBLICATIONS = st.lists(
    st.tuples(PARTNERS, st.just(SourceName.USAGE), st.lists(usage_rows, max_size=4, unique_by=lambda row: row.key))
    | st.tuples(
        PARTNERS, st.just(SourceName.DEPLOYMENT), st.lists(deployment_rows, max_size=4, unique_by=lambda row: row.key)
    ),
    max_size=6,
)
TARGETS = [Target(ratio=0.5), Target(ratio=0.25, partner="contoso")]


def publish(publications: list[tuple[str, SourceName, list[Row]]]) -> tuple[SnapshotStore, dict[Key, list[Row]]]:
    """Publish one after the other; return the store and what must be shown."""
    store, shown = SnapshotStore(), dict[Key, list[Row]]()
    for partner, source, rows in publications:
        store.publish(partner, source, families(partner, rows, TARGETS))
        shown[partner, source] = rows
    return store, shown


def expected(shown: dict[Key, list[Row]]) -> Series:
    return {
        (metric.name, labels): float(value)
        for (partner, _), rows in shown.items()
        for metric, samples in families(partner, rows, TARGETS).items()
        for labels, value in samples
    }


def read_back(text: str, *, openmetrics: bool) -> Series:
    """Return every series; fail where a family or a series stands there twice."""
    order = {metric.name: metric.labels for metric in catalogue.DATA}
    found: Series = {}
    names: list[str] = []
    for family in (read_openmetrics if openmetrics else read_text)(text):
        names.append(family.name)
        for sample in family.samples:
            assert sample.timestamp is None
            key = (sample.name, tuple(sample.labels[name] for name in order[sample.name]))
            assert key not in found
            found[key] = sample.value
    assert len(set(names)) == len(names)
    return found


@given(PUBLICATIONS)
def test_both_parsers_read_back_exactly_what_was_published(
    publications: list[tuple[str, SourceName, list[Row]]],
) -> None:
    store, shown = publish(publications)
    text = b"".join(plain(store.current, b"")).decode()
    assert read_back(text, openmetrics=False) == expected(shown)
    assert read_back(text + "# EOF\n", openmetrics=True) == expected(shown)


@given(PUBLICATIONS)
def test_publishing_in_another_order_and_withdrawing_leave_no_trace(
    publications: list[tuple[str, SourceName, list[Row]]],
) -> None:
    store, shown = publish(publications)
    again = SnapshotStore()
    for (partner, source), rows in reversed(shown.items()):
        again.publish(partner, source, families(partner, rows, TARGETS))
    assert again.current == store.current
    for partner, source in shown:
        store.withdraw(partner, source)
    assert store.current == Snapshot()


@given(PUBLICATIONS, st.binary())
def test_gzip_unpacks_to_exactly_the_plain_bytes_of_a_snapshot(
    publications: list[tuple[str, SourceName, list[Row]]], tail: bytes
) -> None:
    current = publish(publications)[0].current
    body = b"".join(plain(current, tail))
    assert gzip.decompress(b"".join(gzipped(current, tail))) == body
    assert (current.crc, current.size) == (zlib.crc32(body[: current.size]), len(body) - len(tail))


@given(st.lists(any_text.map(block)), st.binary())
def test_any_blocks_can_be_joined_into_one_gzip_stream(blocks: list[Block], tail: bytes) -> None:
    text = b"".join(block.plain for block in blocks)
    ready = Snapshot(tuple(blocks), zlib.crc32(text), len(text))
    unpacker = zlib.decompressobj(wbits=31)
    assert unpacker.decompress(b"".join(gzipped(ready, tail))) == text + tail
    assert unpacker.eof
    assert unpacker.unused_data == b""


@given(torn_text)
def test_no_header_of_a_scrape_breaks_the_negotiation(header: str) -> None:
    assert wants_openmetrics(header) in (True, False)
    assert wants_gzip(header) in (True, False)


@given(st.floats(0, 1), st.floats(0, 1))
def test_of_the_two_formats_the_preferred_one_is_chosen(openmetrics: float, text: float) -> None:
    accept = f"application/openmetrics-text;version=1.0.0;q={openmetrics:.3f},text/plain;q={text:.3f}"
    wanted = round(openmetrics, 3) >= round(text, 3) and round(openmetrics, 3) > 0
    assert wants_openmetrics(accept) == wanted or math.isclose(openmetrics, text, abs_tol=0.001)
