"""Files that a program must not trust: it can't read them, or would never be done with them; and when they change."""

import os
from collections.abc import Callable, Mapping
from pathlib import Path
from types import MappingProxyType


def _loop(folder: Path) -> str:
    (folder / "loop").symlink_to("loop")
    return "loop"


def _directory(folder: Path) -> str:
    (folder / "directory").mkdir()
    return "directory"


def _below_a_file(folder: Path) -> str:
    (folder / "file").touch()
    return "file/below"


def _pipe(folder: Path) -> str:
    os.mkfifo(folder / "pipe")
    return "pipe"


def _binary(folder: Path) -> str:
    (folder / "binary").write_bytes(b"\xff\xfe\x00")
    return "binary"


def _huge(folder: Path) -> str:
    with (folder / "huge").open("wb") as file:
        file.truncate(1024**3)
    return "huge"


UNUSABLE: Mapping[str, Callable[[Path], str]] = MappingProxyType(
    {
        "a long name": lambda _folder: "x" * 300,
        "a long path": lambda _folder: "x/" * 4_000,
        "a loop": _loop,
        "a directory": _directory,
        "below a file": _below_a_file,
        "a pipe": _pipe,
        "a device": lambda _folder: "/dev/zero",
        "not text": _binary,
        "huge": _huge,
    }
)
"""Each makes its file in a folder and returns the path from there. They hold for root too, unlike permissions."""


def let_the_clock_tick(file: Path) -> None:
    """Return once the file system's clock has moved on since the file was changed."""
    probe = file.with_name("probe")
    while not probe.exists() or probe.stat().st_ctime_ns <= file.stat().st_ctime_ns:
        probe.touch()
