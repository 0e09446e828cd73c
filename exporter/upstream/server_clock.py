"""How far off this machine's clock is, as servers see it."""

from collections.abc import Mapping
from dataclasses import dataclass

from exporter.messages import Line, line
from exporter.upstream.http_date import unix_time

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
    """What the newest response of any server said; `offset_seconds` is None before one."""

    offset_seconds: float | None = None

    def note(self, headers: Mapping[str, str], received_at: float) -> None:
        """Note the headers of a response."""
        offset = clock_offset_seconds(headers, received_at)
        if offset is not None:
            self.offset_seconds = offset


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
