"""A state directory on a file system that is full, or on which a token has no place: found before anyone signs in."""

import errno
import json
import os
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from partnercenter_simulator import Simulator
from tests.e2e.conftest import NO_AUTHORITIES, Run
from tests.e2e.state import COMMANDS, RUN, command, write_token
from tests.support.cases import IN_CI, cases
from tests.support.config import token_file, write_config
from tests.support.process import run_command
from tests.support.system_calls import SystemCalls

COMMERCIAL = {"usage": {"api": "commercial"}}
SIZE, INODES = 1024 * 1024, 64
# What a token needs at most, and a file system of memory gives in pages.
ENOUGH = 32 * 1024
EVERY = {**COMMANDS, "run": RUN}


@pytest.fixture
def small(tmp_path: Path) -> Iterator[Path]:
    """A small file system of its own, mounted where the state directory is."""
    state = tmp_path / "state"
    state.mkdir(0o700)
    options = f"size={SIZE},nr_inodes={INODES},mode=0700"
    mounted = subprocess.run(  # noqa: S603  what it says
        ["/bin/mount", "-t", "tmpfs", "-o", options, "tmpfs", str(state)], capture_output=True, text=True, check=False
    )
    if mounted.returncode:
        reason = f"nothing can be mounted here: {mounted.stderr}"
        if IN_CI and os.geteuid() == 0:
            pytest.fail(reason)
        pytest.skip(reason)
    try:
        yield state
    finally:
        subprocess.run(["/bin/umount", "--lazy", str(state)], check=True)  # noqa: S603  the same


def fill_up(state: Path, *, left: int = 0) -> None:
    """Leave only so many bytes."""
    space = os.statvfs(state)
    (state / "ballast").write_bytes(bytes(space.f_bavail * space.f_frsize - left))


def use_up_inodes(state: Path, *, left: int = 0) -> None:
    """Leave only so many files that can be made."""
    for number in range(os.statvfs(state).f_favail - left):
        (state / f"ballast-{number}").touch()


FULL: dict[str, Callable[[Path], None]] = {
    "no byte": fill_up,
    "a page": lambda state: fill_up(state, left=4096),
    "no inode": use_up_inodes,
}


@pytest.mark.parametrize("full", cases("no byte", "no inode", in_ci=["a page"]))
@pytest.mark.parametrize("used", cases("used before", in_ci=["new"]))
@pytest.mark.parametrize("name", cases("login", in_ci=["check", "run", "backfill"]))
def test_a_full_disk_is_named_before_anyone_signs_in(
    simulator: Simulator, tmp_path: Path, small: Path, *, name: str, used: str, full: str
) -> None:
    file = write_config(tmp_path, simulator, sources=COMMERCIAL)
    given = write_token(simulator, tmp_path)
    if used == "used before":
        assert run_command("check", f"--config.file={file}", env=NO_AUTHORITIES).returncode == 0
    before, asked = token_file(file).exists() and token_file(file).read_bytes(), simulator.requests.count()
    FULL[full](small)
    first, *flags = (flag.replace("=given", f"={given}") for flag in EVERY[name])
    ended = run_command(first, f"--config.file={file}", *flags, env=NO_AUTHORITIES)
    assert ended.returncode == 1
    assert f"can't write {small}" in ended.stderr
    assert f"{os.strerror(errno.ENOSPC)}\n  fix: state_dir must be a directory that this user can" in ended.stderr
    assert "`df -h` and `df -i`" in ended.stderr
    assert simulator.requests.count() == asked
    assert (token_file(file).exists() and token_file(file).read_bytes()) == before


@pytest.mark.parametrize(
    "leave", [lambda state: fill_up(state, left=3 * ENOUGH), lambda state: use_up_inodes(state, left=12)]
)
def test_a_disk_with_room_for_a_token_is_good_enough_and_gets_it(
    simulator: Simulator, tmp_path: Path, small: Path, run_here: Run, leave: Callable[[Path], None]
) -> None:
    file = write_config(tmp_path, simulator)
    leave(small)
    assert run_here("check", f"--config.file={file}").status == 0
    assert json.loads(token_file(file).read_bytes())["refresh_token"] == simulator.entra.issued_refresh_tokens[-1]


def test_the_interactive_sign_in_is_not_begun_on_a_full_disk(
    simulator: Simulator, tmp_path: Path, small: Path, run_here: Run
) -> None:
    file = write_config(tmp_path, simulator)
    fill_up(small)
    ended = run_here("login", f"--config.file={file}", "--redirect-port=0")
    assert ended.status == 1
    assert ended.stdout == ""
    assert simulator.requests.count() == 0


@pytest.mark.parametrize(
    "error", cases(errno.EDQUOT, in_ci=[errno.ENOSPC, errno.EROFS, errno.EIO]), ids=errno.errorcode.get
)
@pytest.mark.parametrize("name", cases("login", in_ci=["check", "run", "backfill"]))
def test_whatever_keeps_a_token_from_the_disk_is_found_before_the_sign_in(
    simulator: Simulator, tmp_path: Path, calls: SystemCalls, name: str, error: int
) -> None:
    file = write_config(tmp_path, simulator, sources=COMMERCIAL)
    (tmp_path / "state").mkdir(0o700)
    given = write_token(simulator, tmp_path)
    calls.rule = lambda call, path: error if call == "fsync" and path.startswith(f"{tmp_path}/state") else 0
    with command(calls, file, *(flag.replace("=given", f"={given}") for flag in EVERY[name])) as process:
        assert process.wait() == 1
        assert f"can't write {tmp_path}/state/write-check: {os.strerror(error)}" in process.stderr
        assert ("quota -s" in process.stderr) == (error == errno.EDQUOT)
    assert simulator.requests.count() == 0


@pytest.mark.parametrize("error", cases(errno.ENOSPC, in_ci=[errno.EDQUOT]), ids=errno.errorcode.get)
def test_check_fails_where_the_disk_is_full_once_the_token_is_renewed(
    simulator: Simulator, tmp_path: Path, calls: SystemCalls, error: int
) -> None:
    file = write_config(tmp_path, simulator)
    tokens = f"{tmp_path}/state/tokens"
    calls.rule = lambda call, path: (
        error if call == "fsync" and path.startswith(tokens) and simulator.requests.count("token") else 0
    )
    with command(calls, file, "check") as process:
        assert process.wait() == 1
        assert f"token store: FAILED: the renewed token is not saved: can't write {tokens}" in process.stdout
        assert f"{os.strerror(error)}\n    Fix: state_dir must be" in process.stdout
        assert "deployment (legacy API): 6 rows" in process.stdout
    assert not token_file(file).exists()
