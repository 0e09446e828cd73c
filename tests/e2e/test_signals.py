"""Signals that end a program by default: a running one says what they are, and goes on."""

import os
import signal
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from exporter.signals import SILENT
from partnercenter_simulator import Fault, Simulator
from tests.e2e.conftest import NO_AUTHORITIES, Process, start
from tests.support.config import write_config
from tests.support.process import ExporterProcess, until

QUIT, USR1, USR2 = signal.SIGQUIT, signal.SIGUSR1, signal.SIGUSR2


@pytest.fixture
def file(simulator: Simulator, tmp_path: Path) -> Path:
    return write_config(tmp_path, simulator)


@pytest.fixture
def process(file: Path) -> Iterator[Process]:
    with start(file) as process:
        process.wait_until_ready()
        yield process


def test_every_signal_that_ends_silently_is_logged_and_ignored(process: Process) -> None:
    for number in sorted(SILENT - {QUIT}):
        os.kill(process.pid, number)
        name = signal.Signals(number).name if number in set(signal.Signals) else f"SIGRTMIN+{number - signal.SIGRTMIN}"
        process.wait_for_log(f'msg="signal ignored" signal={name} ')
    assert "SIGHUP reloads the configuration" in process.stderr
    assert process.ask("/-/healthy").status_code == 200
    assert process.stop() == 0


def test_nothing_else_ends_it_silently(process: Process) -> None:
    ending = {signal.SIGTERM, signal.SIGINT, signal.SIGKILL}
    crashes = {
        signal.SIGABRT,
        signal.SIGBUS,
        signal.SIGFPE,
        signal.SIGILL,
        signal.SIGSEGV,
        signal.SIGSYS,
        signal.SIGTRAP,
    }
    limits = {signal.SIGXCPU}
    stops = {signal.SIGSTOP, signal.SIGTSTP, signal.SIGTTIN, signal.SIGTTOU}
    for number in sorted(signal.valid_signals() - ending - crashes - limits - stops):
        os.kill(process.pid, number)
    assert process.ask("/-/healthy").status_code == 200
    assert process.stop() == 0


@pytest.mark.parametrize("flags", [(), ("--log.level=error",), ("--log.format=json",)])
def test_quit_logs_every_thread_without_secrets_and_it_goes_on(
    simulator: Simulator, file: Path, flags: tuple[str, ...]
) -> None:
    simulator.faults.add(Fault(kind="stall", endpoint="usage", seconds=300))
    with Process.running(file, *flags, env=NO_AUTHORITIES) as process:
        simulator.requests.wait_for(1, "usage")
        # Asked again, as the poll may have been on its way to wait when it was asked.
        until(lambda: shows(process, "thread stack", "MainThread", "usage", "recv", "signals.py"))
        assert "Traceback" not in process.stderr
        assert simulator.client_secret not in process.stderr
        assert process.stop() == 0


@pytest.mark.parametrize("number", [USR1, QUIT, signal.SIGRTMIN], ids=["USR1", "QUIT", "real-time"])
def test_at_the_start_as_soon_as_the_program_runs(file: Path, number: signal.Signals) -> None:
    with start(file) as process:
        until(lambda: holds(process.pid, USR1))
        os.kill(process.pid, number)
        process.wait_until_ready()
        process.wait_for_output("thread stack" if number == QUIT else "signal ignored")
        assert process.stop() == 0


def test_while_it_stops(process: Process) -> None:
    process.send(signal.SIGTERM)
    with suppress(ProcessLookupError):
        for _ in range(200):
            os.kill(process.pid, USR1)
            os.kill(process.pid, QUIT)
    assert process.wait() == 0


@pytest.mark.parametrize("command", ["demo", "simulate"])
def test_the_demo_and_the_simulator_too(command: str) -> None:
    with ExporterProcess(command, "--web.listen-address=127.0.0.1:0") as process:
        process.wait_for_output("/_simulator/")
        process.send(USR1)
        process.wait_for_output("SIGTERM stops")
        process.send(QUIT)
        process.wait_for_output("thread stack")
        assert process.stop() == 0


def test_a_command_that_ends_by_itself_ends_as_usual(simulator: Simulator, file: Path) -> None:
    simulator.faults.add(Fault(kind="stall", endpoint="usage", seconds=300))
    with ExporterProcess("check", f"--config.file={file}", env=NO_AUTHORITIES) as process:
        simulator.requests.wait_for(1, "usage")
        assert process.stop(USR1) == -USR1


def shows(process: Process, *words: str) -> bool:
    """Ask for the stacks; return whether all these words have been logged by now."""
    process.send(QUIT)
    return all(word in process.stderr for word in words)


def holds(pid: int, number: int) -> bool:
    """Return whether a program's first thread has blocked a signal."""
    status = Path(f"/proc/{pid}/status").read_text()
    [blocked] = [line.split()[1] for line in status.splitlines() if line.startswith("SigBlk")]
    return bool(int(blocked, 16) >> (number - 1) & 1)
