"""Months as Partner Insights writes them, and the months before a day."""

import re
from calendar import monthrange
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta

from exporter.model.values import ImpossibleValueError

_US_DATE = re.compile(r"(?P<month>\d{1,2})/0?1/(?P<year>\d{4})(?: .*)?", re.ASCII)
_ISO_DATE = re.compile(r"(?P<year>\d{4})-(?P<month>\d{2})(?:-\d{2}(?:[T ].*)?)?", re.ASCII)
_YEARS = range(2000, 2100)
_MAX_LENGTH = 40


def month_of(value: object) -> date:
    """Return a month as its first day; raises ImpossibleValueError.

    It is written as a date or date and time, in ISO 8601 or as in the United States, and is its month's first day.
    """
    text = value.strip() if isinstance(value, str) and len(value) <= _MAX_LENGTH else ""
    found = _ISO_DATE.fullmatch(text) or _US_DATE.fullmatch(text)
    try:
        month = date(int(found["year"]), int(found["month"]), 1) if found else None
    except ValueError:
        month = None
    if month is None or month.year not in _YEARS:
        raise ImpossibleValueError
    return month


def unix_time(month: date) -> float:
    """Return when a month begins in Unix seconds."""
    return datetime(month.year, month.month, month.day, tzinfo=UTC).timestamp()


def last_day(month: date) -> date:
    """Return a month's last day."""
    return month.replace(day=monthrange(month.year, month.month)[1])


def newest_months(now: float, count: int) -> Iterator[date]:
    """Yield this month and those before it, newest first; `now` is in Unix seconds."""
    month = datetime.fromtimestamp(now, UTC).date().replace(day=1)
    for _ in range(count):
        yield month
        month = (month - timedelta(days=1)).replace(day=1)
