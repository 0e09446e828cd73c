"""Files in a folder that only this user can change, never written through a link or a pipe that somebody put there."""

import os
import stat
from contextlib import suppress
from pathlib import Path


def make_private_folder(folder: Path) -> None:
    """Create the folder unless it exists; raises PermissionError if another user could change what is in it."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    for status in (folder.lstat(), folder.stat()):
        if status.st_uid not in (0, os.geteuid()):
            raise PermissionError(0, f"it belongs to user id {status.st_uid}, not to {os.geteuid()}")
    if status.st_mode & stat.S_IWOTH:
        raise PermissionError(0, "every user can write to it")


def replace_file(file: Path, content: bytes, *, mode: int) -> None:
    """Replace whatever is at this path by a new file of this mode, less the umask; raises OSError."""
    temporary = file.with_name(f".{file.name}.tmp")
    with suppress(FileNotFoundError):
        temporary.unlink()
    try:
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, mode)
        with os.fdopen(descriptor, "wb") as handle:
            handle.write(content)
        temporary.replace(file)
    finally:
        temporary.unlink(missing_ok=True)
