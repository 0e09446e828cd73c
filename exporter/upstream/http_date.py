"""Dates as HTTP writes them (RFC 9110, 5.6.7), and what they say of this machine's clock."""

from collections.abc import Mapping
from datetime import UTC
from email.utils import parsedate_to_datetime

_MAX_AGE_DIGITS = 10


def unix_time(value: str) -> float | None:
    """Return a date in Unix seconds; None if it isn't one."""
    try:
        moment = parsedate_to_datetime(value)
        # HTTP's dates are GMT; asctime's old form doesn't say so.
        return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
    except (ValueError, TypeError, OverflowError, OSError):
        return None


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
