"""Rendered counts on disk: they come back as they were, or not at all."""

import zlib
from dataclasses import replace
from pathlib import Path

import pytest

from exporter.files import StateDirectory
from exporter.logs import get_logger
from exporter.metrics.breakdown import RenderedBreakdown, render_breakdown
from exporter.metrics.catalogue import broken_down
from exporter.metrics.exposition import Block
from exporter.model.rows import SourceName, UsageRow
from exporter.model.totals import Breakdown, Sums, Total
from exporter.polling.state import FetchedData, SourceState
from tests.support.logs import LogStream
from tests.support.plan import plan

ROWS = (UsageRow("Exchange", "o365", "reseller", 0.5, 1489104000.0, 5.0, 10.0),)
FILE = "data/contoso.usage.json"


def state_of(root: Path, partner: str = "contoso") -> SourceState:
    return SourceState(StateDirectory(root), plan(partner=partner), get_logger())


@pytest.fixture
def rendered() -> RenderedBreakdown:
    """Counts in three blocks a metric."""
    labels = ("workload", "service", "channel", "customer_id")
    sums: Sums = {("Exchange", "o365", "reseller", f"C{number}"): Total(float(number), 10.0) for number in range(4_000)}
    names = {"customer_id": {"C1": (1489104000.0, 'A "name"\n')}}
    result = render_breakdown("contoso", SourceName.USAGE, Breakdown(labels, sums, names))
    assert result is not None
    return result


def test_ready_counts_come_back_byte_for_byte(tmp_path: Path, rendered: RenderedBreakdown) -> None:
    state_of(tmp_path).save_data(FetchedData(5.0, ROWS, rendered))
    assert state_of(tmp_path).load_data() == FetchedData(5.0, ROWS, rendered)


@pytest.mark.parametrize("place", [-1, -50, -5_000])
def test_one_wrong_byte_is_noticed(
    tmp_path: Path, rendered: RenderedBreakdown, place: int, log_stream: LogStream
) -> None:
    state_of(tmp_path).save_data(FetchedData(5.0, ROWS, rendered))
    content = bytearray((tmp_path / FILE).read_bytes())
    content[place] ^= 1
    (tmp_path / FILE).write_bytes(content)
    assert state_of(tmp_path).load_data() is None
    assert len(log_stream.of("ignoring saved state")) == 1


@pytest.mark.parametrize("cut", [1, 1_000])
def test_a_file_that_is_cut_off_or_too_long_is_noticed(tmp_path: Path, rendered: RenderedBreakdown, cut: int) -> None:
    state_of(tmp_path).save_data(FetchedData(5.0, ROWS, rendered))
    content = (tmp_path / FILE).read_bytes()
    for changed in (content[:-cut], content + bytes(cut)):
        (tmp_path / FILE).write_bytes(changed)
        assert state_of(tmp_path).load_data() is None


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (b'"customer_id"', b'"customer_no"'),
        (b'"checksum":', b'"checksum":1'),
        (b'"lengths":[[', b'"lengths":[[0,'),
        (b'"lengths":[[', b'"lengths":[[-1,1,'),
        (b'"C1":[', b'"":['),
        (b'"C1":[1489104000.0', b'"C1":[-1'),
    ],
)
def test_a_head_that_does_not_match_is_noticed(
    tmp_path: Path, rendered: RenderedBreakdown, old: bytes, new: bytes
) -> None:
    state_of(tmp_path).save_data(FetchedData(5.0, ROWS, rendered))
    content = (tmp_path / FILE).read_bytes()
    assert old in content
    (tmp_path / FILE).write_bytes(content.replace(old, new))
    assert state_of(tmp_path).load_data() is None


def test_another_partners_counts_are_not_used_under_a_new_name(tmp_path: Path, rendered: RenderedBreakdown) -> None:
    state_of(tmp_path).save_data(FetchedData(5.0, ROWS, rendered))
    (tmp_path / FILE).rename(tmp_path / "data/fabrikam.usage.json")
    assert state_of(tmp_path, "fabrikam").load_data() is None


def deflate_bomb(size: int) -> bytes:
    """Return a block that becomes this many bytes."""
    compressor = zlib.compressobj(9, zlib.DEFLATED, -zlib.MAX_WBITS)
    return compressor.compress(bytes(size)) + compressor.flush(zlib.Z_FULL_FLUSH)


def test_a_block_that_inflates_without_end_is_not_used(tmp_path: Path, log_stream: LogStream) -> None:
    bomb = Block(b"", deflate_bomb(64 * 1024 * 1024))
    part, whole = broken_down(SourceName.USAGE)
    rendered = RenderedBreakdown({part: (bomb,), whole: (bomb,)}, {})
    state_of(tmp_path).save_data(FetchedData(5.0, ROWS, rendered))
    assert state_of(tmp_path).load_data() is None
    [entry] = log_stream.of("ignoring saved state")
    assert "too large" in entry["error"]


@pytest.mark.parametrize("names", [{"C" * 1_001: (1.0, "n")}, {"C": (1.0, "n" * 1_001)}, {"C": (1e308, "n")}])
def test_names_out_of_range_are_not_used(
    tmp_path: Path, rendered: RenderedBreakdown, names: dict[str, tuple[float, str]]
) -> None:
    state_of(tmp_path).save_data(FetchedData(5.0, ROWS, replace(rendered, names={"customer_id": names})))
    assert state_of(tmp_path).load_data() is None
