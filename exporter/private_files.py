"""Files that only this user, and at most its group, can have written.

Whatever another user could have put in place of a directory or a file is neither followed nor waited for: links,
pipes, devices, and what belongs to others or can be written by them.
"""

import errno
import os
import pwd
import shlex
import stat
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from exporter.container import in_kubernetes, is_of_host, on_host
from exporter.errors import StateError
from exporter.local_text import local_text
from exporter.messages import Line, joined, line

PRIVATE_DIRECTORY = 0o700
PRIVATE_FILE = 0o600
_MAX_COMMAND = 4_000
_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC
# Without O_NONBLOCK, opening a pipe waits for its other end for ever.
_UNFOLLOWED = os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
# Many network and FUSE file systems can't sync a directory, some none that isn't open for writing, which none can be.
_NO_DIRECTORY_SYNC = (errno.EINVAL, errno.ENOSYS, errno.EOPNOTSUPP, errno.EBADF)
_MODES = {stat.S_IROTH: line("world-readable"), stat.S_IWOTH: line("world-writable")}
_PRIVATE = line(
    "it must be an ordinary file or directory of the user that runs this program, and no other user may write to it: "
    "remove it, fix it with chown and chmod o-w, or use another directory"
)


class Distrusted(StateError):
    """Another user may have put this directory or file there, or may change it; `why` is what gives it away."""

    def __init__(self, path: Path, why: Line, *, remedy: Line = _PRIVATE) -> None:
        super().__init__(line("{} is not used: {}", path, why), remedy=remedy)
        self.why = why


@contextmanager
def private_directory(path: Path) -> Iterator[int]:
    """Yield a descriptor of an existing directory that no other user can write to; raises OSError, Distrusted.

    It may be a link of root or of this user: systemd makes one of a state directory with DynamicUser.
    """
    with opened_directory(path) as directory:
        _check_directory(path, os.fstat(directory))
        yield directory


@contextmanager
def opened_directory(path: Path) -> Iterator[int]:
    """Yield a descriptor of an existing directory, whoever can write to it; raises OSError, Distrusted for a link."""
    link = path.lstat()
    if stat.S_ISLNK(link.st_mode):
        _check_owner(path, link, 0, os.geteuid())
    with closing_descriptor(os.open(path, _DIRECTORY)) as directory:
        yield directory


@contextmanager
def subdirectory(path: Path, parent: int, *, create: bool = False) -> Iterator[int]:
    """Yield a descriptor of such a directory in an open one, and never of a link; raises OSError, Distrusted."""
    if create:
        with suppress(FileExistsError):
            os.mkdir(path.name, PRIVATE_DIRECTORY, dir_fd=parent)
    if stat.S_ISLNK(os.stat(path.name, dir_fd=parent, follow_symlinks=False).st_mode):
        raise Distrusted(path, line("it is a symbolic link"))
    with closing_descriptor(os.open(path.name, _DIRECTORY | _UNFOLLOWED, dir_fd=parent)) as directory:
        _check_directory(path, os.fstat(directory))
        yield directory


def check_file(path: Path, status: os.stat_result, refused_mode: int = stat.S_IWOTH) -> None:
    """Raise Distrusted unless it is a file of this user without any bit of `refused_mode`; OSError for a directory."""
    if stat.S_ISDIR(status.st_mode):
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))
    if not stat.S_ISREG(status.st_mode):
        raise Distrusted(path, line("it is a link, a pipe, a socket or a device, not a file"))
    _check_owner(path, status, os.geteuid())
    _check_mode(path, status, refused_mode)


def is_private(path: Path) -> bool:
    """Return whether there is a file that only this user, or its group, can have written; not through a link."""
    try:
        status = path.lstat()
        check_file(path, status)
    except (OSError, Distrusted):
        return False
    return status.st_nlink == 1


def replace_file(folder: int, name: str, pieces: Iterable[bytes], mode: int) -> None:
    """Replace a file in an open directory; whatever is there, link or pipe, is replaced and never written to."""
    # The name is fixed, so that crashes leave one such file at most.
    temporary = f".{name}.tmp"
    with suppress(FileNotFoundError):
        os.unlink(temporary, dir_fd=folder)
    try:
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | _UNFOLLOWED, mode, dir_fd=folder)
        with os.fdopen(descriptor, "wb") as file:
            file.writelines(pieces)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, name, src_dir_fd=folder, dst_dir_fd=folder)
    finally:
        with suppress(FileNotFoundError):
            os.unlink(temporary, dir_fd=folder)
    sync_directory(folder)  # makes the rename itself durable


def sync_directory(descriptor: int) -> None:
    """Write a directory's changes to the disk, where the file system can do that for directories; raises OSError."""
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno not in _NO_DIRECTORY_SYNC:
            raise


@contextmanager
def private_file(path: Path, flags: int, folder: int, refused_mode: int = stat.S_IWOTH) -> Iterator[int]:
    """Yield a descriptor of a file in an open directory; raises OSError, Distrusted."""
    # Before as well: opening a device may do something, and a socket's error says nothing.
    with suppress(FileNotFoundError):
        check_file(path, os.stat(path.name, dir_fd=folder, follow_symlinks=False), refused_mode)
    with closing_descriptor(os.open(path.name, flags | _UNFOLLOWED, PRIVATE_FILE, dir_fd=folder)) as descriptor:
        check_file(path, os.fstat(descriptor), refused_mode)
        yield descriptor


@contextmanager
def closing_descriptor(descriptor: int) -> Iterator[int]:
    """Close it at the end."""
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def _check_directory(path: Path, status: os.stat_result) -> None:
    _check_owner(path, status, 0, os.geteuid())
    _check_mode(path, status, stat.S_IWOTH)


def _check_owner(path: Path, status: os.stat_result, *trusted: int) -> None:
    if status.st_uid not in trusted:
        raise belongs_to_another(path, status.st_uid)


def belongs_to_another(path: Path, uid: int) -> Distrusted:
    """Return what to raise for a file of another user; only people know whether this one may have it."""
    why = line("it belongs to {}, not to {}", user_name(uid), user_name(os.geteuid()))
    return Distrusted(path, why, remedy=line("if it is of this exporter, {}; otherwise remove it", chown("-h", path)))


def user_name(uid: int) -> Line:
    """Return a user's name, or the id where there is none, for people."""
    name = account(uid)
    return line("user id {}", uid) if name.startswith("#") else local_text(name)


def account(uid: int) -> str:
    """Return a user's name, or what stands for the id where there is none, for sudo and chown."""
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return f"#{uid}"


def chown(flag: str, path: Path) -> Line:
    """Return the command that gives a file to this user."""
    me = account(os.geteuid())
    # Without a name, chown wants the group as well.
    numbers = f"{os.geteuid()}:{os.getegid()}"
    if in_kubernetes():
        command = shell_line("chown", flag, numbers, path)
        return line("set securityContext.fsGroup: {} for the pod, or run {} in a pod of root", os.getegid(), command)
    if is_of_host(path):
        # The host doesn't know the names of the image, and the image has no sudo.
        return on_host(shell_line("sudo", "chown", flag, numbers, path))
    return shell_line("sudo", "chown", flag, numbers if me.startswith("#") else f"{me}:", path)


def shell_line(*words: str | Path) -> Line:
    """Return a command for a shell."""
    return local_text(shlex.join(map(str, words)), limit=_MAX_COMMAND)


def _check_mode(path: Path, status: os.stat_result, refused: int) -> None:
    """Only others count: Kubernetes makes volumes writable by a group on purpose (fsGroup)."""
    if status.st_mode & refused:
        words = joined((word for bit, word in _MODES.items() if bit & refused), " or ")
        chmod = shell_line("chmod", "o-rwx", path)
        raise Distrusted(path, line("it is {}", words), remedy=line("{}, or use another directory", chmod))
