"""The Retry-After header, in seconds and as a date (RFC 9110, 10.2.3)."""

import math
from collections.abc import Mapping
from datetime import UTC
from email.utils import parsedate_to_datetime

LONGEST_WAIT_SECONDS = 86_400.0


def retry_after_seconds(headers: Mapping[str, str], received_at: float) -> float | None:
    """Return how long the server wants to be left alone; None where it doesn't say, or says nonsense.

    A date is measured against the server's own `Date`, so that a wrong clock here does no harm; without
    one against `received_at`, Unix seconds. More than a day is taken as a day.
    """
    value = headers.get("Retry-After", "").strip()
    seconds = _number(value) if value else None
    if seconds is None and value:
        now = _date(headers.get("Date", "")) or received_at
        until = _date(value)
        seconds = None if until is None else until - now
    return None if seconds is None else min(max(seconds, 0.0), LONGEST_WAIT_SECONDS)


def _number(value: str) -> float | None:
    try:
        seconds = float(value)
    except ValueError:
        return None
    return seconds if math.isfinite(seconds) else None


def _date(value: str) -> float | None:
    try:
        moment = parsedate_to_datetime(value)
        # HTTP's dates are GMT; asctime's old form doesn't say so.
        return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
    except (ValueError, TypeError, OverflowError, OSError):
        return None
