"""Commands of several users on one state directory: root, the exporter's own, and somebody else."""

import json
import os
import pwd
import shlex
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from partnercenter_simulator import Simulator
from tests.e2e.conftest import NO_AUTHORITIES, Ended
from tests.e2e.state import COMMANDS, RUN
from tests.support.cases import IN_CI, cases
from tests.support.config import write_config, write_secret
from tests.support.process import run_command_as

ROOT, STRANGER = 0, 12_345
EXPORTER = pwd.getpwnam("nobody").pw_uid
NAMELESS = 23_456
EVERY = {**COMMANDS, "run": RUN}


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder of root that every user can look into, as /var/lib is: pytest's own are private."""
    if os.geteuid() != ROOT:
        reason = "only root can become other users"
        if IN_CI:
            pytest.fail(reason)
        pytest.skip(reason)
    with tempfile.TemporaryDirectory(prefix="several-users-") as name:
        Path(name).chmod(0o755)
        yield Path(name)


@pytest.fixture
def file(simulator: Simulator, folder: Path) -> Path:
    """A configuration that every user can read, and a directory of the exporter's for backfilled days."""
    write_secret(folder / "given", simulator.entra.issue_refresh_token())
    file = write_config(folder, simulator, sources={"usage": {"api": "commercial"}})
    for path in folder.iterdir():
        path.chmod(0o644)
    (folder / "out").mkdir(0o700)
    os.chown(folder / "out", EXPORTER, EXPORTER)
    return file


def command_of(uid: int, file: Path, name: str, *flags: str) -> Ended:
    """Run one command as this user."""
    given = [flag.replace("=given", f"={file.parent}/given") for flag in flags]
    return program_of(uid, file, name, f"--config.file={file}", *given)


def program_of(uid: int, file: Path, *arguments: str) -> Ended:
    ended = run_command_as(uid, *arguments, env=NO_AUTHORITIES, cwd=file.parent)
    assert "Traceback" not in ended.stderr
    return Ended(ended.returncode, ended.stdout, ended.stderr)


def done_by(uid: int, *words: str) -> bool:
    """Return whether this user's command succeeds."""
    ended = subprocess.run(words, user=uid, group=uid, extra_groups=[], check=False)  # noqa: S603  the printed remedy
    return ended.returncode == 0


def state_of(uid: int, file: Path, *, mode: int = 0o700) -> Path:
    """Make a state directory of this user."""
    state = file.parent / "state"
    state.mkdir()
    state.chmod(mode)
    os.chown(state, uid, uid)
    return state


def tree(folder: Path) -> dict[str, tuple[int, ...]]:
    """Return what tells of any change below a folder; reads change nothing of it."""
    found = {str(path): path.lstat() for path in (folder, *sorted(folder.rglob("*")))}
    return {name: (it.st_ino, it.st_mode, it.st_uid, it.st_size, it.st_ctime_ns) for name, it in found.items()}


def printed_command(ended: Ended) -> list[str]:
    """Return the command line of the remedy."""
    [fix] = [line for line in ended.stderr.splitlines() if line.startswith("  fix: ")]
    return shlex.split(fix[fix.index("sudo ") :])


def refused_for(ended: Ended, path: Path, name: str) -> None:
    assert ended.status == 1
    assert f"{path} is not used: it belongs to {name}; run this as {name}\n" in ended.stderr


@pytest.mark.parametrize("uid", [ROOT, STRANGER])
@pytest.mark.parametrize("name", cases("check", "login", "run", in_ci=["check --offline", "backfill"]))
def test_whoever_is_not_its_owner_is_told_who_is_before_anything_is_written_or_sent(
    simulator: Simulator, file: Path, name: str, uid: int
) -> None:
    state = state_of(EXPORTER, file)
    assert command_of(EXPORTER, file, "check").status == 0
    before, asked = tree(file.parent), simulator.requests.count()
    ended = command_of(uid, file, *EVERY[name])
    refused_for(ended, state, "nobody")
    assert "chown" not in ended.stderr
    assert tree(file.parent) == before
    assert simulator.requests.count() == asked
    sudo, user, account, *words = printed_command(ended)
    assert (sudo, user, account) == ("sudo", "-u", "nobody")
    arguments = words[words.index(EVERY[name][0]) :]
    assert arguments[1] == f"--config.file={file}"
    assert Path(words[0]).name == "partnercenter-exporter"
    if name != "run":
        assert program_of(EXPORTER, file, *arguments).status == 0


def test_in_a_container_the_engine_is_told_the_user_and_its_number(file: Path) -> None:
    state_of(EXPORTER, file)
    env = {**NO_AUTHORITIES, "container": "podman"}
    ended = run_command_as(ROOT, "run", f"--config.file={file}", env=env, cwd=file.parent)
    fix = ended.stderr.splitlines()[-1]
    assert fix == f"  fix: run this as nobody: give docker or podman, run and exec alike, the flag --user {EXPORTER}"


def test_a_user_without_a_name_is_named_as_sudo_takes_it_and_flags_are_quoted(file: Path) -> None:
    spaced = file.rename(file.with_name("my config.yaml"))
    refused = command_of(ROOT, spaced, "check")
    assert refused.status == 0
    shutil.rmtree(file.parent / "state")
    state = state_of(NAMELESS, file)
    ended = command_of(ROOT, spaced, "check", "--partner=contoso")
    refused_for(ended, state, f"user id {NAMELESS}")
    assert f"sudo -u '#{NAMELESS}' " in ended.stderr
    assert f"'--config.file={spaced}'" in ended.stderr
    assert printed_command(ended)[-2:] == [f"--config.file={spaced}", "--partner=contoso"]


@pytest.mark.parametrize("uid", [ROOT, STRANGER])
def test_a_volume_of_root_that_serves_a_group_is_its_users(simulator: Simulator, file: Path, uid: int) -> None:
    """Kubernetes gives volumes to root and the pod's group."""
    state = state_of(ROOT, file, mode=0o2770)
    os.chown(state, ROOT, EXPORTER)
    state.chmod(0o2770)
    assert command_of(EXPORTER, file, "check").status == 0
    before, asked = tree(state), simulator.requests.count()
    ended = command_of(uid, file, *COMMANDS["login"])
    assert ended.status == 1
    if uid == ROOT:
        refused_for(ended, state / "tokens", "nobody")
    assert tree(state) == before
    assert simulator.requests.count() == asked


def test_root_makes_no_state_directory_in_a_folder_of_another_user(file: Path) -> None:
    os.chown(file.parent, EXPORTER, EXPORTER)
    refused_for(command_of(ROOT, file, "check"), file.parent, "nobody")
    assert not (file.parent / "state").exists()
    assert command_of(EXPORTER, file, "check").status == 0


@pytest.mark.parametrize("name", ["check", "login"])
def test_root_is_told_whose_the_directory_is_that_it_makes_and_its_owner_is_told_when_it_fails(
    file: Path, name: str
) -> None:
    state = file.parent / "state"
    made = command_of(ROOT, file, *EVERY[name])
    assert made.status == 0
    assert f"chown -R USER: {state}" in made.stdout + made.stderr
    again = command_of(ROOT, file, *EVERY[name])
    assert "chown -R USER" not in again.stdout + again.stderr
    ended = command_of(EXPORTER, file, "check")
    assert ended.status == 1
    assert f"{state} belongs to root: sudo chown -R nobody: {state}\n" in ended.stderr
    assert done_by(ROOT, *printed_command(ended)[1:])
    assert command_of(EXPORTER, file, "check").status == 0


def test_a_user_who_may_not_make_the_directory_is_told_how_to_have_it_made(file: Path) -> None:
    ended = command_of(EXPORTER, file, "check")
    assert ended.status == 1
    assert f"can't write {file.parent}/state: Permission denied" in ended.stderr
    assert done_by(ROOT, *printed_command(ended)[1:])
    assert command_of(EXPORTER, file, "check").status == 0


def test_who_can_not_even_look_is_told_whose_the_folder_is(file: Path) -> None:
    hidden = file.parent / "hidden"
    hidden.mkdir(0o700)
    os.chown(hidden, EXPORTER, EXPORTER)
    text = file.read_text().replace("state_dir: state", f"state_dir: {hidden}/state")
    file.write_text(text)
    refused_for(command_of(STRANGER, file, "check"), hidden, "nobody")


LEFT = cases(
    "tokens", "polls/.lock", "tokens/contoso.json",
    in_ci=["polls", "data", "tokens/.lock", "data/.lock", "polls/contoso.sign-in.json"],
)  # fmt: skip


def test_the_commands_for_a_user_without_a_name_work_too(file: Path) -> None:
    ended = command_of(NAMELESS, file, "check")
    assert done_by(ROOT, *printed_command(ended)[1:])
    assert command_of(NAMELESS, file, "check").status == 0
    os.chown(file.parent / "state/tokens/.lock", ROOT, ROOT)
    ended = command_of(NAMELESS, file, "check")
    assert done_by(ROOT, *printed_command(ended)[1:])
    assert command_of(NAMELESS, file, "check").status == 0


@pytest.mark.parametrize("name", cases("check", in_ci=["login", "run", "backfill"]))
@pytest.mark.parametrize("left", LEFT)
def test_what_an_older_version_left_of_root_is_named_with_a_command_that_gives_it_back(
    simulator: Simulator, file: Path, left: str, name: str
) -> None:
    state = state_of(EXPORTER, file)
    assert command_of(EXPORTER, file, "check").status == 0
    token = json.loads((state / "tokens/contoso.json").read_bytes())
    os.chown(state / left, ROOT, ROOT)
    if (state / left).is_dir():
        os.chown(state / left / ".lock", ROOT, ROOT)
    asked = simulator.requests.count()
    ended = command_of(EXPORTER, file, *EVERY[name])
    assert ended.status == 1
    assert f"{state / left} is not used: it belongs to root, not to nobody\n" in ended.stderr
    assert simulator.requests.count() == asked
    assert printed_command(ended) == ["sudo", "chown", "-R", "nobody:", str(state)]
    assert done_by(ROOT, *printed_command(ended)[1:])
    assert json.loads((state / "tokens/contoso.json").read_bytes()) == token
    assert command_of(EXPORTER, file, "check").status == 0


def test_a_file_of_a_third_user_is_not_given_away_with_everything_else(file: Path) -> None:
    state = state_of(EXPORTER, file)
    assert command_of(EXPORTER, file, "check").status == 0
    os.chown(state / "tokens/contoso.json", STRANGER, STRANGER)
    ended = command_of(EXPORTER, file, "check")
    assert ended.status == 1
    assert f"{state}/tokens/contoso.json is not used: it belongs to user id {STRANGER}, not to nobody" in ended.stderr
    assert (
        f"if it is of this exporter, sudo chown -h nobody: {state}/tokens/contoso.json; otherwise remove it"
        in ended.stderr
    )


def forbid(path: Path) -> None:
    path.chmod(0o000)


def forbid_writing(path: Path) -> None:
    path.chmod(0o500)


@pytest.mark.parametrize(
    ("path", "spoil"),
    [
        ("tokens/contoso.json", forbid),
        ("tokens", forbid),
        ("tokens", forbid_writing),
        (".", forbid_writing),
        (".", forbid),
    ],
)
def test_what_the_owner_may_not_open_is_named_with_the_mode_that_is_missing(
    file: Path, path: str, spoil: Callable[[Path], None]
) -> None:
    state = state_of(EXPORTER, file)
    assert command_of(EXPORTER, file, "check").status == 0
    spoil(state / path)
    ended = command_of(EXPORTER, file, "check")
    assert ended.status == 1
    assert "Permission denied" in ended.stdout + ended.stderr
    assert f"chmod u+rwX {state / path}" in ended.stdout + ended.stderr
    assert done_by(EXPORTER, "chmod", "u+rwX", str(state / path))
    assert command_of(EXPORTER, file, "check").status == 0
