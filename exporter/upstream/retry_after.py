"""How long a server asks to wait: Retry-After (RFC 9110, 10.2.3), and the milliseconds of Azure's services."""

import math
import re
from collections.abc import Iterator, Mapping

from exporter.upstream.http_date import unix_time

MAX_WAIT_SECONDS = 86_400.0

# What Azure's services send beside Retry-After, and its SDKs obey.
_IN_MILLISECONDS = ("retry-after-ms", "x-ms-retry-after-ms")
# Repeated headers arrive joined by commas; a date has one of its own, after the day of the week.
_VALUE = re.compile(r"(?:\s*(?:Mon|Tue|Wed|Thu|Fri|Sat|Sun)[a-z]*,)?[^,]+", re.IGNORECASE)


def retry_after_seconds(headers: Mapping[str, str], received_at: float) -> float | None:
    """Return how long the server asks to wait, the longest of several; None if it doesn't say, or nothing valid.

    A date is compared with the server's own `Date`, so that a wrong clock here does no harm; without one
    with `received_at`, Unix seconds. More than a day counts as a day.
    """
    waits = [wait for wait in _waits(headers, received_at) if math.isfinite(wait)]
    return min(max(*waits, 0.0), MAX_WAIT_SECONDS) if waits else None


def _waits(headers: Mapping[str, str], received_at: float) -> Iterator[float]:
    """Yield the seconds of each value that is one."""
    for value in _VALUE.findall(headers.get("Retry-After", "")):
        seconds = _number(value)
        until = unix_time(value) if seconds is None else None
        if seconds is not None:
            yield seconds
        elif until is not None:
            now = unix_time(headers.get("Date", ""))
            yield until - (received_at if now is None else now)
    for name in _IN_MILLISECONDS:
        for value in headers.get(name, "").split(","):
            milliseconds = _number(value)
            if milliseconds is not None:
                yield milliseconds / 1000


def _number(value: str) -> float | None:
    try:
        return float(value)
    except ValueError:
        return None
