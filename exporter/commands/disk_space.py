"""How much may be written to a file system: what is free, less a reserve for everybody else."""

import os
from dataclasses import dataclass
from pathlib import Path

# Of the whole file system, so that a small one can be used too; at most this much.
_RESERVED_PART = 20
_MAX_RESERVED_BYTES = 1024**3


@dataclass(frozen=True, slots=True)
class DiskSpace:
    """Bytes of a file system that are free to this user, and how many of them stay so."""

    free: int
    reserved: int

    @property
    def usable(self) -> int:
        """Bytes that may be written."""
        return max(self.free - self.reserved, 0)


def disk_space(folder: Path) -> DiskSpace | None:
    """Return the space where the folder is, None if the file system doesn't say."""
    try:
        found = os.statvfs(folder)
    except OSError:
        return None
    if not found.f_blocks:
        return None
    reserved = min(found.f_blocks * found.f_frsize // _RESERVED_PART, _MAX_RESERVED_BYTES)
    return DiskSpace(found.f_bavail * found.f_frsize, reserved)
