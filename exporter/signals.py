"""Signals that would end the program without a word: a thread waits for them, and says what they are.

They are blocked in every thread, so that no handler runs in the middle of anything, and a main thread that hangs
doesn't keep the others' stacks from being shown. Until the thread runs, and once it has ended, they are ignored.
"""

import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING

from exporter.local_text import local_text
from exporter.messages import Line

if TYPE_CHECKING:
    from exporter.logs import Logger

_NAMES = ("SIGUSR1", "SIGUSR2", "SIGQUIT", "SIGALRM", "SIGVTALRM", "SIGPROF", "SIGIO", "SIGPWR", "SIGSTKFLT")
_MAX_FRAMES = 40
_MAX_STACK = 4_000
_END_SECONDS = 1.0


def _silent() -> frozenset[int]:
    """Return the numbers of the signals that end a program by default, and that nothing here uses."""
    named = {getattr(signal, name) for name in _NAMES if hasattr(signal, name)}
    real_time = range(signal.SIGRTMIN, signal.SIGRTMAX + 1) if hasattr(signal, "SIGRTMIN") else ()
    return frozenset(named | set(real_time))


SILENT = _silent()


def hold() -> None:
    """Let these signals wait, in this thread and those that it starts."""
    if hasattr(signal, "pthread_sigmask"):  # Windows is told later that it is not supported
        signal.pthread_sigmask(signal.SIG_BLOCK, SILENT)


def release() -> None:
    """Let them do what they do by default."""
    if hasattr(signal, "pthread_sigmask"):
        signal.pthread_sigmask(signal.SIG_UNBLOCK, SILENT)


@contextmanager
def noticed(log: "Logger", advice: Line) -> Iterator[None]:
    """Log each of these signals, which are held, with this advice; at SIGQUIT every thread's stack."""
    ended = threading.Event()

    def watch() -> None:
        while (number := signal.sigwait(SILENT)) and not ended.is_set():
            if number == signal.SIGQUIT:
                _log_stacks(log)
            else:
                log.warning("signal ignored", signal=_name(number), remedy=advice)

    thread = threading.Thread(target=watch, name="signals", daemon=True)
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())  # all others are for the main thread
    try:
        thread.start()
    except RuntimeError:  # the system has no thread left: they stay held
        pass
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)
    try:
        yield
    finally:
        ended.set()
        if thread.ident is not None:
            signal.pthread_kill(thread.ident, signal.SIGUSR1)
            thread.join(_END_SECONDS)


def _name(number: int) -> Line:
    try:
        return local_text(signal.Signals(number).name)
    except ValueError:  # most real-time signals have none
        return local_text(f"SIGRTMIN+{number - signal.SIGRTMIN}")


def _log_stacks(log: "Logger") -> None:
    """Log what every thread does: no values and no source text, which may hold secrets."""
    names = {thread.ident: thread.name for thread in threading.enumerate()}
    for identifier, frame in sys._current_frames().items():  # noqa: SLF001  there is no public one
        name = names.get(identifier, "unknown")
        log.info("thread stack", thread=local_text(name), stack=local_text(_stack(frame), limit=_MAX_STACK))


def _stack(frame: FrameType | None) -> str:
    """Return file, line and function of each frame, the last first, as errors have it."""
    places: list[str] = []
    while frame is not None and len(places) < _MAX_FRAMES:
        places.append(f"{Path(frame.f_code.co_filename).name}:{frame.f_lineno} {frame.f_code.co_name}")
        frame = frame.f_back
    return " < ".join(places)
