"""What a file system must be able to do, tried on real files with the modes and owners of others."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from exporter.file_system import check_file_system, why_not_private
from tests.support.planted import STRANGER, needs_root

MAKE: dict[str, Callable[[Path], object]] = {"0600": Path.touch, "0700": Path.mkdir}


def made(folder: Path, wanted: str, mode: int) -> os.stat_result:
    path = folder / "new"
    MAKE[wanted](path)
    path.chmod(mode)
    return path.stat()


@pytest.mark.parametrize("wanted", MAKE)
@pytest.mark.parametrize("mode", [0o600, 0o700, 0o660, 0o770, 0o2770])
def test_what_only_the_user_or_the_group_of_the_mount_can_open_is_private(
    tmp_path: Path, mode: int, wanted: str
) -> None:
    assert why_not_private(made(tmp_path, wanted, mode)) is None


@pytest.mark.parametrize("wanted", MAKE)
@pytest.mark.parametrize("mode", [0o777, 0o755, 0o644, 0o701, 0o702, 0o704])
def test_a_mode_that_was_not_asked_for_is_named(tmp_path: Path, mode: int, wanted: str) -> None:
    reason = why_not_private(made(tmp_path, wanted, mode))
    assert reason == f"keeps no modes: what is created with mode {wanted} has {mode:04o}"


@needs_root
def test_another_owner_is_named(tmp_path: Path) -> None:
    (tmp_path / "new").touch(0o600)
    os.chown(tmp_path / "new", STRANGER, -1)
    reason = why_not_private((tmp_path / "new").stat())
    assert reason == f"keeps no owners: what user id 0 creates belongs to user id {STRANGER}"


@pytest.mark.parametrize("umask", [0o000, 0o022, 0o077])
def test_an_ordinary_directory_passes_and_keeps_nothing_of_the_check(tmp_path: Path, umask: int) -> None:
    before = os.umask(umask)
    try:
        check_file_system(tmp_path)
    finally:
        os.umask(before)
    assert list(tmp_path.iterdir()) == []
