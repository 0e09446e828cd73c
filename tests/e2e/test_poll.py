"""`poll`: asks the running exporter to poll now, and says what comes of it."""

import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from exporter.model.rows import SourceName
from partnercenter_simulator import Fault, Simulator
from tests.e2e.conftest import NO_AUTHORITIES, Process, Run, start
from tests.support.config import write_config


@pytest.fixture
def file(simulator: Simulator, tmp_path: Path) -> Path:
    """A configuration, and the state of an exporter that polled ten minutes ago and has ended since."""
    file = write_config(tmp_path, simulator)
    with start(file) as process:
        process.wait_for_log("poll succeeded", 2)
        assert process.stop() == 0
    for source in SourceName:
        remember(file, source, last_poll_at=time.time() - 600)
    return file


@pytest.fixture
def running(file: Path) -> Iterator[Process]:
    """The exporter, which polls again in 50 minutes."""
    with start(file) as process:
        process.wait_until_ready()
        yield process


def remember(file: Path, source: str, **changes: Any) -> None:
    record = file.parent / f"state/polls/contoso.{source}.json"
    record.write_text(json.dumps(json.loads(record.read_bytes()) | changes))


def test_every_source_is_polled_now_and_the_rows_are_printed(file: Path, running: Process, run_here: Run) -> None:
    ended = run_here("poll", f"--config.file={file}")
    assert ended.status == 0, ended.stderr
    rows = {s: int(running.scrape().value("partnercenter_rows", partner="contoso", source=s) or 0) for s in SourceName}
    assert sorted(ended.stdout.splitlines()) == sorted(f"contoso {s}: polled: {rows[s]} rows" for s in SourceName)
    assert "polling contoso usage …" in ended.stderr
    assert running.stderr.count("poll succeeded") == 2


def test_only_the_named_source_is_polled(file: Path, running: Process, run_here: Run) -> None:
    ended = run_here("poll", f"--config.file={file}", "--partner=contoso", "--source=usage")
    assert ended.status == 0
    assert ended.stdout.startswith("contoso usage: polled: ")
    assert running.stderr.count("poll succeeded") == 1


def test_a_second_poll_within_a_minute_waits_and_says_until_when(
    simulator: Simulator, file: Path, running: Process, run_here: Run
) -> None:
    assert run_here("poll", f"--config.file={file}").status == 0
    asked = simulator.requests.count()
    ended = run_here("poll", f"--config.file={file}")
    assert ended.status == 1
    assert ended.stdout.count(": waits until 20") == 2
    assert ended.stdout.count(" UTC: its last poll is less than a minute old") == 2
    assert simulator.requests.count() == asked
    assert running.stop() == 0


def test_retry_after_holds(file: Path, run_here: Run) -> None:
    remember(file, "usage", not_before=time.time() + 3_000)
    with start(file) as process:
        process.wait_until_ready()
        ended = run_here("poll", f"--config.file={file}", "--source=usage")
        assert ended.status == 1
        assert "contoso usage: waits until 20" in ended.stdout
        assert "the API asked to wait (Retry-After)" in ended.stdout


def test_a_poll_that_fails_is_explained_with_its_fix(
    simulator: Simulator, file: Path, running: Process, run_here: Run
) -> None:
    simulator.faults.add(Fault(kind="status", endpoint="usage", status=404))
    ended = run_here("poll", f"--config.file={file}", "--source=usage")
    assert ended.status == 1
    assert "contoso usage: failed (not_found): " in ended.stdout
    assert "  Fix: " in ended.stdout
    assert running.stop() == 0


def test_without_an_exporter_it_says_so_and_leaves_no_request(file: Path, run_here: Run) -> None:
    ended = run_here("poll", f"--config.file={file}")
    assert ended.status == 1
    assert f"no exporter runs on the state directory {file.parent}/state" in ended.stderr
    assert "fix: start it" in ended.stderr
    assert not (file.parent / "state/poll-requests.json").exists()


def test_a_request_from_before_the_start_means_nothing(simulator: Simulator, file: Path) -> None:
    request = file.parent / "state/poll-requests.json"
    request.touch(0o600)
    request.write_text(json.dumps([["contoso", "usage", time.time() - 30]]))
    asked = simulator.requests.count()
    with start(file) as process:
        process.wait_until_ready()
        request.unlink()
        request.touch(0o600)
        process.wait_for_log("ignoring saved state")  # the supervisor has looked
        assert "poll requested" not in process.stderr
        assert process.stop() == 0
    assert simulator.requests.count() == asked


def test_an_exporter_that_stops_meanwhile_is_named(simulator: Simulator, file: Path, running: Process) -> None:
    simulator.faults.add(Fault(kind="stall", endpoint="usage"))
    with Process("poll", f"--config.file={file}", "--source=usage", env=NO_AUTHORITIES) as command:
        running.wait_for_log("poll requested")
        assert running.stop() == 0
        assert command.wait() == 1
        assert "contoso usage: not polled: the exporter has stopped" in command.stdout


@pytest.mark.parametrize(
    ("flag", "words"),
    [("--partner=nobody", "choose from contoso"), ("--source=deployment", "deployment is not enabled")],
)
def test_what_is_not_configured_is_wrong_usage(
    simulator: Simulator, tmp_path: Path, run_here: Run, flag: str, words: str
) -> None:
    file = write_config(tmp_path, simulator, sources={"deployment": {"enabled": False}})
    ended = run_here("poll", f"--config.file={file}", flag)
    assert ended.status == 2
    assert words in ended.stderr
