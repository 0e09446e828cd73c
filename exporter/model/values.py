"""The values that licence data is made of: labels, quantities and timestamps, as the API writes them."""

import math
from datetime import UTC, datetime
from functools import lru_cache

# The API's own "no date" is the year 1 or 9999; taken for a date, it would silence every alert on old data.
_EARLIEST = datetime(2000, 1, 1, tzinfo=UTC).timestamp()
LATEST = datetime(2100, 1, 1, tzinfo=UTC).timestamp()


_MAX_LABEL = 1_000
_MAX_DATE = 40


class ImpossibleValueError(ValueError):
    """A value that licence data can't have; its row is dropped."""


def label(value: str | None) -> str:
    """Return a label's value as the API wrote it; raises ImpossibleValueError for a missing or an endless one.

    Prometheus treats an empty label as missing, so an empty value counts as missing too.
    """
    if not value or len(value) > _MAX_LABEL:
        raise ImpossibleValueError
    try:
        value.encode()
    except UnicodeEncodeError:
        # A lone surrogate can't be written as UTF-8.
        return value.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    return value


def quantity(value: float | None, *, maximum: float = math.inf) -> float | None:
    """Return a count or percentage; raises ImpossibleValueError unless it is finite and 0 to `most`."""
    if value is None:
        return None
    if not math.isfinite(value) or value < 0 or value > maximum:
        raise ImpossibleValueError
    return value


def timestamp(value: str | None) -> float | None:
    """Return Unix seconds; a date without an offset is UTC. Raises ImpossibleValueError."""
    if value is None:
        return None
    if len(value) > _MAX_DATE:  # before a cache keeps it
        raise ImpossibleValueError
    return _timestamp(value)


@lru_cache(maxsize=1024)
def _timestamp(value: str) -> float:
    try:
        moment = datetime.fromisoformat(value)
        seconds = (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
    except (ValueError, OverflowError) as error:
        raise ImpossibleValueError from error
    if not _EARLIEST <= seconds < LATEST:
        raise ImpossibleValueError
    return seconds
