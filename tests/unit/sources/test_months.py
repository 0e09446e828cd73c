"""Months as Partner Insights may write them, and months before a moment."""

from datetime import date

import pytest

from exporter.model.values import ImpossibleValueError
from exporter.sources.months import last_day, month_of, newest_months, unix_time


@pytest.mark.parametrize(
    "text",
    [
        "2026-05-01",
        "2026-05",
        "2026-05-31",
        "2026-05-01T00:00:00",
        "2026-05-01T00:00:00Z",
        "2026-05-01T00:00:00.0000000+00:00",
        "2026-05-01 00:00:00",
        "5/1/2026",
        "05/01/2026",
        "5/1/2026 12:00:00 AM",
        " 2026-05-01 ",
    ],
)
def test_a_month_is_read_in_every_notation(text: str) -> None:
    assert month_of(text) == date(2026, 5, 1)


@pytest.mark.parametrize(
    "value",
    [
        None,
        "",
        " ",
        "May",
        "May 2026",
        "2026",
        "202605",
        "2026-5-1",
        "2026-13-01",
        "2026-00-01",
        "13/1/2026",
        "0/1/2026",
        # Which of both is the month can't be told.
        "5/2/2026",
        "1.5.2026",
        "0001-01-01T00:00:00",
        "9999-12-01",
        "1999-12-01",
        "2100-01-01",
        "\u0662026-05-01",
        "2026-05-01" + " " * 40 + "x",
        "2026-05-01\n2026-06-01",
        20260501,
        1.5,
        True,
        ["2026-05-01"],
        {"year": 2026},
    ],
)
def test_what_is_no_month_is_refused(value: object) -> None:
    with pytest.raises(ImpossibleValueError):
        month_of(value)


def test_a_month_begins_at_midnight_utc() -> None:
    assert unix_time(date(2026, 5, 1)) == 1_777_593_600.0


@pytest.mark.parametrize(("month", "last"), [((2026, 2), 28), ((2028, 2), 29), ((2026, 12), 31), ((2026, 4), 30)])
def test_a_month_ends_with_its_last_day(month: tuple[int, int], last: int) -> None:
    assert last_day(date(*month, 1)) == date(*month, last)


@pytest.mark.parametrize("now", [1_772_323_200.0, 1_774_051_200.0, 1_775_001_599.0])
def test_the_newest_month_comes_first_whatever_the_day(now: float) -> None:
    assert list(newest_months(now, 4)) == [date(2026, 3, 1), date(2026, 2, 1), date(2026, 1, 1), date(2025, 12, 1)]
