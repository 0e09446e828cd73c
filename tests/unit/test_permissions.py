"""Who may read a file, and what is proposed where this user may not."""

import os
import pwd
import shutil
import stat
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from exporter.permissions import User, narrowed, why_denied
from tests.support.process import run_command_as

EXPORTER = 10_058
NOBODY = pwd.getpwnam("nobody").pw_uid
PARTNER = """partners:
  - name: contoso
    tenant_id: contoso.example
    client_id: 5f0ff9c2-5a24-4d1c-8f7b-2d1c0a9be7f1
"""
needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can change owners")


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder that every user can enter: pytest's own are root's alone."""
    with tempfile.TemporaryDirectory() as name:
        Path(name).chmod(0o755)
        yield Path(name)


def secret(folder: Path, *, mode: int, uid: int = 0, gid: int = 0, name: str = "client secret") -> Path:
    file = folder / name
    file.write_text("s3cret\n")
    os.chown(file, uid, gid)
    file.chmod(mode)
    return file


def refusal(uid: int, file: Path, config: Path | None = None, **env: str) -> str:
    """Return what the program says as another user of this secret, without the place in the configuration."""
    config = config or file.parent / "config.yaml"
    config.write_text(f"{PARTNER}    client_secret_file: {file}\n")
    config.chmod(0o644)
    ended = check_as(uid, config, **env)
    where, _, what = ended.stderr.rstrip().partition("partners[0].client_secret_file: ")
    assert (ended.returncode, where) == (2, f"{config}:5: ")
    return what


def can_read(uid: int, file: Path) -> bool:
    return check_as(uid, file.parent / "config.yaml").returncode == 0


def check_as(uid: int, config: Path, **env: str) -> subprocess.CompletedProcess[str]:
    return run_command_as(uid, "check", "--offline", f"--config.file={config}", env=env, cwd=config.parent)


@needs_root
@pytest.mark.parametrize("uid", [EXPORTER, NOBODY], ids=["without a name", "with a name"])
@pytest.mark.parametrize(("mode", "own"), [(0o600, False), (0o640, False), (0o000, True), (0o200, True)])
def test_a_secret_that_cant_be_read_says_whose_it_is_and_the_command_printed_mends_it(
    folder: Path, uid: int, mode: int, *, own: bool
) -> None:
    file = secret(folder, mode=mode, uid=uid if own else 0)
    said = refusal(uid, file)
    name = "nobody (65534)" if uid == NOBODY else "10058"
    message, _, remedy = said.partition(f"runs as user {name}: ")
    assert message == (
        f"can't read {file}: Permission denied; it belongs to user {name if own else 'root (0)'} and group root (0) "
        f"with mode {mode:04o}, and this program "
    )
    command = remedy.split("run as root: ")[-1].split("run ")[-1]
    subprocess.run(["sh", "-ec", command], check=True)  # noqa: S603, S607  it is what a person would type
    assert can_read(uid, file)
    assert not file.stat().st_mode & (stat.S_IRWXG | stat.S_IRWXO)


@needs_root
def test_a_directory_that_cant_be_entered_is_named_and_the_command_printed_mends_it(folder: Path) -> None:
    private = folder / "private"
    private.mkdir(mode=0o700)
    said = refusal(EXPORTER, secret(private, mode=0o644), config=folder / "config.yaml")
    assert f"; its directory {private} belongs to user root (0) and group root (0) with mode 0700" in said
    command = said.split("run as root: ")[1].partition(";")[0]
    subprocess.run(["sh", "-ec", command], check=True)  # noqa: S603, S607  it is what a person would type
    assert check_as(EXPORTER, folder / "config.yaml").returncode == 0


@needs_root
def test_in_kubernetes_the_pod_is_what_to_change(folder: Path) -> None:
    said = refusal(EXPORTER, secret(folder, mode=0o600), KUBERNETES_SERVICE_HOST="10.0.0.1")
    assert said.endswith(
        ": set securityContext.fsGroup: 10058 for the pod, and defaultMode: 0440 for the volume of the secret"
    )


def test_what_else_may_refuse_a_file_is_named_where_its_mode_does_not(tmp_path: Path) -> None:
    file = tmp_path / "secret"
    file.touch(mode=0o600)
    assert "SELinux" in why_denied(file, User.current())[1]


@needs_root
@pytest.mark.parametrize("owner", [0, EXPORTER], ids=["root's", "its own"])
@pytest.mark.parametrize("group", [0, EXPORTER], ids=["root's group", "its group"])
@pytest.mark.parametrize("mode", [0o644, 0o604, 0o666, 0o444])
def test_what_hides_a_file_from_others_leaves_it_to_the_exporter(
    tmp_path: Path, owner: int, group: int, mode: int
) -> None:
    file = secret(tmp_path, mode=mode, uid=owner, gid=group)
    user = User(EXPORTER, EXPORTER)
    remedy = narrowed(file, file.stat(), user)
    command = remedy.split("run as root: ")[-1].split("run ")[-1].removesuffix(" as its owner")
    subprocess.run(["sh", "-ec", command], check=True)  # noqa: S603, S607  it is what a person would type
    assert user.may_read(file.stat())
    assert not file.stat().st_mode & stat.S_IRWXO


def test_root_is_told_to_give_the_file_to_the_exporter_first(tmp_path: Path) -> None:
    file = tmp_path / "secret"
    file.touch(mode=0o644)
    assert narrowed(file, file.stat(), User(0, 0)) == (
        f"give it to the user that runs the exporter (chown), then run chmod 0600 {file}"
    )


@needs_root
@pytest.mark.parametrize("kind", ["configuration", "authorities", "certificate"])
def test_every_file_that_is_denied_is_explained(folder: Path, kind: str) -> None:
    file = folder / "config.yaml"
    denied = file if kind == "configuration" else secret(folder, mode=0o600, name="denied.pem")
    key = "client_certificate_file" if kind == "certificate" else "client_secret"
    http = f"http: {{ca_file: {denied}}}\n" if kind == "authorities" else ""
    file.write_text(f"{PARTNER}    {key}: {denied}\n{http}")
    file.chmod(0o600 if kind == "configuration" else 0o644)
    ended = check_as(EXPORTER, file)
    assert ended.returncode == 2
    assert "belongs to user root (0) and group root (0) with mode 0600" in ended.stderr
    assert f"run as root: chown 10058 {denied} && chmod 0600 {denied}" in ended.stderr


@needs_root
def test_a_root_without_its_powers_is_told_whom_to_run_as_and_not_of_access_control_lists(folder: Path) -> None:
    file = secret(folder, mode=0o400, uid=EXPORTER)
    remedy = why_denied(file, User(0, 0))[1]
    assert remedy.startswith("run this as user 10058 (--user 10058 in a container): root may not read it here")
    assert "getfacl" not in remedy


@needs_root
def test_in_a_container_the_host_is_where_to_change_what_is_mounted() -> None:
    mounted = Path(tempfile.mkdtemp(dir="/dev/shm"))  # another file system than the root's
    try:
        mounted.chmod(0o755)
        file = secret(mounted, mode=0o600)
        said = refusal(EXPORTER, file, container="podman")
        assert ": on the host, for what is mounted there, run as root: chown 10058 " in said
    finally:
        shutil.rmtree(mounted)


def test_a_command_names_the_file_from_everywhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    file = Path("secret")
    file.touch(mode=0o644)
    assert str(tmp_path / "secret") in narrowed(file, file.stat(), User(0, 0))
