"""Where the exporter of a long run logs to: a real pipe, until something becomes of it."""

import fcntl
import json
import os
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TextIO, cast

import structlog

from exporter import logs
from exporter.line_writer import LineWriter
from exporter.streams import TextLines
from tests.support.process import until

# Some ten lines, so that a reader that stalls is noticed within hours of simulated time.
_PIPE_BYTES = 4_096
BREAKS = ("full", "closed", "without a reader", "stalled")


class LogPipe:
    """A pipe, and a thread that reads it and keeps counts of lines by their words, not lines.

    `missing` are the lines that the log itself said are missing.
    """

    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()
        self.missing = 0
        self.broken = 0  # lines that are no JSON object
        reader, self._pipe = os.pipe()
        fcntl.fcntl(self._pipe, fcntl.F_SETPIPE_SZ, _PIPE_BYTES)
        self._descriptor = os.dup(self._pipe)
        self.writer = LineWriter(self._descriptor)
        self._reads = threading.Event()
        self._reads.set()
        self._thread = threading.Thread(target=self._read, args=(reader,), name="log-reader")
        self._thread.start()
        self.writer.start()

    def break_off(self, how: str) -> None:
        """Let it be one of BREAKS from now on."""
        if how == "stalled":
            self._reads.clear()
            return
        if how == "without a reader":
            reader, writer = os.pipe()
            os.close(reader)
        else:
            writer = os.open("/dev/full", os.O_WRONLY) if how == "full" else os.open(os.devnull, os.O_RDONLY)
        os.dup2(writer, self._descriptor)
        os.close(writer)

    def heal(self) -> None:
        """Let every line be read again."""
        os.dup2(self._pipe, self._descriptor)
        self._reads.set()

    def check(self) -> None:
        """Wait until all that was dropped so far is accounted for by the log itself; nothing was cut."""
        until(lambda: self.missing == self.writer.dropped)
        assert self.broken == 0

    def close(self) -> None:
        """Write what is left, and end both threads."""
        self.heal()
        self.writer.close(timeout_seconds=60.0)
        os.close(self._pipe)
        os.close(self._descriptor)
        self._thread.join()

    def _read(self, reader: int) -> None:
        with open(reader, encoding="utf-8") as lines:
            while self._reads.wait() and (line := lines.readline()):
                self._count(line)

    def _count(self, line: str) -> None:
        try:
            entry = json.loads(line)
            self.counts[entry["msg"]] += 1
        except (ValueError, TypeError, KeyError):
            self.broken += 1
            return
        if entry["msg"] == "log lines dropped":
            self.missing += entry["count"]


@contextmanager
def counted_logs() -> Iterator[LogPipe]:
    """Send all logs into a LogPipe."""
    pipe = LogPipe()
    logs.configure(level="info", log_format="json", stream=cast("TextIO", TextLines(pipe.writer)))
    try:
        yield pipe
    finally:
        structlog.reset_defaults()
        pipe.close()
