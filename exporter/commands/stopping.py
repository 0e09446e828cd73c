"""Ctrl+C, SIGTERM and SIGHUP for a command that writes files: each file is whole, or not there."""

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

_ENDING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Stop:
    """Whether a signal asks the command to end: it raises KeyboardInterrupt, at once unless that is being held.

    A second one changes nothing. Only for the main thread.
    """

    def __init__(self) -> None:
        self.number: int | None = None
        self._is_held = False

    @contextmanager
    def handling(self) -> Iterator[None]:
        """Handle the signals meanwhile; one that was ignored before stays so, as with nohup."""
        before = {number: signal.getsignal(number) for number in _ENDING}
        try:
            for number, handler in before.items():
                if handler is not signal.SIG_IGN:
                    signal.signal(number, self._handle)
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    @contextmanager
    def held(self) -> Iterator[None]:
        """Raise nothing meanwhile, except from `check`."""
        self._is_held = True
        try:
            yield
        finally:
            self._is_held = False

    def check(self) -> None:
        """Raise KeyboardInterrupt if a signal came."""
        if self.number is not None:
            raise KeyboardInterrupt

    def _handle(self, number: int, _frame: FrameType | None) -> None:
        is_first = self.number is None
        self.number = number if is_first else self.number
        if is_first and not self._is_held:
            raise KeyboardInterrupt
