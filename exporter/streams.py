"""Standard output and standard error, whatever becomes of them: closed, full, without a reader, or one that stalls.

Printing and logging raise nothing, and while the exporter serves they wait for nobody. What can't be written is
dropped by whole lines, and counted.
"""

import codecs
import errno
import io
import os
import sys
import threading
import time
from typing import TextIO

from exporter.line_writer import LineWriter

# At the end, how long both streams may take to accept what is queued.
_LAST_LINES_SECONDS = 0.5
# How long a command waits for whoever reads its log. Output is waited for: `check | less` shows a page at a time.
_PATIENCE_SECONDS = 10.0
# The reader has had enough, or there never was one: nobody wants to hear about it.
_UNWANTED = (errno.EPIPE, errno.EBADF)


# What this program prints that an encoding may not have; anything else is escaped.
_PLAIN = {"\N{HORIZONTAL ELLIPSIS}": "...", "\N{REPLACEMENT CHARACTER}": "?"}
_PLAINLY = "exporter-plainly"


def _plainly(error: UnicodeError) -> tuple[str, int]:
    """Return what an encoding has in place of the characters that it lacks (codecs.register_error)."""
    if not isinstance(error, UnicodeEncodeError):
        raise error
    missing = error.object[error.start : error.end]
    return "".join(_PLAIN.get(c) or c.encode("ascii", "backslashreplace").decode() for c in missing), error.end


codecs.register_error(_PLAINLY, _plainly)


def printed(text: str, stream: TextIO) -> str:
    """Return the text as it will be printed there: what is aligned must know how long it becomes."""
    encoding = stream.encoding or "utf-8"
    return text.encode(encoding, _PLAINLY).decode(encoding)


class TextLines(io.TextIOBase):
    """What `sys.stdout` and `sys.stderr` become: passes complete lines to a LineWriter, and buffers nothing else.

    Threads that print at once don't end up in one line.
    """

    def __init__(self, writer: LineWriter, encoding: str = "utf-8") -> None:
        self.writer = writer
        self._encoding = encoding
        self._begun = threading.local()

    @property
    def encoding(self) -> str:  # type: ignore[override]  # io's is an attribute
        """The encoding of the stream that this replaces."""
        return self._encoding

    def writable(self) -> bool:
        """Return that it can be written."""
        return True

    def fileno(self) -> int:
        """Return the file descriptor."""
        return self.writer.descriptor

    def isatty(self) -> bool:
        """Return whether it is a terminal."""
        return os.isatty(self.writer.descriptor)

    def write(self, text: str) -> int:
        """Take text; what follows the last line break waits for the next."""
        *lines, self._begun.text = (getattr(self._begun, "text", "") + text).split("\n")
        for line in lines:
            self._put(f"{line}\n")
        return len(text)

    def flush(self) -> None:
        """Write an incomplete line of this thread."""
        text, self._begun.text = getattr(self._begun, "text", ""), ""
        if text:
            self._put(text)

    def _put(self, text: str) -> None:
        self.writer.put(text.encode(self._encoding, _PLAINLY))


STANDARD_OUTPUT = LineWriter(1)
STANDARD_ERROR = LineWriter(
    2,
    note=lambda count: f"partnercenter-exporter: {count} lines could not be written\n",
    patience_seconds=_PATIENCE_SECONDS,
)


def guard() -> None:
    """Let nothing raise that is printed or logged. Streams that a test or a program around put in place stay.

    A descriptor that was closed at start must not become that of a socket or file, which would get the log then:
    /dev/null takes its place, for reading only, so that what is written still counts as dropped.
    """
    for descriptor in range(3):
        try:
            os.fstat(descriptor)
        except OSError:
            os.open(os.devnull, os.O_RDONLY)  # the lowest descriptor that is free
    if sys.stdin is None:
        sys.stdin = open(0, encoding="utf-8", closefd=False)  # noqa: SIM115  as Python's own
    if sys.stdout is sys.__stdout__:
        sys.stdout = _guarded(sys.stdout, STANDARD_OUTPUT)
    if sys.stderr is sys.__stderr__:
        sys.stderr = _guarded(sys.stderr, STANDARD_ERROR)


def _guarded(stream: TextIO | None, writer: LineWriter) -> TextLines:
    return TextLines(writer, stream.encoding if stream else "utf-8")


def wait_for_nobody() -> None:
    """From now on, print and log without waiting; raises RuntimeError if the system has no thread left."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextLines):
            stream.writer.start()


def end() -> None:
    """Say if standard output was cut short, and give both streams a moment to take what is left."""
    sys.stdout.flush()
    problem = output_problem()
    if problem and problem.errno not in _UNWANTED:
        print(f"partnercenter-exporter: can't write to standard output: {problem.strerror}", file=sys.stderr)
    sys.stderr.flush()
    deadline = time.monotonic() + _LAST_LINES_SECONDS
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextLines):
            stream.writer.close(timeout_seconds=max(deadline - time.monotonic(), 0.0))


def output_problem() -> OSError | None:
    """Return why something printed could not be written to standard output, if so."""
    return sys.stdout.writer.error if isinstance(sys.stdout, TextLines) else None
