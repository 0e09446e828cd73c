"""The Retry-After header, in seconds and as a date (RFC 9110, 10.2.3)."""

import math
from collections.abc import Mapping
from datetime import UTC
from email.utils import parsedate_to_datetime

MAX_WAIT_SECONDS = 86_400.0


def retry_after_seconds(headers: Mapping[str, str], received_at: float) -> float | None:
    """Return how long the server asks to wait; None if it doesn't say, or if the value is invalid.

    A date is compared with the server's own `Date`, so that a wrong clock here does no harm; without one
    with `received_at`, Unix seconds. More than a day counts as a day.
    """
    value = headers.get("Retry-After", "").strip()
    try:
        seconds = float(value)
    except ValueError:
        until = _date(value)
        if until is None:
            return None
        seconds = until - (_date(headers.get("Date", "")) or received_at)
    return min(max(seconds, 0.0), MAX_WAIT_SECONDS) if math.isfinite(seconds) else None


def _date(value: str) -> float | None:
    try:
        moment = parsedate_to_datetime(value)
        # HTTP's dates are GMT; asctime's old form doesn't say so.
        return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
    except (ValueError, TypeError, OverflowError, OSError):
        return None
