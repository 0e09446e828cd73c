"""The configuration for a simulator has secrets: it goes into private files, whatever was planted in their place."""

import os
import stat
from collections.abc import Callable
from pathlib import Path

import pytest

from partnercenter_simulator import Simulator, write_demo_configuration
from tests.support.planted import PLANTED, STRANGER, needs_root

SECRETS = ("client-secret", "refresh-token")
FILES = (*SECRETS, "ca.pem", "config.yaml")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "elsewhere").write_bytes(b"precious")
    return tmp_path / "out"


def is_sound(path: Path) -> bool:
    """Return whether it is a file of its own with the right mode; only what is no secret can be read by others."""
    status = path.lstat()
    modes = (0o600,) if path.name in SECRETS else (0o644, 0o600)
    return stat.S_ISREG(status.st_mode) and stat.S_IMODE(status.st_mode) in modes and status.st_nlink == 1


@pytest.mark.parametrize("umask", [0o000, 0o022])
def test_a_new_folder_and_its_secrets_are_private_whatever_the_umask(
    simulator: Simulator, folder: Path, umask: int
) -> None:
    before = os.umask(umask)
    try:
        write_demo_configuration(folder, [simulator])
    finally:
        os.umask(before)
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert sorted(file.name for file in folder.iterdir()) == sorted(FILES)
    assert all(is_sound(folder / name) for name in FILES)


@pytest.mark.parametrize("name", [*FILES, *(f".{name}.tmp" for name in FILES)])
@pytest.mark.parametrize("plant", PLANTED)
def test_what_was_planted_is_replaced_and_never_written_to(
    simulator: Simulator, folder: Path, name: str, plant: Callable[[Path], None]
) -> None:
    folder.mkdir()
    plant(folder / name)
    write_demo_configuration(folder, [simulator])
    assert sorted(file.name for file in folder.iterdir()) == sorted(FILES)
    assert all(is_sound(folder / written) for written in FILES)
    assert (folder.parent / "elsewhere").read_bytes() == b"precious"


@pytest.mark.parametrize("name", FILES)
def test_a_hard_link_and_an_open_file_are_replaced(simulator: Simulator, folder: Path, name: str) -> None:
    folder.mkdir()
    (folder / name).hardlink_to(folder.parent / "elsewhere")
    (folder / name).chmod(0o644)
    write_demo_configuration(folder, [simulator])
    assert is_sound(folder / name)
    assert (folder.parent / "elsewhere").read_bytes() == b"precious"


@pytest.mark.parametrize("mode", [0o702, 0o777, 0o1777])
def test_a_folder_that_everyone_can_write_to_is_refused(simulator: Simulator, folder: Path, mode: int) -> None:
    folder.mkdir()
    folder.chmod(mode)
    with pytest.raises(PermissionError, match="every user can write to it"):
        write_demo_configuration(folder, [simulator])
    assert not list(folder.iterdir())


@needs_root
@pytest.mark.parametrize("through_a_link", ["folder", "link"])
def test_a_folder_or_link_of_another_user_is_refused(simulator: Simulator, folder: Path, through_a_link: str) -> None:
    folder.mkdir()
    given_away = folder
    if through_a_link == "link":
        given_away = folder.with_name("link")
        given_away.symlink_to("out")
    os.lchown(given_away, STRANGER, -1)
    with pytest.raises(PermissionError, match=f"user id {STRANGER}"):
        write_demo_configuration(given_away, [simulator])
    assert not list(folder.iterdir())
