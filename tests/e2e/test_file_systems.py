"""A state directory whose locks others hold, or whose file system can do too little."""

import errno
import json
import os
import platform
from pathlib import Path

import pytest

from exporter.model.rows import SourceName
from partnercenter_simulator import Simulator
from tests.e2e.conftest import NO_AUTHORITIES, start
from tests.e2e.state import (
    COMMANDS,
    RUN,
    WRITABLE,
    assert_polls_go_on,
    command,
    run,
    stored_token,
    write_token,
)  # fmt: skip
from tests.support.cases import cases
from tests.support.config import token_file, write_config
from tests.support.locks import held_by_another_process
from tests.support.process import run_command
from tests.support.system_calls import Faked, SystemCalls


def assert_refused_before_a_token_is_stored(
    simulator: Simulator, folder: Path, calls: SystemCalls, arguments: tuple[str, ...], *, said: tuple[str, ...]
) -> None:
    """A command on this file system ends with the reason, which `said` begins with, and mount options."""
    file = write_config(folder, simulator, sources={"usage": {"api": "commercial"}})
    (folder / "state").mkdir(0o700)
    given = write_token(simulator, folder)
    reason, *options = said
    with command(calls, file, *(flag.replace("=given", f"={given}") for flag in arguments)) as process:
        assert process.wait() == (2 if "--offline" in arguments else 1)
        assert f"the file system of {folder}/state {reason}" in process.stderr
        for option in options:
            assert option in process.stderr
    assert not token_file(file).exists()
    assert not simulator.requests.count()


@pytest.fixture(params=cases("tokens", in_ci=["", "polls", "data"]))
def lock(tmp_path: Path, request: pytest.FixtureRequest) -> Path:
    """One of the locks, in a state directory that is new but for it."""
    folder = Path(tmp_path, "state", request.param)
    for directory in (tmp_path / "state", folder):
        directory.mkdir(0o700, exist_ok=True)
    (folder / ".lock").touch(0o600)
    return folder / ".lock"


def test_polls_go_on_while_another_program_holds_a_lock_even_from_before_the_start(
    simulator: Simulator, tmp_path: Path, lock: Path
) -> None:
    file = write_config(tmp_path, simulator)
    with start(file) as process, held_by_another_process(lock):
        assert_polls_go_on(process)
        process.wait_for_log(f"another program holds the lock {lock}")
        assert process.stop() == 0
        assert "Traceback" not in process.stderr


def test_what_a_lock_kept_from_the_disk_is_written_when_it_is_free(
    simulator: Simulator, tmp_path: Path, lock: Path
) -> None:
    file = write_config(tmp_path, simulator)
    with held_by_another_process(lock), start(file) as process:
        assert_polls_go_on(process)
        lock.unlink()  # so that nobody holds it any more
        process.wait_for_sample(WRITABLE)
        assert stored_token(file) == simulator.entra.issued_refresh_tokens[-1]
        for source in SourceName:
            record = json.loads((tmp_path / f"state/polls/contoso.{source}.json").read_bytes())
            assert (record["finished"], record["up"]) == (True, True)
            assert (tmp_path / f"state/data/contoso.{source}.json").exists()


@pytest.mark.parametrize("name", cases("login", in_ci=["check", "backfill"]))
@pytest.mark.parametrize("lock", cases("tokens", in_ci=[""]), indirect=True)
def test_no_command_waits_for_a_lock_for_ever_or_signs_in_for_nothing(
    simulator: Simulator, tmp_path: Path, name: str, lock: Path
) -> None:
    arguments = COMMANDS[name]
    file = write_config(tmp_path, simulator, sources={"usage": {"api": "commercial"}})
    given = write_token(simulator, tmp_path)
    flags = [flag.replace("=given", f"={given}") for flag in arguments]
    with held_by_another_process(lock):
        ended = run_command(*flags, f"--config.file={file}", env=NO_AUTHORITIES)
    assert ended.returncode == 1
    assert f"another program holds the lock {lock}" in ended.stderr
    assert "fuser" in ended.stderr
    assert not simulator.requests.count()


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        (COMMANDS["login"], errno.ENOLCK),
        *cases(in_ci=[(RUN, error) for error in (errno.ENOSYS, errno.EOPNOTSUPP, errno.ENOLCK, errno.EINVAL)]),
        *cases(in_ci=[(it, errno.ENOLCK) for name, it in COMMANDS.items() if name != "login"]),
    ],
    ids=str,
)
def test_a_file_system_without_locks_is_named_with_its_mount_options_before_any_token_is_stored(
    simulator: Simulator, tmp_path: Path, calls: SystemCalls, arguments: tuple[str, ...], error: int
) -> None:
    calls.rule = lambda call, _path: error if call == "flock" else 0
    reason = f"has no locks (flock): {os.strerror(error)}"
    options = ("nfsvers=4", "local_lock=flock", "nolock", "nobrl")
    assert_refused_before_a_token_is_stored(simulator, tmp_path, calls, arguments, said=(reason, *options))


@pytest.mark.parametrize("error", cases(errno.EPERM, in_ci=[errno.EACCES, errno.EAGAIN]), ids=errno.errorcode.get)
def test_a_file_system_that_refuses_every_lock_is_not_taken_for_one_with_a_lock_that_another_program_holds(
    simulator: Simulator, tmp_path: Path, calls: SystemCalls, error: int
) -> None:
    calls.rule = lambda call, _path: error if call == "flock" else 0
    said = ("has no locks (flock): a new file can't be locked", "nfsvers=4")
    assert_refused_before_a_token_is_stored(simulator, tmp_path, calls, COMMANDS["login"], said=said)


@pytest.mark.parametrize(
    "error", cases(errno.EINVAL, in_ci=[errno.ENOSYS, errno.EOPNOTSUPP, errno.EBADF]), ids=errno.errorcode.get
)
def test_a_file_system_that_can_not_sync_directories_is_good_enough(
    simulator: Simulator, tmp_path: Path, calls: SystemCalls, error: int
) -> None:
    file = write_config(tmp_path, simulator)
    calls.rule = lambda call, path: error if call == "fsync" and Path(path).is_dir() else 0
    with run(file, calls) as process:
        process.wait_until_ready()
        process.wait_for_sample(WRITABLE)
        assert stored_token(file) == simulator.entra.issued_refresh_tokens[-1]
        assert "level=error" not in process.stderr
        assert process.stop() == 0


@pytest.mark.parametrize("error", cases(errno.EIO, in_ci=[errno.ENOSPC]), ids=errno.errorcode.get)
def test_a_directory_whose_sync_fails_is_not(
    simulator: Simulator, tmp_path: Path, calls: SystemCalls, error: int
) -> None:
    calls.rule = lambda call, path: error if call == "fsync" and Path(path).is_dir() else 0
    with run(write_config(tmp_path, simulator), calls) as process:
        assert process.wait() == 1
        assert os.strerror(error) in process.stderr


MOUNTS = {
    "Azure Files": (Faked(0o777, os.geteuid()), "keeps no modes: what is created with mode 0600 has 0777"),
    "SMB": (Faked(0o755, os.geteuid()), "keeps no modes: what is created with mode 0600 has 0755"),
    # Its own directory is right, what is new in it is not: NFS with all_squash.
    "all_squash": (Faked(0o700, os.geteuid() + 1), "keeps no owners: what user id"),
}


@pytest.mark.skipif(platform.machine() != "x86_64", reason="the layout of a file's status is not known here")
@pytest.mark.parametrize(
    ("arguments", "mount"),
    # Root, as another user to a file server, is not told offline of an owner: it could not know.
    cases(
        (COMMANDS["login"], "Azure Files"),
        (RUN, "all_squash"),
        in_ci=[
            *((RUN, mount) for mount in ("Azure Files", "SMB")),
            *((it, "Azure Files") for name, it in COMMANDS.items() if name != "login"),
        ],
    ),
    ids=str,
)
def test_a_file_system_without_modes_is_named_with_its_mount_options_before_any_token_is_stored(
    simulator: Simulator, tmp_path: Path, calls: SystemCalls, arguments: tuple[str, ...], mount: str
) -> None:
    fake, reason = MOUNTS[mount]
    below = f"{tmp_path}/state/" if mount == "all_squash" else f"{tmp_path}/state"
    calls.rule = lambda call, path: fake if call in {"newfstatat", "fstat"} and path.startswith(below) else 0
    options = ("dir_mode=0700", "file_mode=0600", "uid=", "gid=")
    assert_refused_before_a_token_is_stored(simulator, tmp_path, calls, arguments, said=(reason, *options))
