"""How far off this machine's clock is, as servers see it."""

import threading
from collections.abc import Mapping
from dataclasses import dataclass

from exporter.logs import get_logger
from exporter.messages import Line, line
from exporter.upstream.http_date import unix_time

# Entra ID tolerates five minutes.
MAX_OFFSET_SECONDS = 300.0
_REMEDY = line("check its time synchronisation (NTP)")
_MAX_AGE_DIGITS = 10
_UNITS = (
    (2 * 86_400, 86_400, line("days")),
    (2 * 3_600, 3_600, line("h")),
    (2 * 60, 60, line("min")),
    (0, 1, line("s")),
)
# A date has whole seconds, and a response takes its time.
_SAME_TIME_SECONDS = 10.0


@dataclass(eq=False)
class ServerClock:
    """What the newest response of any server said; `offset_seconds` is None before one.

    That the clock is wrong is logged once, until it is right again.
    """

    offset_seconds: float | None = None

    def __post_init__(self) -> None:
        self._lock = threading.Lock()
        self._was_wrong = False

    def note(self, headers: Mapping[str, str], received_at: float) -> None:
        """Note the headers of a response."""
        offset = clock_offset_seconds(headers, received_at)
        if offset is None:
            return
        with self._lock:
            self.offset_seconds = offset
            was_wrong, self._was_wrong = self._was_wrong, bool(self.problem)
        if self._was_wrong and not was_wrong:
            get_logger().warning("clock wrong", clock=in_words(offset), remedy=_REMEDY)
        elif was_wrong and not self._was_wrong:
            get_logger().info("clock right again")

    @property
    def problem(self) -> Line:
        """By how much this machine's clock is wrong, and the remedy; nothing while Entra ID tolerates it."""
        offset = self.offset_seconds or 0.0
        if abs(offset) <= MAX_OFFSET_SECONDS:
            return line("")
        return line("this machine's clock is {}: {}", in_words(offset), _REMEDY)


def clock_offset_seconds(headers: Mapping[str, str], received_at: float) -> float | None:
    """Return by how much this machine's clock, `received_at`, is ahead of the server's; None if that isn't known.

    A date has whole seconds. In a response from a cache it is as old as `Age` says (RFC 9111, 5.1).
    """
    sent_at = unix_time(headers.get("Date", ""))
    if sent_at is None:
        return None
    age = headers.get("Age", "").strip()
    in_cache = int(age) if age.isascii() and age.isdigit() and len(age) <= _MAX_AGE_DIGITS else 0
    return received_at - sent_at - in_cache


def in_words(offset_seconds: float) -> Line:
    """Return by how much this machine's clock is off."""
    distance = abs(offset_seconds)
    if distance < _SAME_TIME_SECONDS:
        return line("right")
    unit, name = next((unit, name) for least, unit, name in _UNITS if distance >= least)
    return line("{:.0f} {} {}", distance / unit, name, line("ahead") if offset_seconds > 0 else line("behind"))
