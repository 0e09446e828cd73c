"""How far a long command is: a bar at a terminal, and a line for each step elsewhere."""

import os
import sys
import time
from collections.abc import Callable
from typing import TextIO

from exporter.formatting import ago, size

_BAR = 20
_COLUMNS = 80  # of a terminal that doesn't say
_REDRAW_SECONDS = 0.2


class Progress:
    """Steps done, and bytes written, of so many; `note` says what is worth a line of its own."""

    def __init__(
        self, steps: int, *, stream: TextIO | None = None, monotonic: Callable[[], float] = time.monotonic
    ) -> None:
        self._stream = stream or sys.stderr
        self._monotonic = monotonic
        self._is_terminal = self._stream.isatty()
        self._steps = steps
        self._done = 0
        self._bytes = self._bytes_of_step = 0
        self._expected = 0  # bytes of one step
        self._began_at = monotonic()
        self._drawn_at = -_REDRAW_SECONDS

    def note(self, text: str) -> None:
        """Print a line, above the bar."""
        print(f"{self._cleared()}{text}", file=self._stream, flush=True)

    def step_done(self, text: str) -> None:
        """Count a step; elsewhere than at a terminal, print what was done."""
        self._done += 1
        self._bytes_of_step = 0
        if self._is_terminal:
            self._draw()
        else:
            self.note(text)

    def expect(self, size_bytes: int) -> None:
        """Take this for the size of this step and of those that follow."""
        self._expected = size_bytes

    def wrote(self, size_bytes: int) -> None:
        """Count bytes of the current step."""
        self._bytes += size_bytes
        self._bytes_of_step += size_bytes
        if self._is_terminal and self._monotonic() - self._drawn_at >= _REDRAW_SECONDS:
            self._draw()

    def end(self) -> None:
        """Remove the bar."""
        print(self._cleared(), end="", file=self._stream, flush=True)

    def shown(self) -> str:
        """Return the bar with days, bytes, rate and time left."""
        part = self._part_done()
        elapsed = max(self._monotonic() - self._began_at, 0.001)
        bar = ("#" * round(part * _BAR)).ljust(_BAR, ".")
        left = f", {ago(elapsed / part * (1 - part))} left" if part else ""
        rate = f"{size(self._bytes / elapsed)}/s"
        return f"[{bar}] {self._done} of {self._steps} days, {size(self._bytes)}, {rate}{left}"

    def _part_done(self) -> float:
        within = min(self._bytes_of_step / self._expected, 1.0) if self._expected else 0.0
        return min((self._done + within) / max(self._steps, 1), 1.0)

    def _draw(self) -> None:
        self._drawn_at = self._monotonic()
        # The cursor goes back to the beginning, so that a line of the log replaces it.
        print(f"{self._cleared()}{self.shown()[: self._width()]}\r", end="", file=self._stream, flush=True)

    def _width(self) -> int:
        try:
            columns = os.get_terminal_size(self._stream.fileno()).columns
        except (OSError, ValueError):
            columns = 0
        return (columns or _COLUMNS) - 1

    def _cleared(self) -> str:
        return "\r\x1b[K" if self._is_terminal else ""
