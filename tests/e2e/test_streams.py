"""Streams that break: the exporter works on without its log, and every command ends with its own status."""

import json
import re
import resource
import signal
import socket
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx
import pytest

from partnercenter_simulator import Fault, Simulator
from tests.integration.exposition import Exposition
from tests.reliability.rig import store_token
from tests.support.broken_streams import BREAKS, ERROR, INPUT, OUTPUT, Streams, full_lines, program, run_to_end, stalled
from tests.support.cases import cases, combinations
from tests.support.config import PARTNER, token_file, write_config, write_secret
from tests.support.plain_http import NO_TLS
from tests.support.process import PATIENCE_SECONDS, until

DROPPED = "partnercenter_log_lines_dropped_total"
USAGE = {"partner": PARTNER, "source": "usage"}
LINE = re.compile(r'ts=\S+ level=\w+ msg=("[^"]+"|\S+)( .*)?')
NOTE = re.compile(r'ts=\S+ level=error msg="log lines dropped" count=(\d+)')
DISK_BYTES = 1 << 16


@dataclass(frozen=True)
class Serving:
    """A program that serves, whatever its streams."""

    process: subprocess.Popen[bytes]
    url: str

    def get(self, path: str) -> httpx.Response:
        """Request a page; connecting is tried until it serves."""

        def answer() -> httpx.Response | None:
            assert self.process.poll() is None
            try:
                return httpx.get(self.url + path, trust_env=False, verify=NO_TLS, timeout=PATIENCE_SECONDS)
            except httpx.ConnectError:
                return None

        found = until(answer)
        assert found
        return found

    def value(self, name: str, **labels: str) -> float | None:
        """Scrape one sample."""
        return Exposition(self.get("/metrics").text).value(name, **labels)

    def stop(self) -> int:
        """Send SIGTERM and return the exit status."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(PATIENCE_SECONDS)


@contextmanager
def serving(*arguments: str, streams: Streams) -> Iterator[Serving]:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    with program(*arguments, f"--web.listen-address=127.0.0.1:{port}", streams=streams) as process:
        yield Serving(process, f"http://127.0.0.1:{port}")


def fails_then_recovers(exporter: Serving, simulator: Simulator, file: Path) -> None:
    """Let polls fail until a new token comes: poll threads and supervisor have logged, and are alive."""
    until(lambda: exporter.value("partnercenter_up", **USAGE) == 0)
    simulator.faults.clear()
    until(token_file(file).exists)
    store_token(file.parent / "state", simulator, PARTNER, at=datetime.now(UTC).timestamp())
    until(lambda: exporter.value("partnercenter_up", **USAGE) == 1)
    polls = exporter.value("partnercenter_polls_total", **USAGE)
    assert polls is not None
    assert polls >= 2
    assert exporter.get("/-/healthy").status_code == 200


WHICH = {"log": (ERROR,), "all": (INPUT, OUTPUT, ERROR)}


@pytest.mark.parametrize(("broken", "which"), combinations(list(BREAKS), list(WHICH)))
def test_the_exporter_polls_serves_and_stops_without_its_log(
    simulator: Simulator, tmp_path: Path, broken: str, which: str
) -> None:
    simulator.faults.add(Fault(kind="status", endpoint="usage", status=403))
    file = write_config(tmp_path, simulator)
    with ExitStack() as stack:
        streams = {number: stack.enter_context(BREAKS[broken]()) for number in WHICH[which]}
        exporter = stack.enter_context(serving(f"--config.file={file}", streams=streams))
        fails_then_recovers(exporter, simulator, file)
        # What a reader that stalls may still take is not lost yet.
        assert (exporter.value(DROPPED) or 0) >= (0 if broken == "stalled" else 4)
        assert exporter.stop() == 0
    # None of the files took the place of a closed stream.
    for state in (tmp_path / "state").rglob("*.json"):
        json.loads(state.read_text())


def test_the_log_goes_on_in_whole_lines_once_a_full_disk_has_space_again(simulator: Simulator, tmp_path: Path) -> None:
    file, log = write_config(tmp_path, simulator), tmp_path / "log"
    # Files of state stay below the size at which the disk counts as full.
    log.write_bytes(b"-" * (DISK_BYTES - 1) + b"\n")
    with log.open("ab") as stream, serving(f"--config.file={file}", streams={ERROR: stream.fileno()}) as exporter:
        until(lambda: exporter.get("/-/ready").status_code == 200)
        pid = exporter.process.pid
        limits = resource.prlimit(pid, resource.RLIMIT_FSIZE)
        resource.prlimit(pid, resource.RLIMIT_FSIZE, (log.stat().st_size + 20, limits[1]))

        def reload_until(count: int) -> None:
            def enough() -> bool:
                exporter.process.send_signal(signal.SIGHUP)
                return (exporter.value(DROPPED) or 0) >= count

            until(enough)

        reload_until(3)
        assert exporter.get("/-/healthy").status_code == 200
        resource.prlimit(pid, resource.RLIMIT_FSIZE, limits)
        exporter.process.send_signal(signal.SIGHUP)
        until(lambda: NOTE.search(log.read_text()))
        dropped = exporter.value(DROPPED)
        exporter.process.send_signal(signal.SIGHUP)
        until(lambda: NOTE.split(log.read_text())[-1].count("configuration reloaded"))
        assert exporter.stop() == 0
    lines = full_lines(log)[1:]
    assert [line for line in lines if not LINE.fullmatch(line)] == []
    assert sum(int(note[1]) for line in lines if (note := NOTE.fullmatch(line))) == dropped
    assert 'msg="exporter stopped"' in lines[-1]


def test_the_note_of_lost_lines_has_the_format_of_the_log(simulator: Simulator, tmp_path: Path) -> None:
    file, log = write_config(tmp_path, simulator), tmp_path / "log"
    log.write_bytes(b'"' + b"-" * (DISK_BYTES - 3) + b'"\n')
    flags = (f"--config.file={file}", "--log.format=json", "--log.level=error")
    simulator.faults.add(Fault(kind="status", endpoint="usage", status=403))
    with log.open("ab") as stream, serving(*flags, streams={ERROR: stream.fileno()}) as exporter:
        pid = exporter.process.pid
        limits = resource.prlimit(pid, resource.RLIMIT_FSIZE)
        resource.prlimit(pid, resource.RLIMIT_FSIZE, (DISK_BYTES, limits[1]))
        until(lambda: exporter.value(DROPPED))
        resource.prlimit(pid, resource.RLIMIT_FSIZE, limits)
        until(lambda: log.stat().st_size > DISK_BYTES)
        assert exporter.stop() == 0
    note = json.loads(full_lines(log)[-1])
    assert list(note) == ["ts", "level", "msg", "count"]
    assert note["msg"] == "log lines dropped"


@pytest.mark.parametrize("broken", cases("full", in_ci=[name for name in BREAKS if name != "full"]))
def test_the_demo_serves_and_stops_without_its_streams(broken: str) -> None:
    with ExitStack() as stack:
        streams = {number: stack.enter_context(BREAKS[broken]()) for number in (OUTPUT, ERROR)}
        demo = stack.enter_context(serving("demo", streams=streams))
        until(lambda: demo.get("/-/ready").status_code == 200)
        assert demo.stop() == 0


@pytest.fixture
def file(simulator: Simulator, tmp_path: Path) -> Path:
    commercial = {"api": "commercial"}
    return write_config(tmp_path, simulator, sources={"usage": commercial, "deployment": {"enabled": False}})


def yesterday() -> str:
    return (datetime.now(UTC) - timedelta(days=10)).date().isoformat()


BROKEN = ["closed", "full", "without a reader"]
COMMANDS: dict[str, tuple[tuple[str, ...], int]] = {
    "help": (("--help",), 0),
    "version": (("--version",), 0),
    "wrong flag": (("--wrong",), 2),
    "wrong value": (("--web.telemetry-path=wrong",), 2),
    "healthcheck": (("healthcheck", "--web.listen-address=127.0.0.1:1"), 1),
    "check": (("check", "--config.file=config.yaml"), 0),
    "check offline": (("check", "--offline", "--config.file=config.yaml"), 0),
    "check of nothing": (("check", "--config.file=none.yaml"), 2),
    "login": (("login", "--config.file=config.yaml", "--import-refresh-token=given"), 0),
    "backfill": (
        ("backfill", "--config.file=config.yaml", f"--from={yesterday()}", f"--to={yesterday()}", "--output=past"),
        0,
    ),
    "run without a file": (("run", "--config.file=none.yaml"), 2),
}


@pytest.mark.parametrize(("command", "broken"), combinations(list(COMMANDS), BROKEN))
def test_a_command_without_output_ends_with_its_own_status(
    simulator: Simulator, file: Path, monkeypatch: pytest.MonkeyPatch, command: str, broken: str
) -> None:
    monkeypatch.chdir(file.parent)
    write_secret(file.parent / "given", simulator.entra.issue_refresh_token())
    arguments, expected = COMMANDS[command]
    with BREAKS[broken]() as output, BREAKS[broken]() as error:
        status, _, _ = run_to_end(*arguments, streams={OUTPUT: output, ERROR: error}, PYTHONUNBUFFERED="")
    assert status == expected


@pytest.mark.parametrize("command", cases("check", in_ci=["wrong flag", "login", "backfill", "run without a file"]))
def test_no_command_waits_for_ever_for_the_reader_of_its_log(
    simulator: Simulator, file: Path, monkeypatch: pytest.MonkeyPatch, command: str
) -> None:
    monkeypatch.chdir(file.parent)
    write_secret(file.parent / "given", simulator.entra.issue_refresh_token())
    arguments, expected = COMMANDS[command]
    with stalled() as error:
        status, out, _ = run_to_end(*arguments, "--log.level=debug", streams={ERROR: error})
    assert status == expected
    assert bool(out) == (command in {"check", "login"})


@pytest.mark.parametrize(("command", "broken"), combinations(["help", "wrong flag", "check offline"], BROKEN))
def test_a_command_says_what_it_can(file: Path, monkeypatch: pytest.MonkeyPatch, command: str, broken: str) -> None:
    monkeypatch.chdir(file.parent)
    arguments, expected = COMMANDS[command]
    prints = expected == 0
    with BREAKS[broken]() as stream:
        status, _, err = run_to_end(*arguments, streams={OUTPUT: stream}, PYTHONUNBUFFERED="")
        assert status == expected
        if prints:
            cut = "partnercenter-exporter: can't write to standard output: No space left on device\n"
            assert err == (cut if broken == "full" else "")
        else:
            assert err.splitlines()[-1].endswith("unrecognized arguments: --wrong")
        status, out, _ = run_to_end(*arguments, streams={ERROR: stream}, PYTHONUNBUFFERED="")
        assert (status, bool(out)) == (expected, prints)


@pytest.mark.parametrize("broken", BROKEN)
def test_a_sign_in_that_nobody_can_see_fails_at_once(file: Path, broken: str) -> None:
    with BREAKS[broken]() as stream:
        streams = {INPUT: subprocess.DEVNULL, OUTPUT: stream}
        status, _, err = run_to_end("login", f"--config.file={file}", "--redirect-port=0", streams=streams)
    assert status == 1
    assert "can't write the URL to standard output" in err


def test_a_closed_standard_input_is_an_empty_one(file: Path) -> None:
    flags = (f"--config.file={file}", "--import-refresh-token=-")
    status, _, err = run_to_end("login", *flags, streams={INPUT: None})
    assert status == 2
    assert "not a refresh token" in err
    assert "Traceback" not in err
