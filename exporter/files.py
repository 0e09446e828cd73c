"""Files: replaced atomically, locked between processes, and how to notice that one has changed."""

import errno
import os
import stat
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path

from exporter.disk import Disk
from exporter.errors import PollAborted, StateError
from exporter.file_system import LockHeldError, check_file_system, lock, unreadable, unwritable
from exporter.messages import Line, line
from exporter.ownership import check_owners, check_user, way_in
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
# More than a token needs: Entra ID's have at most 16 KiB.
_ENOUGH_BYTES = 32 * 1024
_STATE_FOLDERS = ("tokens", "polls", "data")
_LOCK = ".lock"
_LOCK_TIMEOUT_SECONDS = 10.0
# After a failed write the next ones don't wait as long: together they would hold up every poll.
_SHORT_LOCK_TIMEOUT_SECONDS = 1.0
_LOCK_RETRY_SECONDS = 0.05
_ANSWER_TIMEOUT_SECONDS = 10.0
# A large file may take longer.
_SLOWEST_BYTES_PER_SECOND = 10_000_000


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
    """Reads and replaces files below one directory, private to this user, one writer at a time.

    Neither a lock nor a file system that has stopped answering is waited for without a deadline.
    """

    def __init__(
        self,
        root: Path,
        *,
        lock_timeout_seconds: float = _LOCK_TIMEOUT_SECONDS,
        answer_timeout_seconds: float = _ANSWER_TIMEOUT_SECONDS,
    ) -> None:
        self.root = root
        self._is_new = False
        self._lock_timeout_seconds = lock_timeout_seconds
        self._answer_timeout_seconds = answer_timeout_seconds
        # Writes may hang where reads don't; besides, one that takes long holds up no read.
        self._reads, self._writes = Disk(), Disk()
        self._closed = threading.Event()
        self._last_write_failed = False
        self._unwritten: dict[str, Sequence[bytes]] = {}
        self._overdue: set[str] = set()  # those of them whose last write failed: others are being written
        self._signatures: dict[str, Signature] = {}

    @property
    def is_new_of_root(self) -> bool:
        """Whether root has made it here, where other users can come as well: they can't use it."""
        return self._is_new and os.geteuid() == 0 and bool(self.root.parent.stat().st_mode & stat.S_IXOTH)

    @property
    def writable(self) -> bool:
        """Whether no write of `replace` has failed that was not made up for, and the file system answers."""
        return not self._overdue and self.answers

    @property
    def answers(self) -> bool:
        """Whether no operation hangs that somebody has given up."""
        return self._reads.answers and self._writes.answers

    def check(self) -> None:
        """Check that only this user can have written what is there, and that a token can be saved; raises StateError.

        If all that is wrong is that another program holds a lock, this is LockHeldError.
        """
        self._unwritten["write-check"] = (b"",)
        self._overdue.add("write-check")
        try:
            self._writes.run(self._look, timeout_seconds=self._seconds_for(0))
        except OSError as error:
            raise unwritable(self.root, error) from error
        for name in _STATE_FOLDERS:
            self.update(f"{name}/write-check", lambda: None)
        # A full disk may still take an empty file. The second write needs one more inode, as a token does.
        self.update("write-check", lambda: bytes(_ENOUGH_BYTES))
        self.replace("write-check", b"")

    def check_user(self) -> None:
        """Raise WrongUserError where another user must run this program, StateError; write nothing."""
        try:
            look = partial(check_user, self.root, _STATE_FOLDERS)
            self._reads.run(look, timeout_seconds=self._seconds_for(0))
        except OSError as error:
            raise unreadable(self.root, error) from error

    def replace(self, name: str, *pieces: bytes) -> None:
        """Replace the file by these pieces, which are not copied into one; raises what `update` does.

        What can't be written now, `retry` writes.
        """
        if self._closed.is_set():
            raise PollAborted
        self._unwritten[name] = pieces
        self.update(name, partial(self._unwritten.get, name))

    def retry(self) -> Sequence[StateError]:
        """Write what could not be replaced, without waiting for a lock; return what is wrong still."""
        errors: list[StateError] = []
        for name in tuple(self._unwritten):
            try:
                self._update(name, partial(self._unwritten.get, name), lock_timeout_seconds=0.0)
            except StateError as error:
                errors.append(error)
        return errors

    def update(self, name: str, decide: Callable[[], bytes | Sequence[bytes] | None]) -> bool:
        """Replace the file with what `decide` returns and return True; None leaves it as it is.

        `decide` runs under a lock that other processes respect, so it may read the file first. If the file system has
        stopped answering, all this may still happen after the error, once it answers again.
        Raises StateError; PollAborted once the directory is closed.
        """
        longest = _SHORT_LOCK_TIMEOUT_SECONDS if self._last_write_failed else self._lock_timeout_seconds
        return self._update(name, decide, lock_timeout_seconds=min(longest, self._lock_timeout_seconds))

    def close(self, timeout_seconds: float) -> bool:
        """Let no further write of this process begin; return whether the current one ended in time.

        Poll threads are not waited for at exit: one that is about to write is told to stop. A write that a
        slow disk holds up for longer than this is lost without harm: the old file stays.
        """
        self._closed.set()
        try:
            self._writes.run(lambda: None, timeout_seconds=timeout_seconds)
        except OSError:
            return False
        return True

    def read(self, name: str, *, max_bytes: int = _MAX_BYTES, refused_mode: int = stat.S_IWOTH) -> bytes | None:
        """Return the file's bytes, or None if there is none; raises StateError.

        Raises Distrusted for a larger file, and for one with any bit of `refused_mode`.
        """
        try:
            read = partial(self._read, self.root / name, max_bytes, refused_mode)
            return self._reads.run(read, timeout_seconds=self._seconds_for(max_bytes))
        except FileNotFoundError:
            return None
        except OSError as error:
            raise unreadable(self.root / name, error) from error

    def names(self, folder: str) -> Sequence[str]:
        """Return the names of what is in a folder; none if it can't be read."""
        with suppress(OSError):
            names = partial(os.listdir, self.root / folder)
            return self._reads.run(names, timeout_seconds=self._seconds_for(0))
        return ()

    def signature(self, name: str) -> Signature:
        """Return the file's signature, the last one known if the file system doesn't answer."""
        with suppress(OSError):
            read = partial(signature, self.root / name)
            self._signatures[name] = self._reads.run(read, timeout_seconds=self._seconds_for(0))
        return self._signatures.get(name, (None,))

    def _seconds_for(self, size: int) -> float:
        return self._answer_timeout_seconds + size / _SLOWEST_BYTES_PER_SECOND

    def _look(self) -> None:
        """Look at the file system and at every file. Raises OSError, StateError."""
        check_user(self.root, _STATE_FOLDERS)
        self._make_root()
        with self._allowed(unwritable, self.root):
            check_file_system(self.root)
        check_owners(self.root, _STATE_FOLDERS)
        for name in _STATE_FOLDERS:
            self._look_into(self.root / name)

    def _look_into(self, path: Path) -> None:
        with self._allowed(unreadable, path), suppress(FileNotFoundError), self._folder(path) as folder:
            try:
                with os.scandir(folder) as entries:
                    for entry in entries:
                        if not entry.is_dir(follow_symlinks=False):
                            check_file(path / entry.name, entry.stat(follow_symlinks=False))
            except OSError as error:
                raise unreadable(path, error) from error
            if not os.access(path, os.W_OK | os.X_OK, effective_ids=True):
                raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))

    def _read(self, path: Path, max_bytes: int, refused_mode: int) -> bytes:
        with (
            self._allowed(unreadable, path),
            self._folder(path.parent) as folder,
            private_file(path, os.O_RDONLY, folder, refused_mode) as descriptor,
        ):
            size = os.fstat(descriptor).st_size
            if size > max_bytes:
                raise Distrusted(path, line("it is larger than {:,} bytes", max_bytes))
            with os.fdopen(descriptor, "rb", closefd=False) as file:
                return file.read(size)

    def _update(
        self, name: str, decide: Callable[[], bytes | Sequence[bytes] | None], *, lock_timeout_seconds: float
    ) -> bool:
        path, ends_at = self.root / name, time.monotonic() + lock_timeout_seconds
        write = partial(self._write, name, decide)
        seconds = self._seconds_for(sum(map(len, self._unwritten.get(name, ()))))
        try:
            while (written := self._writes.run(write, timeout_seconds=seconds)) is None:
                if time.monotonic() >= ends_at:
                    raise LockHeldError(path, path.with_name(_LOCK))
                if self._closed.wait(_LOCK_RETRY_SECONDS):
                    raise PollAborted
        except OSError as error:
            self._note_failed_write(name)
            raise unwritable(path, error) from error
        except StateError:
            self._note_failed_write(name)
            raise
        self._last_write_failed = False
        return written

    def _note_failed_write(self, name: str) -> None:
        self._last_write_failed = True
        if name in self._unwritten:
            self._overdue.add(name)

    def _write(self, name: str, decide: Callable[[], bytes | Sequence[bytes] | None]) -> bool | None:
        """Return whether anything was written; None while another program holds the lock."""
        path = self.root / name
        self._make_root()
        with (
            self._allowed(unwritable, path),
            self._folder(path.parent, create=True) as folder,
            private_file(path.with_name(_LOCK), os.O_RDWR | os.O_CREAT, folder) as descriptor,
        ):
            if not lock(descriptor, path.with_name(_LOCK)):
                return None
            if self._closed.is_set():
                raise PollAborted
            content = decide()
            if content is not None:
                replace_file(folder, path.name, [content] if isinstance(content, bytes) else content, PRIVATE_FILE)
            if content is self._unwritten.get(name):
                self._unwritten.pop(name, None)
                self._overdue.discard(name)
            return content is not None

    def _make_root(self) -> None:
        if not self.root.is_dir():
            with self._allowed(unwritable, self.root):
                # With `parents`, mkdir gives the mode to the last directory only.
                self.root.mkdir(mode=PRIVATE_DIRECTORY, parents=True, exist_ok=True)
            self._is_new = True

    @contextmanager
    def _allowed(self, refused: Callable[[Path, OSError, Line], StateError], path: Path) -> Iterator[None]:
        """Let an error say what keeps this user out."""
        try:
            yield
        except PermissionError as error:
            raise refused(path, error, way_in(self.root, path)) from error

    @contextmanager
    def _folder(self, path: Path, *, create: bool = False) -> Iterator[int]:
        """Yield a descriptor of the root or of a directory in it. Raises OSError, Distrusted."""
        with private_directory(self.root) as root:
            if path == self.root:
                yield root
                return
            with subdirectory(path, root, create=create) as folder:
                yield folder
