"""What another user can put in place of a file that a program is going to write."""

import os
import socket
import stat
from pathlib import Path

import pytest

STRANGER = 12_345
needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a file away")


def link_elsewhere(path: Path) -> None:
    path.symlink_to(path.parents[1] / "elsewhere")


def dangling_link(path: Path) -> None:
    path.symlink_to(path.parents[1] / "nowhere")


def pipe(path: Path) -> None:
    os.mkfifo(path)


def listening_socket(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as bound:
        bound.bind(str(path))


def device(path: Path) -> None:
    os.mknod(path, stat.S_IFCHR | 0o600, os.makedev(1, 5))


def anybodys(path: Path) -> None:
    path.write_bytes(b"{}")
    path.chmod(0o606)


def of_a_stranger(path: Path) -> None:
    path.write_bytes(b"{}")
    path.chmod(0o600)
    os.chown(path, STRANGER, -1)


PLANTED = [
    link_elsewhere,
    dangling_link,
    pipe,
    listening_socket,
    pytest.param(device, marks=needs_root),
    anybodys,
    pytest.param(of_a_stranger, marks=needs_root),
]
