"""Standard input, whatever its encoding is and however long its lines are."""

import os
import re
import select
import signal
import termios
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import partial
from typing import Any, TextIO

_PIECE_BYTES = 65_536
_ERASE, _KILL, _END = b"\x08\x7f", b"\x15", b"\x04"
_ERASING = (b"\x08", b"\x7f")
_INVISIBLE = re.compile(rb"[^\n -~]")
# Without the terminal's own settings back, the user could not see what is typed to the shell.
_ENDING = (signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT)


@contextmanager
def long_lines(stream: TextIO) -> Iterator[None]:
    """Take lines of any length from a terminal, which would cut them at 4,095 characters while it edits them.

    Meanwhile `lines_of` edits and echoes. What was pasted and not read is discarded at the end: the shell would take
    it for commands. Only for the main thread, if it is a terminal.
    """
    descriptor = _descriptor(stream)
    before = _settings(descriptor) if descriptor is not None and os.isatty(descriptor) else None
    if descriptor is None or before is None:
        yield
        return
    restore = partial(_restore, descriptor, before)
    handlers = {number: signal.signal(number, partial(_end, restore)) for number in _ENDING}
    try:  # before the change, as Ctrl+C may come at any moment
        _unlimit(descriptor, before)
        yield
    finally:
        restore()
        for number, handler in handlers.items():
            signal.signal(number, handler)


def _settings(descriptor: int) -> list[Any] | None:
    """Return a terminal's settings, or None if it hung up."""
    with suppress(termios.error):
        return termios.tcgetattr(descriptor)
    return None


def _unlimit(descriptor: int, before: list[Any]) -> None:
    changed = [*before[:3], before[3] & ~(termios.ICANON | termios.ECHO), *before[4:6], [*before[6]]]
    changed[6][termios.VMIN], changed[6][termios.VTIME] = 1, 0
    with suppress(termios.error):
        termios.tcsetattr(descriptor, termios.TCSANOW, changed)


def _restore(descriptor: int, settings: list[Any]) -> None:
    with suppress(termios.error):
        termios.tcflush(descriptor, termios.TCIFLUSH)
        termios.tcsetattr(descriptor, termios.TCSANOW, settings)


def _end(restore: Callable[[], None], number: int, _frame: object) -> None:
    restore()
    signal.signal(number, signal.SIG_DFL)
    signal.raise_signal(number)


def lines_of(stream: TextIO, *, max_length: int) -> Iterator[str]:
    """Yield lines as they come, without their ends; of a longer one, one character more than `max_length`."""
    descriptor = _descriptor(stream)
    if descriptor is None:
        yield from (line.rstrip("\r\n")[: max_length + 1] for line in stream)
        return
    is_terminal = os.isatty(descriptor)
    rest = b""
    for piece in _pieces(descriptor):
        text, ended, _ = piece.partition(_END) if is_terminal else (piece, b"", b"")
        if is_terminal:
            _echo(descriptor, text, begun=bool(rest))
        *lines, rest = (rest + text.replace(b"\r", b"\n")).split(b"\n")
        for line in lines:
            yield _decoded(line, max_length, is_terminal=is_terminal)
        rest = rest[: 4 * (max_length + 1)]  # bytes of UTF-8
        if ended:
            break
    if rest:
        yield _decoded(rest, max_length, is_terminal=is_terminal)


def secret_from(stream: TextIO, prompt: str, *, max_length: int) -> bytes:
    """Return what comes until the end, or a little more than `max_length`.

    At a terminal, that is what is typed or pasted after the prompt until Enter or Ctrl+D, which nobody sees. Where
    more lines were pasted at once, all are returned: a token that was broken into lines is no token.
    """
    descriptor = _descriptor(stream)
    if descriptor is None:
        return stream.read(max_length + 1).encode("utf-8", "surrogatepass")
    if os.isatty(descriptor):
        with long_lines(stream):
            _show(descriptor, prompt.encode("ascii"))
            try:
                return _unseen(descriptor, max_length)
            finally:
                _show(descriptor, b"\n")
    content = b""
    for piece in _pieces(descriptor):
        content += piece
        if len(content) > max_length:
            break
    return content


def _unseen(descriptor: int, max_length: int) -> bytes:
    """Return the lines that are typed until the first is complete and no more are waiting."""
    text, is_over = b"", False
    pieces = _pieces(descriptor)
    while not is_over and (piece := next(pieces, b"")):
        typed, end, _ = piece.partition(_END)
        text += typed.replace(b"\r", b"\n")
        has_line = bool(text.strip(b"\n")) and text.endswith(b"\n")
        is_over = bool(end) or len(text) > max_length or (has_line and not _is_ready(descriptor))
    return b"\n".join(_edited(line) for line in text.strip(b"\n").split(b"\n"))


def _is_ready(descriptor: int) -> bool:
    return bool(select.select([descriptor], [], [], 0)[0])


def _show(descriptor: int, text: bytes) -> None:
    with suppress(OSError):  # it was opened for reading only, or hung up
        os.write(descriptor, text)


def _decoded(line: bytes, max_length: int, *, is_terminal: bool) -> str:
    return (_edited(line) if is_terminal else line).decode("utf-8", "replace")[: max_length + 1]


def _edited(line: bytes) -> bytes:
    """Return a typed line as a terminal that edits would have passed it on."""
    line = line.rpartition(_KILL)[2]
    if not any(key in line for key in _ERASE):
        return line
    edited = bytearray()
    for byte in line:
        if byte not in _ERASE:
            edited.append(byte)
        elif edited:
            edited.pop()
    return bytes(edited)


def _echo(descriptor: int, text: bytes, *, begun: bool) -> None:
    """Show what was typed, without anything that could move the cursor."""
    shown = b"\b \b" if begun and text in _ERASING else _INVISIBLE.sub(b"", text.replace(b"\r", b"\n"))
    _show(descriptor, shown)


def _pieces(descriptor: int) -> Iterator[bytes]:
    """Yield what can be read, until the end of input or the terminal hangs up."""
    with suppress(OSError):
        while True:
            try:
                piece = os.read(descriptor, _PIECE_BYTES)
            except BlockingIOError:  # another program has made the description non-blocking
                select.select([descriptor], [], [])
                continue
            if not piece:
                return
            yield piece


def _descriptor(stream: TextIO) -> int | None:
    """Return its descriptor; what a test or a program around put in its place may have none."""
    try:
        return stream.fileno()
    except (OSError, ValueError, AttributeError):
        return None
