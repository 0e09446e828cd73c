"""A day's file: every series, at every step, with the given labels, whole or not at all."""

from datetime import UTC, date, datetime
from pathlib import Path

import pytest
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse

from exporter.errors import StateError
from exporter.metrics.backfill import Layout, size_of_day, write_day
from exporter.metrics.exposition import families
from exporter.metrics.snapshot import Snapshot, SnapshotStore
from exporter.metrics.targets import Target
from exporter.model.rows import SourceName, UsageRow

DAY = date(2026, 3, 1)
LABELS = {"job": "partnercenter-exporter", "instance": 'a"b\\c'}


def snapshot() -> Snapshot:
    store = SnapshotStore()
    rows = (
        UsageRow('Ex{"\n}', "o365", "reseller", 0.5, active=1.0, qualified=2.0),
        UsageRow("Teams", "o365", "direct", 0.25),
    )
    store.publish("contoso", SourceName.USAGE, families("contoso", rows, (Target(ratio=0.7),)))
    return store.current


def test_every_series_has_a_sample_at_every_step_of_the_day(tmp_path: Path) -> None:
    layout = Layout(folder=tmp_path, step_seconds=240, labels=LABELS)
    assert write_day(snapshot(), DAY, layout) == 6
    text = (tmp_path / "2026-03-01.om").read_text()
    parsed = {family.name: family for family in parse(text)}  # type: ignore[no-untyped-call]  # untyped upstream
    ratio = parsed["partnercenter_license_usage_ratio"].samples
    start = datetime(2026, 3, 1, tzinfo=UTC).timestamp()
    assert {sample.labels["instance"] for sample in ratio} == {LABELS["instance"]}
    assert [float(s.timestamp) for s in ratio if s.labels["workload"] == "Teams"] == [
        start + 240 * number for number in range(360)
    ]
    assert {s.value for s in ratio if s.labels["workload"] == 'Ex{"\n}'} == {0.5}


@pytest.mark.parametrize("step", [240, 7_000, 86_400])
def test_the_size_of_a_day_is_known_before_it_is_written(tmp_path: Path, step: int) -> None:
    layout = Layout(folder=tmp_path, step_seconds=step, labels=LABELS)
    size = size_of_day(snapshot(), DAY, layout)
    counted: list[int] = []
    assert write_day(snapshot(), DAY, layout, wrote=counted.append) == size.series == 6
    assert (tmp_path / "2026-03-01.om").stat().st_size == size.size_bytes == sum(counted)


def test_without_labels_the_series_are_those_of_a_scrape(tmp_path: Path) -> None:
    write_day(snapshot(), DAY, Layout(folder=tmp_path, step_seconds=86_400, labels={}))
    lines = (tmp_path / "2026-03-01.om").read_text().splitlines()
    live = b"".join(block.plain for block in snapshot().blocks).decode().splitlines()
    assert [line.removesuffix(" 1772323200") for line in lines] == [*live, "# EOF"]


def test_a_file_that_can_not_be_written_is_an_error_with_a_remedy(tmp_path: Path) -> None:
    with pytest.raises(StateError, match="can't write"):
        write_day(snapshot(), DAY, Layout(folder=tmp_path / "missing", step_seconds=240, labels={}))
    assert list(tmp_path.iterdir()) == []
