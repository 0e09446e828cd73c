"""One exporter per state directory, as processes."""

import signal
import socket
from pathlib import Path

import pytest

from partnercenter_simulator import Simulator
from tests.e2e.conftest import NO_AUTHORITIES, start
from tests.e2e.state import COMMANDS, write_token
from tests.support.config import write_config
from tests.support.process import run_command, until


def test_a_second_exporter_ends_and_says_who_holds_the_state_directory(simulator: Simulator, tmp_path: Path) -> None:
    file = write_config(tmp_path, simulator)
    with start(file) as first:
        first.wait_until_ready()
        asked = simulator.requests.count()
        with start(file) as second:
            assert second.wait() == 1
        expected = f"another exporter uses the state directory {tmp_path}/state: process {first.pid} on "
        assert f"partnercenter-exporter: {expected}{socket.gethostname()}, since " in second.stderr
        assert "fix: one exporter per state directory" in second.stderr
        assert "listening" not in second.stderr
        assert simulator.requests.count() == asked
        assert first.stop() == 0


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL], ids=lambda number: number.name)
def test_a_successor_waits_for_one_that_is_stopping(
    simulator: Simulator, tmp_path: Path, number: signal.Signals
) -> None:
    file = write_config(tmp_path, simulator)
    with start(file) as first:
        first.wait_until_ready()
        with start(file) as second:
            second.wait_for_log("waiting for another exporter to stop")
            first.send(number)
            second.wait_until_ready()
            assert second.stop() == 0


def test_a_successor_that_waits_can_be_stopped(simulator: Simulator, tmp_path: Path) -> None:
    file = write_config(tmp_path, simulator)
    with start(file) as first:
        first.wait_until_ready()
        with start(file) as second:
            second.wait_for_log("waiting for another exporter to stop")
            assert second.stop() == 0


def test_the_other_commands_work_beside_a_running_exporter(simulator: Simulator, tmp_path: Path) -> None:
    file = write_config(tmp_path, simulator, sources={"usage": {"api": "commercial"}})
    given = write_token(simulator, tmp_path)
    with start(file) as process:
        process.wait_until_ready()
        for arguments in COMMANDS.values():
            flags = [flag.replace("=given", f"={given}") for flag in arguments]
            ended = run_command(*flags, f"--config.file={file}", env=NO_AUTHORITIES, cwd=tmp_path)
            assert ended.returncode == 0, ended.stderr


def test_a_deleted_lock_file_is_there_again_and_keeps_others_away(simulator: Simulator, tmp_path: Path) -> None:
    file = write_config(tmp_path, simulator)
    lock = tmp_path / "state/exporter.lock"
    with start(file) as first:
        first.wait_until_ready()
        lock.unlink()
        until(lock.exists)
        with start(file) as second:
            assert second.wait() == 1
        assert f"process {first.pid} on " in second.stderr
