"""`backfill` on a disk that is too small or fills up, days that are not finished, and its end by a signal."""

import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from partnercenter_simulator import Fault, Simulator
from tests.e2e.conftest import NO_AUTHORITIES, Ended, Run, program
from tests.support.config import write_config
from tests.support.process import ExporterProcess, until
from tests.support.terminal import Terminal

COMMERCIAL = {"usage": {"api": "commercial"}, "deployment": {"api": "commercial"}}
DETAILED = {name: {**source, "detail": ["customer", "product"]} for name, source in COMMERCIAL.items()}
Backfill = Callable[..., Ended]


def ago(days: int) -> str:
    return (datetime.now(UTC) - timedelta(days=days)).date().isoformat()


def flags(folder: Path, first: int, last: int) -> list[str]:
    return [
        "backfill", f"--config.file={folder / 'config.yaml'}", f"--from={ago(first)}", f"--to={ago(last)}",
        "--label=job=partnercenter-exporter", "--label=instance=exporter.example:10058",
    ]  # fmt: skip


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Callable[[str], Path]]:
    """Return a function that mounts a file system of a size; where that isn't allowed, the test is skipped."""
    with ExitStack() as mounted:

        def mount(size: str) -> Path:
            folder = tmp_path / "disk"
            folder.mkdir()
            command = ["mount", "-t", "tmpfs", "-o", f"size={size},mode=0700", "backfill", str(folder)]
            done = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603  a constant
            if done.returncode:
                message = f"no file system can be mounted here: {done.stderr}"
                if os.environ.get("CI"):
                    pytest.fail(message)
                pytest.skip(message)
            mounted.callback(subprocess.run, ["umount", str(folder)], check=True)
            return folder

        yield mount


def names(folder: Path) -> list[str]:
    return sorted(file.name for file in folder.iterdir())


def test_an_estimate_is_printed_before_anything_is_written(run_here: Run, simulator: Simulator, tmp_path: Path) -> None:
    write_config(tmp_path, simulator, sources=COMMERCIAL)
    ended = run_here(*flags(tmp_path, 14, 12), f"--output={tmp_path / 'past'}", "--step=1h")
    assert ended.status == 0
    estimate, *lines = [line for line in ended.stderr.splitlines() if "msg=" not in line]
    written = [(tmp_path / "past" / f"{ago(days)}.om").stat().st_size for days in (14, 13, 12)]
    assert estimate.startswith(f"estimate: {written[0] / 1_000:.0f} kB a day (")
    assert f"24 samples of each), {3 * written[0] / 1_000_000:.1f} MB for 3 days; " in estimate
    assert estimate.endswith(f" are free in {tmp_path / 'past'}")
    assert [line.partition(":")[0] for line in lines] == [ago(14), ago(13), ago(12)]


@pytest.mark.parametrize("remedy", [("--without-detail",), ("--step=1d",)])
def test_what_does_not_fit_is_not_begun_and_each_remedy_helps(
    run_here: Run, simulator: Simulator, tmp_path: Path, small_disk: Callable[[str], Path], remedy: tuple[str, ...]
) -> None:
    write_config(tmp_path, simulator, sources=DETAILED)
    disk = small_disk("40m")
    command = [*flags(tmp_path, 14, 12), f"--output={disk / 'past'}"]
    ended = run_here(*command)
    assert ended.status == 1
    assert "3 days, of which 0 fit, need about " in ended.stderr
    assert "are free, of which 2.1 MB stay so" in ended.stderr
    assert all(word in ended.stderr for word in ("  fix: ", "--without-detail", "--step", "fewer days", "--output"))
    assert names(disk / "past") == []
    assert run_here(*command, *remedy).status == 0
    assert len(names(disk / "past")) == 3


def test_a_disk_that_fills_up_halfway_keeps_finished_days_and_the_same_command_goes_on(
    run_here: Run, simulator: Simulator, tmp_path: Path, small_disk: Callable[[str], Path]
) -> None:
    write_config(tmp_path, simulator, sources=COMMERCIAL)
    disk = small_disk("4m")
    command = [*flags(tmp_path, 14, 12), f"--output={disk / 'past'}", "--step=1h"]
    simulator.faults.add(Fault(kind="status", status=403, endpoint="usage", skip=1, times=1))
    assert run_here(*command).status == 1
    first = (disk / "past" / f"{ago(14)}.om").read_bytes()
    _fill(disk)
    ended = run_here(*command)
    assert ended.status == 1
    assert "finished days are kept, and the same command goes on with the others" in ended.stderr
    assert names(disk / "past") == [f"{ago(14)}.om"]
    assert (disk / "past" / f"{ago(14)}.om").read_bytes() == first
    (disk / "others").unlink()
    assert run_here(*command).status == 0
    assert len(names(disk / "past")) == 3


def _fill(disk: Path) -> None:
    """Leave nothing of a file system for anybody else."""
    with (disk / "others").open("wb", buffering=0) as others:
        try:
            while True:
                others.write(bytes(4096))
        except OSError:
            return


def test_without_detail_no_customer_is_written(run_here: Run, simulator: Simulator, tmp_path: Path) -> None:
    write_config(tmp_path, simulator, sources=DETAILED)
    for output, more in (("all", ()), ("few", ("--without-detail",))):
        assert run_here(*flags(tmp_path, 12, 12), f"--output={tmp_path / output}", "--step=1d", *more).status == 0
    detailed, plain = (next((tmp_path / name).iterdir()).read_text() for name in ("all", "few"))
    assert "customer_id=" in detailed
    assert "customer_id=" not in plain
    assert "partnercenter_license_usage_ratio{" in plain
    assert len(plain) < len(detailed) / 10


def test_days_that_are_not_finished_are_not_done_and_a_second_run_completes_them(run_here: Run, tmp_path: Path) -> None:
    later = [0.0]
    with Simulator(now=lambda: time.time() + later[0]) as simulator:
        write_config(tmp_path, simulator, sources=COMMERCIAL)
        command = [*flags(tmp_path, 9, 1), f"--output={tmp_path / 'past'}", "--step=1d"]
        ended = run_here(*command)
        assert ended.status == 0
        done = [ago(days) for days in range(9, 0, -1) if (tmp_path / "past" / f"{ago(days)}.om").exists()]
        unfinished = [ago(days) for days in range(9, 0, -1) if ago(days) not in done]
        assert done[:2] == [ago(9), ago(8)]
        assert unfinished[-4:] == [ago(days) for days in range(4, 0, -1)]
        assert (
            f"not finished by Microsoft yet: {', '.join(unfinished)}; run the same command again on 20" in ended.stderr
        )
        assert {f"{day}.om" for day in done} == {file.name for file in (tmp_path / "past").glob("*.om")}
        whole = {name: (tmp_path / "past" / f"{name}.om").stat().st_mtime_ns for name in done}
        later[0] = 12 * 86_400.0
        ended = run_here(*command)
        assert ended.status == 0
        assert "not finished" not in ended.stderr
        assert names(tmp_path / "past") == [f"{ago(days)}.om" for days in range(9, 0, -1)]
        assert whole == {name: (tmp_path / "past" / f"{name}.om").stat().st_mtime_ns for name in done}
    for file in (tmp_path / "past").iterdir():
        make = [program("promtool"), "tsdb", "create-blocks-from", "openmetrics", "--max-block-duration=24h"]
        subprocess.run([*make, f"{file}", f"{tmp_path / 'data'}"], check=True, capture_output=True)  # noqa: S603  promtool


def test_a_service_that_has_ended_keeps_no_day_from_being_done(
    run_here: Run, simulator: Simulator, tmp_path: Path
) -> None:
    write_config(tmp_path, simulator, sources={"usage": {"api": "commercial"}, "deployment": {"enabled": False}})
    row = {"workloadName": "Teams", "channel": "reseller", "licensesActive": 1, "licensesQualified": 2}
    day = [{**row, "serviceCode": "o365", "processedDateTime": f"{ago(8)}T00:00:00"}]
    newest = [
        {**row, "serviceCode": "o365", "processedDateTime": f"{ago(2)}T00:00:00"},
        {**row, "serviceCode": "crm", "processedDateTime": f"{ago(400)}T00:00:00"},
    ]
    simulator.faults.add(Fault(kind="rows", endpoint="usage", rows=day, times=1))
    simulator.faults.add(Fault(kind="rows", endpoint="usage", rows=newest))
    assert run_here(*flags(tmp_path, 8, 8), f"--output={tmp_path / 'past'}").status == 0
    assert names(tmp_path / "past") == [f"{ago(8)}.om"]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP], ids=lambda number: number.name)
@pytest.mark.parametrize("moment", ["asking", "writing"])
def test_a_signal_keeps_what_is_done_leaves_no_partial_file_and_a_second_run_resumes(
    run_here: Run, simulator: Simulator, tmp_path: Path, number: signal.Signals, moment: str
) -> None:
    write_config(tmp_path, simulator, sources=DETAILED if moment == "writing" else COMMERCIAL)
    past = tmp_path / "past"
    command = [*flags(tmp_path, 14, 12), f"--output={past}"]
    if moment == "asking":
        simulator.faults.add(Fault(kind="stall", endpoint="usage", skip=1, times=1, seconds=300))
    with ExporterProcess(*command, "--step=5m", env=NO_AUTHORITIES) as process:
        if moment == "asking":
            process.wait_for_output(f"{ago(14)}: ")
            simulator.requests.wait_for(2, "usage")
        else:
            until(lambda: past.exists() and any(file.name.endswith(".tmp") for file in past.iterdir()))
        assert process.stop(number) == 1
        assert f"stopped by {number.name}: {int(moment == 'asking')} of 3 days are done" in process.stderr
        assert "Traceback" not in process.stderr
    assert names(past) == ([f"{ago(14)}.om"] if moment == "asking" else [])
    if moment == "asking":
        assert run_here(*command, "--step=5m").status == 0
        assert len(names(past)) == 3


def test_at_a_terminal_there_is_a_bar(simulator: Simulator, tmp_path: Path) -> None:
    write_config(tmp_path, simulator, sources=DETAILED)
    command = [*flags(tmp_path, 14, 12), f"--output={tmp_path / 'past'}", "--step=1h"]
    terminal = Terminal(*command, **NO_AUTHORITIES)
    try:
        assert terminal.ended() == 0
        terminal.wait_for("3 of 3 days, ")
        assert "B/s, " in terminal.shown
        assert " left" in terminal.shown
        assert "[####################]" in terminal.shown
        assert f"{ago(13)}: " not in terminal.shown
        assert "estimate: " in terminal.shown
    finally:
        terminal.close()
