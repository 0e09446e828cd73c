"""`backfill`: past days as files, and as blocks of a real Prometheus next to what it scrapes."""

import math
import stat
import subprocess
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx
import pytest
import yaml

from partnercenter_simulator import Fault, Simulator
from tests.e2e.conftest import Ended, Run, program, start
from tests.support.config import write_config
from tests.support.planted import PLANTED
from tests.support.process import until
from tests.support.prometheus import prometheus

COMMERCIAL = {"usage": {"api": "commercial"}, "deployment": {"api": "commercial"}}
Backfill = Callable[..., Ended]


def ago(days: int) -> str:
    return (datetime.now(UTC) - timedelta(days=days)).date().isoformat()


@pytest.fixture
def file(simulator: Simulator, tmp_path: Path) -> Path:
    return write_config(tmp_path, simulator, sources=COMMERCIAL, targets=[{"ratio": 0.5}])


@pytest.fixture
def backfill(run_here: Run, file: Path, tmp_path: Path) -> Backfill:
    """Return a function that runs the command for the days given as days ago."""

    def call(first: int, last: int, *flags: str) -> Ended:
        output = tmp_path / "past"
        return run_here(
            "backfill", f"--config.file={file}", f"--from={ago(first)}", f"--to={ago(last)}",
            f"--output={output}", *flags,
        )  # fmt: skip

    return call


def files(folder: Path) -> list[str]:
    return sorted(file.name for file in (folder / "past").iterdir())


def test_each_day_is_a_file_and_a_second_run_resumes(backfill: Backfill, simulator: Simulator, tmp_path: Path) -> None:
    simulator.faults.add(Fault(kind="status", status=403, endpoint="usage", skip=1, times=1))
    stopped = backfill(12, 10)
    assert stopped.status == 1
    assert f"{ago(11)}, usage of contoso" in stopped.stderr
    assert "fix: " in stopped.stderr
    assert files(tmp_path) == [f"{ago(12)}.om"]
    ended = backfill(12, 10)
    assert ended.status == 0
    assert f"{ago(12)}: already exists, skipped" in ended.stderr
    assert files(tmp_path) == [f"{ago(days)}.om" for days in (12, 11, 10)]
    asked = [request.query["processedDateTime"] for request in simulator.requests.of("deployment")]
    assert asked == [ago(12), ago(11), ago(10)]


@pytest.mark.parametrize("plant", PLANTED)
def test_only_a_file_of_this_user_counts_as_a_day_and_anything_else_is_replaced(
    backfill: Backfill, tmp_path: Path, plant: Callable[[Path], None]
) -> None:
    (tmp_path / "elsewhere").write_bytes(b"precious")
    (tmp_path / "past").mkdir()
    day = tmp_path / "past" / f"{ago(12)}.om"
    plant(day)
    assert backfill(12, 12).status == 0
    assert day.read_bytes().endswith(b"# EOF\n")
    assert (stat.S_ISREG(day.lstat().st_mode), stat.S_IMODE(day.lstat().st_mode)) == (True, 0o600)
    assert (tmp_path / "elsewhere").read_bytes() == b"precious"


def test_a_folder_that_everyone_can_write_to_is_refused_before_anything_is_asked(
    backfill: Backfill, simulator: Simulator, tmp_path: Path
) -> None:
    (tmp_path / "past").mkdir()
    (tmp_path / "past").chmod(0o777)
    ended = backfill(12, 12)
    assert ended.status == 1
    assert f"{tmp_path / 'past'} is not used: it is world-writable" in ended.stderr
    assert "chmod o-rwx" in ended.stderr
    assert simulator.requests.count() == 0
    assert files(tmp_path) == []


def test_a_day_without_data_has_no_file(backfill: Backfill, simulator: Simulator, tmp_path: Path) -> None:
    simulator.faults.add(Fault(kind="empty_rows", endpoint="usage", times=1))
    ended = backfill(12, 12, "--source=usage")
    assert (ended.status, files(tmp_path)) == (0, [])
    assert f"{ago(12)}: no data, no file written" in ended.stderr


def test_an_api_that_ignores_the_day_writes_nothing(backfill: Backfill, simulator: Simulator, tmp_path: Path) -> None:
    row = {
        "processedDateTime": f"{ago(4)}T00:00:00", "workloadName": "Teams", "serviceCode": "o365",
        "channel": "reseller", "licensesActive": 1, "licensesQualified": 2,
    }  # fmt: skip
    simulator.faults.add(Fault(kind="rows", endpoint="usage", rows=[row]))
    ended = backfill(12, 12)
    assert (ended.status, files(tmp_path)) == (1, [])
    assert f"requested data for {ago(12)}, received data for {ago(4)}" in ended.stderr


def test_past_and_present_are_one_line_in_a_real_prometheus(backfill: Backfill, file: Path, tmp_path: Path) -> None:
    server, promtool, storage = program("prometheus"), program("promtool"), tmp_path / "data"
    with start(file) as process:
        process.wait_until_ready()
        labels = {"job": "partnercenter-exporter", "instance": httpx.URL(process.url).netloc.decode()}
        assert backfill(2, 1, *(f"--label={name}={value}" for name, value in labels.items())).status == 0
        for day in files(tmp_path):
            make = [promtool, "tsdb", "create-blocks-from", "openmetrics", "--max-block-duration=24h"]
            command = [*make, f"{tmp_path / 'past' / day}"]
            subprocess.run([*command, f"{storage}"], check=True, capture_output=True, timeout=120)  # noqa: S603  promtool
        with prometheus(server, scraping(tmp_path, **labels), storage) as asked:
            until(lambda: asked.newest("up == 1"))
            now = math.ceil(datetime.now(UTC).timestamp())
            line = asked.history("partnercenter_license_deployment_ratio", start=now - 30 * 3_600, end=now)
    assert all(labels.items() <= dict(series).items() for series in line)
    spans = [(min(values), max(values)) for values in line.values()]
    assert any(first == now - 30 * 3_600 and last == now for first, last in spans)


def scraping(folder: Path, *, job: str, instance: str) -> Path:
    """Write Prometheus' configuration for one exporter."""
    file = folder / "prometheus.yml"
    scrape = {"job_name": job, "honor_labels": True, "static_configs": [{"targets": [instance]}]}
    pace = {"scrape_interval": "1s", "scrape_timeout": "1s"}
    file.write_text(yaml.safe_dump({"global": pace, "scrape_configs": [scrape]}))
    return file
