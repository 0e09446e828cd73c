"""Files: replaced atomically, locked between processes, and how to notice that one has changed."""

import errno
import fcntl
import os
import stat
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from exporter.errors import PollAborted, StateError
from exporter.messages import line

PRIVATE_DIRECTORY = 0o700
PRIVATE_FILE = 0o600

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
    # Unlike the time of the last write, the change time can't be set back, and moves with mode and owner.
    return (status.st_ino, status.st_ctime_ns, status.st_mtime_ns, status.st_size)


def read_regular(path: Path, max_bytes: int = 1024**2) -> bytes:
    """Return the content of a file that somebody else writes; raises OSError.

    A pipe would be waited for, and a device may have no end: both are refused, as is a larger file.
    """
    with _opened(path, os.O_RDONLY | os.O_NONBLOCK) as descriptor:
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


def write_atomically(path: Path, pieces: Iterable[bytes], *, mode: int = PRIVATE_FILE) -> None:
    """Replace a file so that a crash leaves the old content or the new; raises OSError. Two writers need a lock."""
    # The name is fixed, so that crashes leave one such file at most.
    temporary = path.with_name(f".{path.name}.tmp")
    temporary.unlink(missing_ok=True)
    try:
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
        with os.fdopen(descriptor, "wb") as file:
            file.writelines(pieces)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
    with _opened(path.parent, os.O_RDONLY | os.O_DIRECTORY) as directory:
        os.fsync(directory)  # makes the rename itself durable


class StateDirectory:
    """Reads and replaces files below one directory, private to this user, one writer at a time."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.writable = True  # whether the last write succeeded
        self._write_lock = threading.Lock()
        self._closed = False

    def check(self) -> None:
        """Check by a write that the directory can be written; raises StateError."""
        self.replace("write-check", b"")

    def replace(self, name: str, *pieces: bytes) -> None:
        """Replace the file by these pieces, which are not copied into one; raises what `update` does."""
        self.update(name, lambda: pieces)

    def update(self, name: str, decide: Callable[[], bytes | Sequence[bytes] | None]) -> bool:
        """Replace the file with what `decide` returns and return True; None leaves it as it is.

        `decide` runs under a lock that other processes respect, so it may read the file first.
        Raises StateError; PollAborted once the directory is closed.
        """
        path = self.root / name
        with self._write_lock:
            if self._closed:
                raise PollAborted
            try:
                # With `parents`, mkdir gives the mode to the last directory only.
                self.root.mkdir(mode=PRIVATE_DIRECTORY, parents=True, exist_ok=True)
                path.parent.mkdir(mode=PRIVATE_DIRECTORY, exist_ok=True)
                with _opened(path.parent / ".lock", os.O_RDWR | os.O_CREAT) as lock:
                    fcntl.flock(lock, fcntl.LOCK_EX)
                    content = decide()
                    if content is not None:
                        write_atomically(path, [content] if isinstance(content, bytes) else content)
            except OSError as error:
                self.writable = False
                raise StateError(
                    line("can't write {}: {}", path, error),
                    remedy=line("state_dir must be a directory that this user can write to, with free space"),
                ) from error
            self.writable = True
            return content is not None

    def close(self, timeout_seconds: float) -> bool:
        """Let no further write of this process begin; return whether the current one ended in time.

        Poll threads are not waited for at exit: one that is about to write is told to stop. A write that a
        slow disk holds up for longer than this is lost without harm: the old file stays.
        """
        self._closed = True
        if not self._write_lock.acquire(timeout=timeout_seconds):
            return False
        self._write_lock.release()
        return True

    def read(self, name: str) -> bytes | None:
        """Return the file's bytes, or None if there is none; raises StateError."""
        path = self.root / name
        try:
            return path.read_bytes()
        except FileNotFoundError:
            return None
        except OSError as error:
            raise StateError(
                line("can't read {}: {}", path, error),
                remedy=line("state_dir and everything in it must belong to this user and be readable"),
            ) from error


@contextmanager
def _opened(path: Path, flags: int) -> Iterator[int]:
    descriptor = os.open(path, flags, PRIVATE_FILE)
    try:
        yield descriptor
    finally:
        os.close(descriptor)
