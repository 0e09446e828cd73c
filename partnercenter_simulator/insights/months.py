"""Which months there are rows for, and how complete the newest one is.

Microsoft: insights-data-frequency. A month is shown once it has ended, and completed until about the 20th.
"""

from datetime import date, timedelta

MONTHS_KEPT = 13
_HALF = 0.5
_DAYS_TO_COMPLETE = 18
_REFRESH_DAYS = 3


def month_before(month: date) -> date:
    """Return the first day of the month before."""
    return (month.replace(day=1) - timedelta(days=1)).replace(day=1)


def last_day(month: date) -> date:
    """Return the last day of a month."""
    return (month.replace(day=1) + timedelta(days=31)).replace(day=1) - timedelta(days=1)


def reported_months(today: date) -> tuple[date, ...]:
    """Return the 13 months that there can be rows for, newest first: the last one ended, and those before."""
    months = [month_before(today)]
    while len(months) < MONTHS_KEPT:
        months.append(month_before(months[-1]))
    return tuple(months)


def reported_share(newest_month: str, today: date) -> float:
    """Return the share of the customers that the newest month has rows for, from 0 to 1."""
    fixed = {"blank": 0.0, "partial": _HALF, "full": 1.0}
    refreshes = (today.day - 1) // _REFRESH_DAYS
    return fixed.get(newest_month, min(1.0, refreshes * _REFRESH_DAYS / _DAYS_TO_COMPLETE))
