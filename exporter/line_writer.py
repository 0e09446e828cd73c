"""Writes lines to a stream that may be closed, full, or without a reader, and may stall at any time."""

import errno
import os
import select
import signal
import threading
from collections import deque
from collections.abc import Callable
from contextlib import suppress

_MAX_LINES = 1_000
_MAX_BYTES = 1024 * 1024
_RETRY_SECONDS = 1.0


class LineWriter:
    """Writes whole lines to a file descriptor, in order, and raises no OSError. Safe for threads.

    `put` writes at once, and waits as long as the stream does, or no longer than `patience_seconds`, and not again
    while it still stalls. After `start` it waits for nothing: a thread writes what is queued, up to a limit. Once lines
    can be written again, the first is `note` of how many are missing.
    """

    def __init__(
        self, descriptor: int, *, note: Callable[[int], str] | None = None, patience_seconds: float | None = None
    ) -> None:
        self.descriptor = descriptor
        self.note = note
        self._patience_seconds = patience_seconds
        self._stalls = False
        self.dropped = 0  # lines, in total
        self.error: OSError | None = None  # the newest
        # Its lock lets a thread in twice: the garbage collector may have something to say in the middle of anything.
        self._changed = threading.Condition()
        self._thread: threading.Thread | None = None
        self._closing = False
        self._queue: deque[tuple[int, bytes]] = deque()  # lines, each with the number of those lost before it
        self._queued_bytes = 0
        self._overflowed = 0  # lines lost after the newest in the queue
        self._missing = 0  # lines lost since the last note
        self._rest = b""  # of a line whose beginning is written
        self._size = 0  # of the file, when it was full; 0 if it is no file

    def put(self, line: bytes) -> None:
        """Take one line, with its line break."""
        with self._changed:
            if self._thread is None:
                self._deliver(0, line)
            elif self._closing or len(self._queue) >= _MAX_LINES or self._queued_bytes + len(line) > _MAX_BYTES:
                self._overflowed += 1
                self.dropped += 1
            else:
                self._queue.append((self._overflowed, line))
                self._queued_bytes += len(line)
                self._overflowed = 0
            self._changed.notify()

    def start(self) -> None:
        """Let a thread write from now on; raises RuntimeError if the system has none left.

        It may hang in a write for ever: it is a daemon, and holds no lock then that anybody waits for. Signals are for
        other threads, which may have blocked them.
        """
        thread = threading.Thread(target=self._run, name=f"write-{self.descriptor}", daemon=True)
        mask = signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
        try:
            thread.start()
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, mask)
        self._thread = thread

    def close(self, *, timeout_seconds: float) -> None:
        """Drop new lines from now on, and give the thread so long to write what is queued."""
        with self._changed:
            self._closing = True
            self._changed.notify()
        if self._thread is not None:
            self._thread.join(timeout_seconds)

    def _run(self) -> None:
        while (entry := self._next()) is not None:
            try:
                self._deliver(*entry)
            except Exception:  # noqa: BLE001  this thread must survive a bug, and nobody is left to tell
                self._lose()

    def _next(self) -> tuple[int, bytes] | None:
        """Wait for a line, or without one for the time to try a note again; None at the end."""
        with self._changed:
            retry = _RETRY_SECONDS if self._missing or self._rest else None
            self._changed.wait_for(lambda: self._queue or self._overflowed or self._closing, retry)
            if self._queue:
                lost, line = self._queue.popleft()
                self._queued_bytes -= len(line)
                return lost, line
            lost, self._overflowed = self._overflowed, 0
            return None if self._closing and not lost else (lost, b"")

    def _deliver(self, lost: int, line: bytes) -> None:
        """Write a line, after a note if any are missing before it; no line if only the note is due."""
        self._missing += lost
        if self._missing or self._rest:
            self._look_again()
        if self._missing and self._write(self.note(self._missing).encode() if self.note else b""):
            self._missing = 0
        written = not self._missing and self._write(line)
        if line and not written:
            self._lose()

    def _lose(self) -> None:
        with self._changed:
            self._missing += 1
            self.dropped += 1

    def _look_again(self) -> None:
        """Begin anew in a file that was emptied to gain space: at its end, and not with a line's second half."""
        size = self._file_size()
        if size < self._size:
            with suppress(OSError):
                os.lseek(self.descriptor, 0, os.SEEK_END)
            if self._rest:
                self._rest = b""
                self._lose()
        self._size = size

    def _write(self, line: bytes) -> bool:
        """Write what is left of the line before, and this one; return whether it was begun at least.

        What was begun is finished when that is possible again: a line is whole or absent.
        """
        self._rest = self._send(self._rest)
        if self._rest:
            return False
        left = self._send(line)
        if len(left) < len(line):
            self._rest = left
        return len(left) < len(line) or not line

    def _send(self, text: bytes) -> bytes:
        """Write as much as the stream accepts; return what is left."""
        is_impatient = self._thread is None and self._patience_seconds is not None
        most = select.PIPE_BUF if is_impatient else len(text)  # more might wait though there is space
        try:
            while text:
                if is_impatient:
                    self._wait_for_space()
                try:
                    text = text[os.write(self.descriptor, text[:most]) :]
                except BlockingIOError:  # whoever has the other end made it so
                    self._wait_for_space()
        except OSError as error:
            self.error = error
            self._size = self._file_size()
        return text

    def _wait_for_space(self) -> None:
        """Raise TimeoutError if that takes too long."""
        seconds = None if self._thread else 0.0 if self._stalls else self._patience_seconds
        poll = select.poll()
        poll.register(self.descriptor, select.POLLOUT)
        self._stalls = not poll.poll(None if seconds is None else 1_000 * seconds)
        if self._stalls:
            raise TimeoutError(errno.ETIMEDOUT, os.strerror(errno.ETIMEDOUT))

    def _file_size(self) -> int:
        with suppress(OSError):
            return os.fstat(self.descriptor).st_size
        return 0
