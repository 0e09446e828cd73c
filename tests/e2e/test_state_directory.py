"""A state directory that hangs, or writes late or in part."""

import errno
import signal
from pathlib import Path

import pytest

from partnercenter_simulator import Fault, Simulator
from tests.e2e.state import COMMANDS, WRITABLE, assert_polls_go_on, command, run, stored_token, write_token  # fmt: skip
from tests.support.cases import cases
from tests.support.config import write_config
from tests.support.process import until
from tests.support.system_calls import HANG, Rule, SystemCalls


def below_state(folder: Path, *calls: str) -> Rule:
    """Let these calls hang wherever they are about the state directory."""
    return lambda call, path: HANG if call in calls and path.startswith(f"{folder}/state") else 0


@pytest.mark.parametrize("call", cases("renameat", in_ci=["fsync", "openat", "newfstatat", "flock"]))
def test_polls_go_on_while_the_file_system_hangs_and_the_token_is_saved_when_it_answers(
    simulator: Simulator, tmp_path: Path, calls: SystemCalls, call: str
) -> None:
    file = write_config(tmp_path, simulator)
    hang = below_state(tmp_path, call)
    calls.rule = lambda name, path: hang(name, path) if simulator.requests.count() else 0
    with run(file, calls) as process:
        assert_polls_go_on(process)
        assert calls.hanging
        calls.release()
        process.wait_for_sample(WRITABLE)
        assert stored_token(file) == simulator.entra.issued_refresh_tokens[-1]
        assert process.stop() == 0


def test_a_write_that_takes_its_time_is_no_failure(simulator: Simulator, tmp_path: Path, calls: SystemCalls) -> None:
    calls.rule = lambda call, path: HANG if call == "fsync" and path.startswith(f"{tmp_path}/state/data") else 0
    with run(write_config(tmp_path, simulator), calls) as process:
        until(lambda: calls.hanging)
        assert f"\n{WRITABLE}\n" in process.ask("/metrics").text
        assert "is not writable" not in process.ask("/").text
        calls.release()
        process.wait_until_ready()
        assert f"\n{WRITABLE}\n" in process.ask("/metrics").text
        assert process.stop() == 0


def test_a_signal_ends_an_exporter_whose_state_directory_hangs(
    simulator: Simulator, tmp_path: Path, calls: SystemCalls
) -> None:
    hang = below_state(tmp_path, "fsync")
    calls.rule = lambda name, path: hang(name, path) if simulator.requests.count() else 0
    with run(write_config(tmp_path, simulator), calls) as process:
        until(lambda: calls.hanging)
        assert process.stop() == 0
        assert 'msg="exporter stopped"' in process.stderr
        assert "Traceback" not in process.stderr


@pytest.mark.parametrize("number", cases(signal.SIGTERM, in_ci=[signal.SIGINT]), ids=lambda number: number.name)
@pytest.mark.parametrize("reads", [0, 3], ids=["at the check", "while the state is read"])
def test_a_signal_ends_a_start_that_hangs(
    simulator: Simulator, tmp_path: Path, calls: SystemCalls, number: signal.Signals, reads: int
) -> None:
    opened: list[str] = []

    def hang(call: str, path: str) -> int:
        if call == "openat" and path.startswith(f"{tmp_path}/state/polls/" if reads else f"{tmp_path}/state"):
            opened.append(path)
            return HANG if len(opened) > reads else 0
        return 0

    calls.rule = hang
    with run(write_config(tmp_path, simulator), calls) as process:
        until(lambda: calls.hanging)
        assert process.stop(number) == 0
        assert "Traceback" not in process.stderr


@pytest.mark.parametrize("call", cases("openat", in_ci=["fsync", "flock"]))
def test_a_start_on_a_file_system_that_hangs_ends_with_the_reason_and_a_fix(
    simulator: Simulator, tmp_path: Path, calls: SystemCalls, call: str
) -> None:
    calls.rule = below_state(tmp_path, call)
    with run(write_config(tmp_path, simulator), calls) as process:
        assert process.wait() == 1
        assert f"{tmp_path}/state" in process.stderr
        assert "the file system has not answered for 10 s" in process.stderr
        assert "fix: check the disk of state_dir, or its network share" in process.stderr
    assert not simulator.requests.count()


@pytest.mark.parametrize("name", cases("login", in_ci=["check", "check --offline", "backfill"]))
def test_no_command_waits_for_a_file_system_that_hangs(
    simulator: Simulator, tmp_path: Path, calls: SystemCalls, name: str
) -> None:
    arguments = COMMANDS[name]
    file = write_config(tmp_path, simulator, sources={"usage": {"api": "commercial"}})
    (tmp_path / "state").mkdir(0o700)
    given = write_token(simulator, tmp_path)
    calls.rule = below_state(tmp_path, "openat", "newfstatat")
    with command(calls, file, *(flag.replace("=given", f"={given}") for flag in arguments)) as process:
        assert process.wait() in {1, 2}
        assert "has not answered for 10 s" in process.stderr
        assert "Traceback" not in process.stderr
    assert not simulator.requests.count()


FOREIGN = ("another process stored a token", "the token was renewed twice")


@pytest.mark.parametrize("call", cases("renameat", in_ci=["fsync"]))
def test_a_token_that_is_written_late_does_not_take_the_place_of_a_newer_one(
    simulator: Simulator, tmp_path: Path, calls: SystemCalls, call: str
) -> None:
    simulator.faults.add(Fault(kind="status", endpoint="usage", status=401, times=1))
    file = write_config(tmp_path, simulator)
    tokens = f"{tmp_path}/state/tokens"
    calls.rule = lambda name, path: HANG if name == call and path.startswith(tokens) else 0
    with run(file, calls) as process:
        assert_polls_go_on(process)
        assert len(simulator.entra.issued_refresh_tokens) >= 3  # the seed, and two while the first write hangs
        calls.release()
        process.wait_for_sample(WRITABLE)
        assert stored_token(file) == simulator.entra.issued_refresh_tokens[-1]
        assert not any(words in process.stderr for words in FOREIGN)
        assert process.stop() == 0


def test_a_token_whose_write_failed_after_it_was_in_place_is_written_again(
    simulator: Simulator, tmp_path: Path, calls: SystemCalls
) -> None:
    simulator.faults.add(Fault(kind="status", endpoint="usage", status=401, times=1))
    file = write_config(tmp_path, simulator)
    tokens = f"{tmp_path}/state/tokens"
    calls.rule = lambda call, path: errno.EIO if call == "fsync" and path == tokens else 0
    with run(file, calls) as process:
        assert_polls_go_on(process)
        process.wait_for_log("token not saved, kept in memory")
        calls.release()
        process.wait_for_sample(WRITABLE)
        assert stored_token(file) == simulator.entra.issued_refresh_tokens[-1]
        assert not any(words in process.stderr for words in FOREIGN)
        assert process.stop() == 0


def test_a_token_that_is_lost_at_the_end_is_logged(simulator: Simulator, tmp_path: Path, calls: SystemCalls) -> None:
    tokens = f"{tmp_path}/state/tokens"
    calls.rule = lambda call, path: errno.EIO if call == "fsync" and path.startswith(tokens) else 0
    with run(write_config(tmp_path, simulator), calls) as process:
        assert_polls_go_on(process)
        assert process.stop() == 0
        assert 'msg="token not saved, lost" partner=contoso' in process.stderr
