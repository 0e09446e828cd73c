"""What another user could have put in the way is refused at once, and never followed, waited for or written through."""

import os
import stat
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from exporter.errors import PollAborted, StateError
from exporter.files import StateDirectory, write_atomically
from exporter.private_files import Distrusted, chown, is_private
from tests.support.locks import held_by_another_process
from tests.support.planted import PLANTED, STRANGER, needs_root
from tests.support.process import PATIENCE_SECONDS, until

NAMES = ("tokens/contoso.json", "polls/contoso.usage.json", "data/contoso.usage.json")


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A state directory in use, beside a file that must not be touched."""
    directory = StateDirectory(tmp_path / "state")
    directory.replace("elsewhere", b"precious")
    for name in NAMES:
        directory.replace(name, b"{}")
    directory.check()
    return tmp_path / "state"


@pytest.mark.parametrize("name", [*NAMES, "tokens/.lock", "polls/.lock", "data/.lock"])
@pytest.mark.parametrize("plant", PLANTED)
def test_a_planted_file_is_refused_at_the_start_and_named_with_a_fix(
    root: Path, name: str, plant: Callable[[Path], None]
) -> None:
    (root / name).unlink()
    plant(root / name)
    with pytest.raises(StateError) as refused:
        StateDirectory(root).check()
    assert str(root / name) in refused.value.message
    assert refused.value.remedy


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("plant", PLANTED)
def test_a_planted_file_is_never_read_and_is_replaced_instead_of_written_to(
    root: Path, name: str, plant: Callable[[Path], None]
) -> None:
    (root / name).unlink()
    plant(root / name)
    directory = StateDirectory(root)
    with pytest.raises(StateError):
        directory.read(name)
    directory.replace(name, b"new")
    assert directory.read(name) == b"new"
    assert stat.S_IMODE((root / name).lstat().st_mode) == 0o600
    assert (root / "elsewhere").read_bytes() == b"precious"
    assert not (root / "nowhere").exists()


@pytest.mark.parametrize("plant", PLANTED)
def test_a_planted_lock_stops_the_write_at_once(root: Path, plant: Callable[[Path], None]) -> None:
    (root / "data/.lock").unlink()
    plant(root / "data/.lock")
    directory = StateDirectory(root)
    with pytest.raises(Distrusted, match="lock"):
        directory.replace(NAMES[2], b"new")
    assert not directory.writable


@pytest.mark.parametrize("plant", PLANTED)
def test_a_planted_temporary_name_is_replaced(root: Path, plant: Callable[[Path], None]) -> None:
    plant(root / "data/.contoso.usage.json.tmp")
    StateDirectory(root).replace(NAMES[2], b"new")
    assert sorted(file.name for file in (root / "data").iterdir()) == [".lock", "contoso.usage.json"]
    assert (root / "elsewhere").read_bytes() == b"precious"


def test_a_hard_link_is_replaced_instead_of_written_to(root: Path) -> None:
    (root / NAMES[2]).unlink()
    (root / NAMES[2]).hardlink_to(root / "elsewhere")
    StateDirectory(root).replace(NAMES[2], b"new")
    assert (root / "elsewhere").read_bytes() == b"precious"


@pytest.mark.parametrize("folder", ["", "tokens", "polls", "data"])
@pytest.mark.parametrize("mode", [0o702, 0o707, 0o777, 0o1777])
def test_a_directory_that_others_can_write_to_is_refused(root: Path, folder: str, mode: int) -> None:
    (root / folder).chmod(mode)
    refuses_everywhere(root, folder)


@needs_root
@pytest.mark.parametrize("folder", ["", "tokens", "polls", "data"])
def test_a_directory_of_another_user_is_refused(root: Path, folder: str) -> None:
    os.chown(root / folder, STRANGER, -1)
    refuses_everywhere(root, folder)


@pytest.mark.parametrize("folder", ["tokens", "polls", "data"])
def test_a_link_in_place_of_a_directory_is_refused(root: Path, folder: str) -> None:
    (root / folder).rename(root.parent / "moved")
    (root / folder).symlink_to(root.parent / "moved")
    refuses_everywhere(root, folder)


def refuses_everywhere(root: Path, folder: str) -> None:
    """Assert that nothing is read or written in this folder, and that the start fails with its name."""
    directory = StateDirectory(root)
    with pytest.raises(Distrusted) as refused:
        directory.check()
    assert str(root / folder) in refused.value.message
    for name in NAMES:
        if name.startswith(folder):
            with pytest.raises(Distrusted):
                directory.read(name)
            with pytest.raises(Distrusted):
                directory.replace(name, b"new")


@pytest.mark.parametrize("mode", [0o700, 0o750, 0o755, 0o770, 0o2770, 0o2775])
def test_a_directory_that_at_most_a_group_can_write_to_is_used(root: Path, mode: int) -> None:
    """Kubernetes gives volumes to the pod's group, with its set-group-ID bit (fsGroup)."""
    for folder in ("", "tokens", "polls", "data"):
        (root / folder).chmod(mode)
    for name in NAMES:
        (root / name).chmod(0o660)
    StateDirectory(root).check()


def test_the_state_directory_itself_may_be_a_link(root: Path) -> None:
    """With DynamicUser, systemd makes /var/lib/NAME a link to private/NAME."""
    link = root.parent / "link"
    link.symlink_to("state")
    directory = StateDirectory(link)
    directory.check()
    assert directory.read(NAMES[0]) == b"{}"


@needs_root
def test_the_state_directory_is_no_link_of_another_user(root: Path) -> None:
    link = root.parent / "link"
    link.symlink_to("state")
    os.lchown(link, STRANGER, -1)
    with pytest.raises(Distrusted, match=f"{link} .* user id {STRANGER}"):
        StateDirectory(link).check()


def test_a_directory_of_its_own_in_a_sticky_one_for_everybody_is_used(tmp_path: Path) -> None:
    tmp_path.chmod(0o1777)
    StateDirectory(tmp_path / "state").check()
    with pytest.raises(Distrusted, match="world-writable"):
        StateDirectory(tmp_path).check()


def test_a_file_that_is_too_large_is_not_read(root: Path) -> None:
    with (root / NAMES[0]).open("wb") as file:
        file.truncate(8 * 1024**4)
    with pytest.raises(Distrusted, match="larger than 1,048,576 bytes"):
        StateDirectory(root).read(NAMES[0])
    with pytest.raises(Distrusted, match="larger than 10 bytes"):
        StateDirectory(root).read(NAMES[0], max_bytes=10)


def test_a_lock_that_another_process_never_gives_back_is_an_error_that_names_it(root: Path) -> None:
    directory = StateDirectory(root, lock_timeout_seconds=0.2)
    with held_by_another_process(root / "data/.lock"):
        with pytest.raises(StateError, match=f"another program holds the lock {root / 'data/.lock'}") as refused:
            directory.replace(NAMES[2], b"new")
        assert "fuser" in refused.value.remedy
        assert not directory.writable
        directory.replace(NAMES[0], b"other folders have locks of their own")
    directory.replace(NAMES[2], b"new")
    assert directory.read(NAMES[2]) == b"new"
    assert directory.writable


def test_who_waits_for_a_lock_goes_on_when_it_is_free(root: Path) -> None:
    directory = StateDirectory(root, lock_timeout_seconds=PATIENCE_SECONDS)
    writer = threading.Thread(target=directory.replace, args=(NAMES[2], b"new"))
    with held_by_another_process(root / "data/.lock"):
        writer.start()
    writer.join(PATIENCE_SECONDS)
    assert directory.read(NAMES[2]) == b"new"


def test_who_waits_for_a_lock_gives_up_when_the_directory_is_closed(root: Path) -> None:
    directory = StateDirectory(root, lock_timeout_seconds=1e6)
    ended: list[PollAborted] = []

    def write() -> None:
        with pytest.raises(PollAborted) as aborted:
            directory.replace(NAMES[2], b"new")
        ended.append(aborted.value)

    # One waits for the other process, the others for that one.
    writers = [threading.Thread(target=write, daemon=True) for _ in range(3)]
    with held_by_another_process(root / "data/.lock"):
        for writer in writers:
            writer.start()
        assert until(lambda: directory.close(timeout_seconds=1.0))
        for writer in writers:
            writer.join(PATIENCE_SECONDS)
        assert len(ended) == len(writers)


@pytest.mark.parametrize("plant", PLANTED)
def test_an_output_file_takes_the_place_of_whatever_was_there(tmp_path: Path, plant: Callable[[Path], None]) -> None:
    folder = tmp_path / "out"
    folder.mkdir()
    (tmp_path / "elsewhere").write_bytes(b"precious")
    plant(folder / "day.om")
    assert not is_private(folder / "day.om")
    write_atomically(folder / "day.om", [b"new"])
    assert is_private(folder / "day.om")
    assert stat.S_IMODE((folder / "day.om").lstat().st_mode) == 0o600
    assert (tmp_path / "elsewhere").read_bytes() == b"precious"


def test_a_hard_link_is_not_this_users_alone(tmp_path: Path) -> None:
    (tmp_path / "precious").write_bytes(b"precious")
    (tmp_path / "day.om").hardlink_to(tmp_path / "precious")
    assert not is_private(tmp_path / "day.om")


def test_an_output_directory_for_everybody_is_refused(tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out").chmod(0o777)
    with pytest.raises(Distrusted, match="world-writable"):
        write_atomically(tmp_path / "out" / "day.om", [b"new"])
    assert not list((tmp_path / "out").iterdir())


def test_in_kubernetes_the_owner_of_a_volume_is_for_the_pod(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KUBERNETES_SERVICE_HOST", "10.0.0.1")
    monkeypatch.setenv("container", "oci")
    assert chown("-R", Path("/proc")).startswith(f"set securityContext.fsGroup: {os.getegid()} for the pod, or run ")


def test_in_a_container_the_owner_of_a_volume_is_a_number_for_the_host(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("container", "podman")
    owner = f"{os.geteuid()}:{os.getegid()}"
    # Another file system than the root's, as a volume is.
    assert chown("-R", Path("/proc")) == f"on the host, for what is mounted there, sudo chown -R {owner} /proc"
