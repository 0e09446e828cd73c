"""Dates as HTTP writes them (RFC 9110, 5.6.7)."""

from datetime import UTC
from email.utils import parsedate_to_datetime


def unix_time(value: str) -> float | None:
    """Return a date in Unix seconds; None if it isn't one."""
    try:
        moment = parsedate_to_datetime(value)
        # HTTP's dates are GMT; asctime's old form doesn't say so.
        return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
    except (ValueError, TypeError, OverflowError, OSError):
        return None
