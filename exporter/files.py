"""The state directory: whole files or nothing, readable by their owner only, one writer at a time."""

import fcntl
import os
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from exporter.errors import PollAborted, StateError

PRIVATE_DIRECTORY = 0o700
PRIVATE_FILE = 0o600


class StateDirectory:
    """Reads and replaces files below one directory, and knows whether that works at the moment."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self._writable = True
        self._writing = threading.Lock()
        self._closed = False

    @property
    def writable(self) -> bool:
        """Whether the newest write succeeded."""
        return self._writable

    def check(self) -> None:
        """Prove that the directory can be written; raises StateError."""
        self.replace("write-check", b"")

    def replace(self, name: str, *pieces: bytes) -> None:
        """Replace the file `name` (relative to the root) so that a crash leaves the old one or the new one.

        Large contents come in pieces, so that they are not copied into one. Raises StateError;
        PollAborted once the directory is closed.
        """
        self.update(name, lambda: pieces)

    def update(self, name: str, decide: Callable[[], bytes | Sequence[bytes] | None]) -> None:
        """Replace the file by what `decide` returns; None leaves it as it is.

        Raises StateError; PollAborted once the directory is closed.

        `decide` runs under a lock that writers of other processes respect, so it may read the file first.
        The lock also gives the temporary file a fixed name: a crash leaves at most one.
        """
        path = self.root / name
        with self._writing:
            if self._closed:
                raise PollAborted
            try:
                # Of a deeper path mkdir would give the mode to the last directory only.
                self.root.mkdir(mode=PRIVATE_DIRECTORY, parents=True, exist_ok=True)
                path.parent.mkdir(mode=PRIVATE_DIRECTORY, exist_ok=True)
                with _locked(path.parent / ".lock"):
                    content = decide()
                    if content is not None:
                        _write_and_rename(path, [content] if isinstance(content, bytes) else content)
            except OSError as error:
                self._writable = False
                raise StateError(
                    f"can't write {path}: {error.strerror or error}",
                    remedy="state_dir must be a directory that this user can write, with space left",
                ) from error
            self._writable = True

    def close(self, timeout_seconds: float) -> bool:
        """Let no further write of this process begin; return whether the one under way has ended in time.

        Threads that poll are not waited for at the end, and one may come to a write at any moment: it is
        told to stop there. A write that a slow disk holds up longer than this costs nothing but itself: the
        file is the old one until it is the new one, and the next start replaces what is left beside it.
        """
        self._closed = True
        if not self._writing.acquire(timeout=timeout_seconds):
            return False
        self._writing.release()
        return True

    def read(self, name: str) -> bytes | None:
        """Return the file's bytes, or None where there is none; raises StateError."""
        path = self.root / name
        try:
            return path.read_bytes()
        except FileNotFoundError:
            return None
        except OSError as error:
            raise StateError(
                f"can't read {path}: {error.strerror or error}",
                remedy="state_dir and what is in it must belong to this user, and be readable",
            ) from error


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    """Hold an exclusive lock that also holds between processes."""
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, PRIVATE_FILE)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def _write_and_rename(path: Path, pieces: Sequence[bytes]) -> None:
    temporary = path.with_name(f".{path.name}.tmp")
    temporary.unlink(missing_ok=True)
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, PRIVATE_FILE)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.writelines(pieces)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except OSError:
        temporary.unlink(missing_ok=True)
        raise
    _sync_directory(path.parent)


def _sync_directory(path: Path) -> None:
    """Make the rename itself durable."""
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
