"""The state directory: whole files or nothing, private, one writer at a time."""

import multiprocessing
import os
import resource
import stat
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from exporter.errors import PollAborted, StateError
from exporter.files import StateDirectory, signature, write_atomically
from exporter.messages import line
from tests.support.files import let_the_clock_tick
from tests.support.process import PATIENCE_SECONDS, until

ROUNDS, PROCESSES = 50, 4


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_a_written_file_is_read_back(tmp_path: Path) -> None:
    directory = StateDirectory(tmp_path)
    directory.replace("tokens/contoso.json", b"one")
    directory.replace("tokens/contoso.json", b"\x00two\xff")
    assert directory.read("tokens/contoso.json") == b"\x00two\xff"
    assert directory.writable


def test_a_file_that_was_never_written_is_none(tmp_path: Path) -> None:
    assert StateDirectory(tmp_path).read("tokens/contoso.json") is None
    assert StateDirectory(tmp_path / "nowhere").read("tokens/contoso.json") is None


@pytest.mark.parametrize("umask", [0o000, 0o022, 0o077])
def test_only_their_owner_can_access_directories_and_files_whatever_the_umask(tmp_path: Path, umask: int) -> None:
    before = os.umask(umask)
    try:
        root = tmp_path / "made" / "here"
        StateDirectory(root).replace("tokens/contoso.json", b"secret")
    finally:
        os.umask(before)
    assert (mode(root), mode(root / "tokens")) == (0o700, 0o700)
    assert {mode(file) for file in root.rglob("*") if file.is_file()} == {0o600}


def test_an_existing_file_that_others_could_read_becomes_private(tmp_path: Path) -> None:
    (tmp_path / "tokens").mkdir()
    file = tmp_path / "tokens/contoso.json"
    file.write_bytes(b"old")
    file.chmod(0o644)
    StateDirectory(tmp_path).replace("tokens/contoso.json", b"new")
    assert (file.read_bytes(), mode(file)) == (b"new", 0o600)


def test_a_reader_who_has_the_old_file_open_keeps_it_whole(tmp_path: Path) -> None:
    directory = StateDirectory(tmp_path)
    directory.replace("data/x.json", b"old content")
    with (tmp_path / "data/x.json").open("rb") as reader:
        directory.replace("data/x.json", b"new")
        assert reader.read() == b"old content"


def test_no_temporary_file_is_left_behind_not_even_that_of_a_crash(tmp_path: Path) -> None:
    directory = StateDirectory(tmp_path)
    (tmp_path / "data").mkdir()
    (tmp_path / "data/.x.json.tmp").write_bytes(b"half a fi")
    directory.replace("data/x.json", b"whole")
    assert sorted(file.name for file in (tmp_path / "data").iterdir()) == [".lock", "x.json"]


def test_an_update_may_leave_the_file_as_it_is(tmp_path: Path) -> None:
    directory = StateDirectory(tmp_path)
    directory.replace("data/x.json", b"kept")
    before = (tmp_path / "data/x.json").stat()
    directory.update("data/x.json", lambda: None)
    after = (tmp_path / "data/x.json").stat()
    assert (before.st_ino, before.st_mtime_ns) == (after.st_ino, after.st_mtime_ns)


def test_an_update_that_fails_leaves_the_file_and_the_lock_alone(tmp_path: Path) -> None:
    directory = StateDirectory(tmp_path)
    directory.replace("data/x.json", b"kept")

    def refuse() -> bytes:
        raise StateError(line("not this one"))

    with pytest.raises(StateError, match="not this one"):
        directory.update("data/x.json", refuse)
    assert directory.read("data/x.json") == b"kept"
    directory.replace("data/x.json", b"newer")
    assert directory.read("data/x.json") == b"newer"


def test_the_check_proves_that_the_directory_can_be_written(tmp_path: Path) -> None:
    StateDirectory(tmp_path / "new").check()
    assert (tmp_path / "new").is_dir()


@contextmanager
def largest_file(size: int) -> Iterator[None]:
    """Let no file grow beyond `size` bytes: it fails in the middle, as on a full disk."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_a_write_that_fails_half_way_leaves_the_old_file_and_no_temporary_file(tmp_path: Path) -> None:
    directory = StateDirectory(tmp_path)
    directory.replace("data/x.json", b"old")
    with largest_file(10), pytest.raises(StateError, match="can't write"):
        directory.replace("data/x.json", b"x" * 100_000)
    assert directory.read("data/x.json") == b"old"
    assert sorted(file.name for file in (tmp_path / "data").iterdir()) == [".lock", "x.json"]
    assert not directory.writable
    directory.replace("data/x.json", b"new")
    assert directory.writable


@pytest.mark.parametrize("root", ["file", "file/below", "tokens-is-a-file"])
def test_a_directory_that_cannot_be_written_is_an_error_with_its_remedy(tmp_path: Path, root: str) -> None:
    (tmp_path / "file").write_bytes(b"")
    (tmp_path / "tokens-is-a-file").mkdir()
    (tmp_path / "tokens-is-a-file/tokens").write_bytes(b"")
    directory = StateDirectory(tmp_path / root)
    with pytest.raises(StateError, match="can't write") as failed:
        directory.replace("tokens/contoso.json", b"x")
    assert "state_dir" in failed.value.remedy
    assert not directory.writable


def test_a_failing_file_system_is_an_error(tmp_path: Path) -> None:
    directory = StateDirectory(Path("/proc/self"))
    with pytest.raises(StateError):
        directory.check()
    assert not directory.writable
    assert StateDirectory(tmp_path).writable


@pytest.mark.parametrize("made", ["directory", "file in the way"])
def test_an_unreadable_file_is_an_error_and_not_none(tmp_path: Path, made: str) -> None:
    if made == "directory":
        (tmp_path / "tokens/contoso.json").mkdir(parents=True)
    else:
        (tmp_path / "tokens").write_bytes(b"")
    with pytest.raises(StateError, match="can't read") as caught:
        StateDirectory(tmp_path).read("tokens/contoso.json")
    assert caught.value.remedy


def test_a_file_for_others_to_read_has_the_usual_mode(tmp_path: Path) -> None:
    before = os.umask(0o022)
    try:
        write_atomically(tmp_path / "day.om", (b"one\n", b"# EOF\n"), mode=0o666)
    finally:
        os.umask(before)
    assert ((tmp_path / "day.om").read_bytes(), mode(tmp_path / "day.om")) == (b"one\n# EOF\n", 0o644)


def test_content_that_fails_to_render_leaves_the_old_file_and_no_temporary_file(tmp_path: Path) -> None:
    def broken() -> Iterator[bytes]:
        yield b"half"
        raise ValueError("broken")

    (tmp_path / "day.om").write_bytes(b"old")
    with pytest.raises(ValueError, match="broken"):
        write_atomically(tmp_path / "day.om", broken())
    assert [(file.name, file.read_bytes()) for file in tmp_path.iterdir()] == [("day.om", b"old")]


def reset_time(file: Path) -> None:
    os.utime(file, ns=(5, 5))


CHANGES: dict[str, Callable[[Path], object]] = {
    "replaced": lambda file: write_atomically(file, [b"new"]),
    "rewritten": lambda file: file.write_bytes(b"other"),
    "longer": lambda file: file.write_bytes(b"old but longer"),
    "removed": lambda file: file.unlink(),
    "mode": lambda file: file.chmod(0o640),
    "its time set back": reset_time,
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_any_change_of_a_file_changes_its_signature(tmp_path: Path, change: Callable[[Path], object]) -> None:
    file = tmp_path / "secret"
    file.write_bytes(b"old")
    os.utime(file, ns=(5, 5))
    before = signature(file, tmp_path / "other")
    assert signature(file, tmp_path / "other") == before
    let_the_clock_tick(file)
    change(file)
    changed = signature(file, tmp_path / "other")
    assert changed[0] != before[0]
    assert changed[1] == before[1] is None


def test_a_file_that_is_made_changes_its_signature(tmp_path: Path) -> None:
    before = signature(tmp_path / "secret")
    (tmp_path / "secret").touch()
    assert signature(tmp_path / "secret") != before


def test_a_volume_updated_by_swapping_a_symlink_changes_the_signature(tmp_path: Path) -> None:
    """Kubernetes: the file is a link into ..data, which is a link to the newest folder."""
    for name in ("first", "second"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "secret").write_bytes(name.encode())
    (tmp_path / "..data").symlink_to("first")
    (tmp_path / "secret").symlink_to("..data/secret")
    before = signature(tmp_path / "secret")
    (tmp_path / "..data_tmp").symlink_to("second")
    (tmp_path / "..data_tmp").replace(tmp_path / "..data")
    assert signature(tmp_path / "secret") != before


def _count(root: Path) -> None:
    directory = StateDirectory(root)

    def add_one() -> bytes:
        return str(int(directory.read("counter") or b"0") + 1).encode()

    for _ in range(ROUNDS):
        directory.update("counter", add_one)


def test_updates_of_several_processes_come_one_after_the_other(tmp_path: Path) -> None:
    # spawn: a fork would copy the threads' locks of this process.
    context = multiprocessing.get_context("spawn")
    processes = [context.Process(target=_count, args=(tmp_path,)) for _ in range(PROCESSES)]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
    assert [process.exitcode for process in processes] == [0] * PROCESSES
    assert StateDirectory(tmp_path).read("counter") == str(ROUNDS * PROCESSES).encode()


def test_updates_of_several_threads_come_one_after_the_other(tmp_path: Path) -> None:
    directory = StateDirectory(tmp_path)

    def add_one() -> bytes:
        return str(int(directory.read("counter") or b"0") + 1).encode()

    def count() -> None:
        for _ in range(ROUNDS):
            directory.update("counter", add_one)

    threads = [threading.Thread(target=count) for _ in range(PROCESSES)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert directory.read("counter") == str(ROUNDS * PROCESSES).encode()


def test_after_closing_no_write_begins(tmp_path: Path) -> None:
    directory = StateDirectory(tmp_path)
    directory.replace("data/x.json", b"old")
    assert directory.close(timeout_seconds=PATIENCE_SECONDS)
    with pytest.raises(PollAborted):
        directory.replace("data/x.json", b"late")
    assert directory.read("data/x.json") == b"old"
    assert directory.writable


def test_closing_waits_for_the_current_write_and_rejects_those_waiting_for_it(tmp_path: Path) -> None:
    directory = StateDirectory(tmp_path)
    writing, go_on = threading.Event(), threading.Event()

    def decide() -> bytes:
        writing.set()
        go_on.wait(PATIENCE_SECONDS)
        return b"whole"

    turned_away = []

    def come_late() -> None:
        try:
            directory.replace("late.json", b"late")
        except PollAborted as error:
            turned_away.append(error)

    under_way = threading.Thread(target=directory.update, args=("slow.json", decide))
    late = threading.Thread(target=come_late)
    under_way.start()
    assert writing.wait(PATIENCE_SECONDS)
    late.start()
    assert not directory.close(timeout_seconds=0.01)
    assert directory.read("slow.json") is None
    go_on.set()
    assert directory.close(timeout_seconds=PATIENCE_SECONDS)
    under_way.join(PATIENCE_SECONDS)
    late.join(PATIENCE_SECONDS)
    assert directory.read("slow.json") == b"whole"
    assert len(turned_away) == 1
    assert directory.read("late.json") is None


def test_while_anything_is_unwritten_the_directory_does_not_count_as_writable(tmp_path: Path) -> None:
    directory = StateDirectory(tmp_path)
    (tmp_path / "data").write_bytes(b"in the way")
    for content in (b"first", b"second"):
        with pytest.raises(StateError):
            directory.replace("data/x.json", content)
    directory.replace("polls/x.json", b"another folder")
    assert not directory.writable
    [error] = directory.retry()
    assert str(tmp_path / "data/x.json") in error.message
    (tmp_path / "data").unlink()
    assert directory.retry() == []
    assert directory.writable
    assert directory.read("data/x.json") == b"second"


@pytest.fixture
def hanging(tmp_path: Path) -> Iterator[tuple[StateDirectory, threading.Event]]:
    """A directory in which a write hangs until the event is set."""
    StateDirectory(tmp_path).replace("data/x.json", b"old")
    directory, go_on = StateDirectory(tmp_path, answer_timeout_seconds=2.0), threading.Event()

    def hang() -> bytes:
        go_on.wait(PATIENCE_SECONDS)
        return b"late"

    with pytest.raises(StateError, match="has not answered for 2 s") as caught:
        directory.update("data/hanging", hang)
    assert "disk of state_dir" in caught.value.remedy
    yield directory, go_on
    go_on.set()


def test_while_a_write_hangs_files_can_be_read_and_others_fail_at_once_until_it_ends(
    hanging: tuple[StateDirectory, threading.Event],
) -> None:
    directory, go_on = hanging
    assert directory.read("data/x.json") == b"old"
    for content in (b"newer", b"newest"):
        with pytest.raises(StateError, match="has stopped answering"):
            directory.replace("data/x.json", content)
    assert not directory.writable
    assert not directory.close(timeout_seconds=1e6)
    go_on.set()
    until(lambda: directory.answers)
    assert directory.read("data/hanging") == b"late"
    assert not directory.writable


def test_what_could_not_be_written_while_it_hung_is_written_in_its_newest_form(
    hanging: tuple[StateDirectory, threading.Event],
) -> None:
    directory, go_on = hanging
    for content in (b"newer", b"newest"):
        with pytest.raises(StateError):
            directory.replace("data/x.json", content)
    go_on.set()
    until(lambda: directory.retry() == [])
    assert directory.writable
    assert directory.read("data/x.json") == b"newest"


def test_signatures_and_names_are_those_on_disk(tmp_path: Path) -> None:
    directory = StateDirectory(tmp_path)
    directory.replace("data/x.json", b"old")
    assert directory.signature("data/x.json") == signature(tmp_path / "data/x.json")
    assert directory.signature("data/y.json") == (None,)
    assert sorted(directory.names("data")) == [".lock", "x.json"]
    assert directory.names("nowhere") == ()
