"""Files: replaced atomically, locked between processes, and how to notice that one has changed."""

import errno
import fcntl
import os
import stat
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from exporter.errors import PollAborted, StateError
from exporter.messages import Line, line
from exporter.private_files import (
    PRIVATE_DIRECTORY,
    PRIVATE_FILE,
    Distrusted,
    check_file,
    closing_descriptor,
    private_directory,
    private_file,
    replace_file,
    subdirectory,
)

# Far more than the system's own CAs need.
_MAX_PEM_BYTES = 16 * 1024 * 1024
# Far more than a token or a schedule needs.
_MAX_BYTES = 1024 * 1024
_STATE_FOLDERS = ("tokens", "polls", "data")
_LOCK_TIMEOUT_SECONDS = 10.0
# After a failed write the next ones don't wait as long: together they would hold up every poll.
_SHORT_LOCK_TIMEOUT_SECONDS = 1.0
_LOCK_RETRY_SECONDS = 0.05

# What a file's status says of its content: two equal ones mean that nobody has touched the file.
Signature = tuple[tuple[int, ...] | None, ...]


def signature(*paths: Path) -> Signature:
    """Return what differs once a file was written, replaced, created, removed or given another mode.

    Symlinks are followed, as Kubernetes updates a volume by swapping one. Two writes of the same size within
    one tick of the file system's clock look alike: where that matters, compare the content.
    """
    return tuple(_status(path) for path in paths)


def _status(path: Path) -> tuple[int, ...] | None:
    try:
        status = path.stat()
    except OSError:
        return None
    # Unlike the time of the last write, the change time can't be set back, and moves with mode and owner. The device
    # is another one where something was mounted over the file.
    return (status.st_dev, status.st_ino, status.st_ctime_ns, status.st_mtime_ns, status.st_size)


def read_regular(path: Path, max_bytes: int = 1024**2) -> bytes:
    """Return the content of a file that somebody else writes; raises OSError.

    A pipe would be waited for, and a device may have no end: both are refused, as is a larger file.
    """
    # Without O_NONBLOCK, opening a pipe waits for its other end for ever.
    with closing_descriptor(os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)) as descriptor:
        mode = os.fstat(descriptor).st_mode
        if stat.S_ISDIR(mode):
            raise OSError(errno.EISDIR, os.strerror(errno.EISDIR), str(path))
        if not stat.S_ISREG(mode):
            raise OSError(errno.EINVAL, "it is not a regular file", str(path))
        with open(descriptor, "rb", closefd=False) as file:
            content = file.read(max_bytes + 1)
    if len(content) > max_bytes:
        raise OSError(errno.EFBIG, f"it is larger than {max_bytes:,} bytes", str(path))
    return content


def check_pem(path: Path) -> None:
    """Raise OSError for a file that OpenSSL, which opens it by itself, would wait for or never be done with."""
    read_regular(path, _MAX_PEM_BYTES)


def write_atomically(path: Path, pieces: Iterable[bytes], *, mode: int = PRIVATE_FILE) -> None:
    """Replace a file so that a crash leaves the old content or the new. Two writers need a lock.

    A link or pipe in its place is replaced too, and never written to. Raises OSError; Distrusted where another
    user can write to the directory.
    """
    with private_directory(path.parent) as directory:
        replace_file(directory, path.name, pieces, mode)


class StateDirectory:
    """Reads and replaces files below one directory, private to this user, one writer at a time."""

    def __init__(self, root: Path, *, lock_timeout_seconds: float = _LOCK_TIMEOUT_SECONDS) -> None:
        self.root = root
        self.writable = True  # whether the last write succeeded
        self._lock_timeout_seconds = lock_timeout_seconds
        self._write_lock = threading.Lock()
        self._closed = threading.Event()

    def check(self) -> None:
        """Check that only this user can have written what is there, and by a write that it can; raises StateError."""
        self.replace("write-check", b"")
        for name in _STATE_FOLDERS:
            folder = self.root / name
            try:
                with suppress(FileNotFoundError), self._folder(folder) as descriptor, os.scandir(descriptor) as entries:
                    for entry in entries:
                        if not entry.is_dir(follow_symlinks=False):
                            check_file(folder / entry.name, entry.stat(follow_symlinks=False))
            except OSError as error:
                raise _unreadable(folder, error) from error

    def replace(self, name: str, *pieces: bytes) -> None:
        """Replace the file by these pieces, which are not copied into one; raises what `update` does."""
        self.update(name, lambda: pieces)

    def update(self, name: str, decide: Callable[[], bytes | Sequence[bytes] | None]) -> bool:
        """Replace the file with what `decide` returns and return True; None leaves it as it is.

        `decide` runs under a lock that other processes respect, so it may read the file first.
        Raises StateError; PollAborted once the directory is closed.
        """
        path = self.root / name
        timeout = self._lock_timeout_seconds
        ends_at = time.monotonic() + (timeout if self.writable else min(timeout, _SHORT_LOCK_TIMEOUT_SECONDS))
        try:
            with self._one_thread(ends_at):
                # With `parents`, mkdir gives the mode to the last directory only.
                self.root.mkdir(mode=PRIVATE_DIRECTORY, parents=True, exist_ok=True)
                with self._folder(path.parent, create=True) as folder, self._one_process(path.parent, folder, ends_at):
                    content = decide()
                    if content is not None:
                        pieces = [content] if isinstance(content, bytes) else content
                        replace_file(folder, path.name, pieces, PRIVATE_FILE)
                    self.writable = True
                    return content is not None
        except _LockHeld as error:
            self.writable = False
            raise StateError(
                line("can't write {}: {}", path, error.why),
                remedy=line(
                    "end the other program that uses this state_dir (`fuser -v` on the lock shows it), "
                    "or give this one a state_dir of its own"
                ),
            ) from error
        except OSError as error:
            self.writable = False
            raise StateError(
                line("can't write {}: {}", path, error),
                remedy=line("state_dir must be a directory that this user can write to, with free space"),
            ) from error
        except Distrusted:
            self.writable = False
            raise

    def close(self, timeout_seconds: float) -> bool:
        """Let no further write of this process begin; return whether the current one ended in time.

        Poll threads are not waited for at exit: one that is about to write is told to stop. A write that a
        slow disk holds up for longer than this is lost without harm: the old file stays.
        """
        self._closed.set()
        if not self._write_lock.acquire(timeout=timeout_seconds):
            return False
        self._write_lock.release()
        return True

    def read(self, name: str, *, max_bytes: int = _MAX_BYTES, refused_mode: int = stat.S_IWOTH) -> bytes | None:
        """Return the file's bytes, or None if there is none; raises StateError.

        Raises Distrusted for a larger file, and for one with any bit of `refused_mode`.
        """
        path = self.root / name
        try:
            with (
                self._folder(path.parent) as folder,
                private_file(path, os.O_RDONLY, folder, refused_mode) as descriptor,
            ):
                size = os.fstat(descriptor).st_size
                if size > max_bytes:
                    raise Distrusted(path, line("it is larger than {:,} bytes", max_bytes))
                with os.fdopen(descriptor, "rb", closefd=False) as file:
                    return file.read(size)
        except FileNotFoundError:
            return None
        except OSError as error:
            raise _unreadable(path, error) from error

    @contextmanager
    def _folder(self, path: Path, *, create: bool = False) -> Iterator[int]:
        """Yield a descriptor of the root or of a directory in it. Raises OSError, Distrusted."""
        with private_directory(self.root) as root:
            if path == self.root:
                yield root
                return
            with subdirectory(path, root, create=create) as folder:
                yield folder

    @contextmanager
    def _one_thread(self, ends_at: float) -> Iterator[None]:
        acquired = self._write_lock.acquire(timeout=max(ends_at - time.monotonic(), 0.0))
        if not acquired and not self._closed.is_set():
            raise _LockHeld(line("another write of this program is still under way"))
        try:
            if self._closed.is_set():
                raise PollAborted
            yield
        finally:
            if acquired:
                self._write_lock.release()

    @contextmanager
    def _one_process(self, path: Path, folder: int, ends_at: float) -> Iterator[None]:
        """Hold the lock of a folder. The lock goes with its descriptor."""
        file = path / ".lock"
        with private_file(file, os.O_RDWR | os.O_CREAT, folder) as lock:
            while not _lock(lock):
                if time.monotonic() >= ends_at:
                    raise _LockHeld(line("another program holds the lock {}", file))
                if self._closed.wait(_LOCK_RETRY_SECONDS):
                    raise PollAborted
            yield


class _LockHeld(Exception):
    """A lock was not to be had in time."""

    def __init__(self, why: Line) -> None:
        super().__init__(why)
        self.why = why


def _lock(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _unreadable(path: Path, error: OSError) -> StateError:
    return StateError(
        line("can't read {}: {}", path, error),
        remedy=line("state_dir and everything in it must belong to this user and be readable"),
    )
