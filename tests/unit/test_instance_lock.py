"""The lock that an exporter holds on its state directory, whatever becomes of the file."""

import os
import socket
from collections.abc import Callable
from pathlib import Path

import pytest

from exporter.errors import StateError
from exporter.files import StateDirectory
from exporter.instance_lock import InstanceLock, exporter_runs
from exporter.logs import get_logger
from tests.support.clock import FakeClock
from tests.support.locks import held_by_another_process
from tests.support.logs import LogStream
from tests.support.planted import STRANGER, needs_root


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A state directory."""
    (tmp_path / "state").mkdir(0o700)
    return tmp_path / "state"


def new(root: Path, clock: FakeClock | None = None) -> InstanceLock:
    return InstanceLock(StateDirectory(root), clock or FakeClock(), get_logger())


def test_a_second_exporter_waits_ten_seconds_and_is_told_who_holds_the_directory(
    root: Path, log_stream: LogStream
) -> None:
    clock = FakeClock(now=1_800_000_000.0)
    with new(root), pytest.raises(StateError) as raised, new(root, clock):
        pytest.fail("both hold the lock")
    assert raised.value.message == (
        f"another exporter uses the state directory {root}: "
        f"process {os.getpid()} on {socket.gethostname()}, since 2027-01-15 08:00:00 UTC"
    )
    assert raised.value.remedy.startswith("one exporter per state directory: ")
    assert "Stop the other one, or give this one a state_dir of its own" in raised.value.remedy
    assert 10 <= sum(clock.waits) < 11
    assert len(log_stream.of("waiting for another exporter to stop")) == 1


def test_it_is_free_once_its_holder_has_stopped_and_the_file_stays(root: Path) -> None:
    assert not exporter_runs(root)
    for _ in range(2):
        with new(root):
            assert exporter_runs(root)
            assert (root / "exporter.lock").stat().st_mode & 0o777 == 0o600
        assert not exporter_runs(root)
    assert (root / "exporter.lock").exists()


@pytest.mark.parametrize(
    "junk", [b"", b"\xff\x00", b"{}", b"[" * 9_000, b'{"pid": 1e999, "host": 1, "started_at": ""}']
)
def test_what_another_program_has_written_into_the_file_harms_nothing(root: Path, junk: bytes) -> None:
    (root / "exporter.lock").touch(0o600)
    (root / "exporter.lock").write_bytes(junk)
    with held_by_another_process(root / "exporter.lock"):
        with pytest.raises(StateError, match=r"another program holds the lock .*/exporter\.lock"):
            new(root).__enter__()
        assert exporter_runs(root)
    with new(root):
        assert b'"pid":' in (root / "exporter.lock").read_bytes()


def test_words_in_the_file_are_shown_as_one_printable_line(root: Path) -> None:
    lock = root / "exporter.lock"
    lock.touch(0o600)
    lock.write_text(r'{"pid": 7, "host": "a\u001b[2J\nb", "started_at": 1e300}')
    with held_by_another_process(lock), pytest.raises(StateError) as raised:
        new(root).__enter__()
    assert raised.value.message.endswith("process 7 on a [2J b, since a time out of range")


def test_a_deleted_or_replaced_file_is_locked_anew(root: Path) -> None:
    lock = root / "exporter.lock"
    with new(root) as ours:
        for damage in (lock.unlink, lambda: _file(root / "other").replace(lock)):
            damage()
            assert not exporter_runs(root)
            ours.keep()
            assert exporter_runs(root)
    assert not exporter_runs(root)


@pytest.mark.parametrize("change", [os.utime, lambda file: file.chmod(0o640)], ids=["touched", "another mode"])
def test_a_file_that_was_only_touched_is_still_ours(
    root: Path, log_stream: LogStream, change: Callable[[Path], None]
) -> None:
    with new(root) as ours:
        change(root / "exporter.lock")
        ours.keep()
        assert exporter_runs(root)
        assert not log_stream.of("lock of the state directory lost")
    assert not exporter_runs(root)


def test_who_took_the_lock_meanwhile_is_named_once(root: Path, log_stream: LogStream) -> None:
    with new(root) as ours:
        (root / "exporter.lock").unlink()
        with new(root):
            for _ in range(3):
                ours.keep()
            assert len(log_stream.of("lock of the state directory lost")) == 1
        ours.keep()
        assert exporter_runs(root)


@pytest.mark.parametrize("plant", ["link", "pipe", "directory"])
def test_what_is_no_file_is_not_used(root: Path, plant: str) -> None:
    lock = root / "exporter.lock"
    if plant == "link":
        lock.symlink_to(_file(root / "x"))
    elif plant == "pipe":
        os.mkfifo(lock)
    else:
        lock.mkdir()
    with pytest.raises(StateError, match=r"exporter\.lock"):
        new(root).__enter__()
    with pytest.raises(StateError, match=r"exporter\.lock"):
        exporter_runs(root)


@needs_root
def test_a_file_of_another_user_is_named(root: Path) -> None:
    os.chown(_file(root / "exporter.lock"), STRANGER, -1)
    with pytest.raises(StateError, match=f"belongs to user id {STRANGER}"):
        new(root).__enter__()


def _file(path: Path) -> Path:
    path.touch(0o600)
    return path
