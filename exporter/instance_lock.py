"""One exporter per state directory: the lock that it holds while it runs, and who holds it."""

import fcntl
import os
import threading
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Self

import msgspec

from exporter.clock import Clock
from exporter.disk import Disk
from exporter.errors import StateError
from exporter.file_system import lock, unreadable, unwritable
from exporter.files import Signature, StateDirectory
from exporter.formatting import moment
from exporter.local_text import local_text
from exporter.logs import Logger
from exporter.messages import Line, line
from exporter.private_files import private_directory, private_file

LOCK = "exporter.lock"
# Longer than an exporter takes to stop.
_PATIENCE_SECONDS = 10.0
_RETRY_SECONDS = 0.25
_ANSWER_TIMEOUT_SECONDS = 10.0
_MAX_BYTES = 4_096
_REMEDY = line(
    "one exporter per state directory: two would poll the same data and renew the same token. "
    "Stop the other one, or give this one a state_dir of its own"
)


class Holder(msgspec.Struct, frozen=True, kw_only=True):
    """Who holds the lock; `started_at` is in Unix seconds. Only for messages: anything may be in the file."""

    pid: int
    host: str
    started_at: float

    def __str__(self) -> str:
        return f"process {self.pid} on {local_text(self.host, limit=253)}, since {moment(self.started_at)}"


class InstanceLock:
    """A context manager that holds the lock of one state directory, which no process does beside it.

    The lock goes with the process, however that ends: no file need be deleted.
    """

    def __init__(self, directory: StateDirectory, clock: Clock, log: Logger) -> None:
        self._directory, self._clock, self._log = directory, clock, log
        self._path = directory.root / LOCK
        self._descriptor: int | None = None
        self._signature: Signature = (None,)
        self._other: Holder | None = None
        self._is_lost = False

    def __enter__(self) -> Self:
        """Take the lock, and wait a while for an exporter that is about to stop; raises StateError."""
        ends_at, waits = self._clock.monotonic() + _PATIENCE_SECONDS, False
        while not self._taken():
            if self._clock.monotonic() >= ends_at:
                raise StateError(self._held_by_another(), remedy=_REMEDY)
            if not waits:
                self._log.info("waiting for another exporter to stop", state_dir=self._directory.root)
            waits = True
            self._clock.wait(threading.Event(), _RETRY_SECONDS)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None

    def keep(self) -> None:
        """Lock the file anew where it was deleted or replaced: who looks for a lock looks at the file of that name."""
        if self._directory.signature(LOCK)[0] == self._signature[0]:
            return
        try:
            taken = self._taken()
        except StateError:  # what can't be written is reported where there is something to lose
            return
        if not taken and not self._is_lost:
            self._log.error("lock of the state directory lost", error=self._held_by_another(), remedy=_REMEDY)
        self._is_lost = not taken

    def _taken(self) -> bool:
        """Return whether the lock is ours now. Raises StateError."""
        try:
            taken = Disk().run(self._take, timeout_seconds=_ANSWER_TIMEOUT_SECONDS)
        except OSError as error:
            raise unwritable(self._path, error) from error
        if taken:
            self._signature = self._directory.signature(LOCK)
        return taken

    def _take(self) -> bool:
        root = self._directory.root
        with private_directory(root) as folder, private_file(self._path, os.O_RDWR | os.O_CREAT, folder) as descriptor:
            # Whoever gives the file another owner or mode, or touches it, has not taken it away.
            if self._descriptor is not None and os.path.sameopenfile(self._descriptor, descriptor):
                return True
            if not lock(descriptor, root):
                self._other = _read(descriptor)
                return False
            _write(descriptor, Holder(pid=os.getpid(), host=os.uname().nodename, started_at=self._clock.time()))
            before, self._descriptor = self._descriptor, os.dup(descriptor)
        if before is not None:
            os.close(before)
        return True

    def _held_by_another(self) -> Line:
        root = self._directory.root
        if self._other is None:
            return line("another program holds the lock {}", self._path)
        return line("another exporter uses the state directory {}: {}", root, local_text(str(self._other)))


def exporter_runs(root: Path) -> bool:
    """Return whether an exporter holds the lock of a state directory; raises StateError."""

    def look() -> bool:
        with private_directory(root) as folder, private_file(root / LOCK, os.O_RDWR, folder) as descriptor:
            try:
                # Shared, so that two who look at once don't take each other for an exporter.
                fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
            except (BlockingIOError, PermissionError):  # SMB answers with EACCES
                return True
            return False

    try:
        return Disk().run(look, timeout_seconds=_ANSWER_TIMEOUT_SECONDS)
    except FileNotFoundError:
        return False
    except OSError as error:
        raise unreadable(root / LOCK, error) from error


def _read(descriptor: int) -> Holder | None:
    with suppress(OSError, msgspec.MsgspecError, ValueError, RecursionError):
        return msgspec.json.decode(os.pread(descriptor, _MAX_BYTES, 0), type=Holder)
    return None


def _write(descriptor: int, holder: Holder) -> None:
    """Say who holds the lock, if there is space for that: the lock itself needs none."""
    with suppress(OSError):
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, msgspec.json.encode(holder) + b"\n", 0)
