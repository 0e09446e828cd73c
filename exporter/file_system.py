"""What a file system must be able to do to keep tokens, and what to do about one that can't, or doesn't answer."""

import errno
import fcntl
import os
import secrets
import stat
from pathlib import Path

from exporter.disk import NotAnsweringError
from exporter.errors import NOTHING, StateError
from exporter.messages import Line, line
from exporter.private_files import PRIVATE_DIRECTORY, PRIVATE_FILE, closing_descriptor, opened_directory

# EINVAL: a driver that doesn't know the operation; there is nothing else that could be invalid.
_NO_LOCKS = (errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP, errno.EINVAL)
_MODES_REMEDY = line(
    "mount it for the user of this program: Azure Files, SMB (CIFS) with uid=…,gid=…,dir_mode=0700,file_mode=0600, "
    "FAT, exFAT or NTFS with uid=…,gid=…,umask=0077 (chmod and chown change nothing there), NFS from an export without "
    "all_squash (and root_squash, for root), "
    "or use a state_dir on another file system"
)
_LOCKS_REMEDY = line(
    "mount it with locks: NFS with nfsvers=4, or version 3 with nolock or local_lock=flock, Azure Files, SMB (CIFS) "
    "with nobrl, Lustre with flock; or use a state_dir on another file system"
)
_WRITABLE = line("state_dir must be a directory that this user can write to, with free space")
_READABLE = line("state_dir and everything in it must belong to this user and be readable")
_FREE = line("free some space or inodes, `df -h` and `df -i` show which are used up")
_FIXES = {
    errno.ENOSPC: _FREE,
    errno.EDQUOT: line("free some of this user's quota, which `quota -s` shows, or raise it"),
    errno.EROFS: line("mount its file system read-write"),
}
_ANSWERING = line("check the disk of state_dir, or its network share and the server of that")


class UnsuitableFileSystemError(StateError):
    """The file system of state_dir lacks something that can't be done without."""


class LockHeldError(StateError):
    """Another program has not given back a lock in time."""

    def __init__(self, path: Path, lock: Path) -> None:
        super().__init__(
            line("can't write {}: another program holds the lock {}", path, lock),
            remedy=line(
                "end the other program that uses this state_dir (`fuser -v` on the lock shows it), "
                "or give this one a state_dir of its own"
            ),
        )


def unwritable(path: Path, error: OSError, fix: Line = NOTHING) -> StateError:
    """Return what to raise where a file can't be written; `fix` is what is known besides."""
    return StateError(line("can't write {}: {}", path, error), remedy=_remedy(error, _WRITABLE, fix))


def unreadable(path: Path, error: OSError, fix: Line = NOTHING) -> StateError:
    """Return what to raise where a file can't be read; `fix` is what is known besides."""
    return StateError(line("can't read {}: {}", path, error), remedy=_remedy(error, _READABLE, fix))


def _remedy(error: OSError, rule: Line, fix: Line) -> Line:
    if isinstance(error, NotAnsweringError):
        return _ANSWERING
    fix = fix or _FIXES.get(error.errno or 0, NOTHING)
    return line("{}: {}", rule, fix) if fix else rule


def check_file_system(path: Path) -> None:
    """Raise UnsuitableFileSystemError if new files in this directory aren't private, or can't be locked; OSError.

    Some file systems give every file the same mode and owner, and take a chmod without an effect, or refuse it.
    """
    probe = f".probe-{secrets.token_hex(8)}.tmp"  # another program may be trying as well
    with opened_directory(path) as directory:
        _check_new_file(path, directory, probe)
        os.mkdir(probe, PRIVATE_DIRECTORY, dir_fd=directory)
        try:
            _check_is_private(path, os.stat(probe, dir_fd=directory, follow_symlinks=False))
        finally:
            os.rmdir(probe, dir_fd=directory)


def _check_new_file(path: Path, directory: int, name: str) -> None:
    flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    with closing_descriptor(os.open(name, flags, PRIVATE_FILE, dir_fd=directory)) as descriptor:
        try:
            _check_is_private(path, os.fstat(descriptor))
            if not lock(descriptor, path):  # nobody else can hold it: the file is new
                raise _without_locks(path, line("a new file can't be locked"))
        finally:
            os.unlink(name, dir_fd=directory)


def _check_is_private(path: Path, new: os.stat_result) -> None:
    if why := why_not_private(new):
        raise UnsuitableFileSystemError(line("the file system of {} {}", path, why), remedy=_MODES_REMEDY)


def why_not_private(new: os.stat_result) -> Line | None:
    """Return what is wrong with a file or directory that was created as private; its group may be any."""
    if new.st_uid != os.geteuid():
        return line("keeps no owners: what user id {} creates belongs to user id {}", os.geteuid(), new.st_uid)
    if new.st_mode & stat.S_IRWXO:
        wanted = PRIVATE_DIRECTORY if stat.S_ISDIR(new.st_mode) else PRIVATE_FILE
        found = stat.S_IMODE(new.st_mode)
        return line("keeps no modes: what is created with mode {:04o} has {:04o}", wanted, found)
    return None


def lock(descriptor: int, path: Path) -> bool:
    """Take a lock that other programs respect, or return False; it goes with the descriptor.

    Raises UnsuitableFileSystemError where there are no locks; OSError.
    """
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except (BlockingIOError, PermissionError):  # SMB answers with EACCES
        return False
    except OSError as error:
        if error.errno not in _NO_LOCKS:
            raise
        raise _without_locks(path, error) from error
    return True


def _without_locks(path: Path, reason: Line | OSError) -> UnsuitableFileSystemError:
    message = line("the file system of {} has no locks (flock): {}", path, reason)
    return UnsuitableFileSystemError(message, remedy=_LOCKS_REMEDY)
