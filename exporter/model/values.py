"""The values that licence data is made of: labels, quantities and timestamps, as the API writes them."""

import math
import re
from datetime import UTC, datetime
from functools import lru_cache

# The API's own "no date" is the year 1 or 9999; taken for a date, it would silence every alert on old data.
_FIRST, _LAST = 2000, 2099
_EARLIEST = datetime(_FIRST, 1, 1, tzinfo=UTC).timestamp()
LATEST = datetime(_LAST + 1, 1, 1, tzinfo=UTC).timestamp()
_YEAR = re.compile(r"[+-]?\d+(?=-)", re.ASCII)
# The years 1 and 9999 in other notations than ISO 8601: .NET's own, and that of its older JSON.
_NO_DATE = re.compile(r"(?<!\d)(?:0001|9999)(?!\d)|/Date\((?:-62135|253402)\d{9}", re.ASCII)
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
    """Return Unix seconds; a date without an offset is UTC.

    None for no date at all: an empty one, and one before 2000 or after 2099, as .NET writes "no date" (year 1).
    Raises ImpossibleValueError for what is no date, or too long for one.
    """
    if value is None:
        return None
    if len(value) > _MAX_DATE:  # before a cache keeps it
        raise ImpossibleValueError
    return _timestamp(value)


@lru_cache(maxsize=1024)
def _timestamp(value: str) -> float | None:
    try:
        moment = datetime.fromisoformat(value)
        seconds = (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
    except OverflowError:
        return None
    except ValueError as error:
        if _is_no_date(value):
            return None
        raise ImpossibleValueError from error
    return seconds if _EARLIEST <= seconds < LATEST else None


def _is_no_date(text: str) -> bool:
    """Return whether a text is empty or of a year beyond reason: Python reads ISO 8601 with the years 1 to 9999."""
    year = _YEAR.match(text)
    return bool(not text.strip() or _NO_DATE.search(text) or (year and not _FIRST <= int(year[0]) <= _LAST))
