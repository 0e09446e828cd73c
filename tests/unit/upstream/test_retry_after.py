"""What the Retry-After header asks for."""

import time
from email.utils import formatdate

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.upstream.retry_after import retry_after_seconds

RECEIVED = 1_800_000_000.0  # Fri, 15 Jan 2027 08:00:00 GMT


def seconds(value: str, *, date: str = "") -> float | None:
    return retry_after_seconds({"Retry-After": value, "Date": date}, RECEIVED)


@pytest.mark.parametrize(
    ("value", "wanted"), [("57", 57.0), (" 57 ", 57.0), ("0", 0.0), ("1.5", 1.5), ("-5", 0.0), ("1e2", 100.0)]
)
def test_seconds_are_taken_as_they_are_and_never_below_zero(value: str, wanted: float) -> None:
    assert seconds(value) == wanted


@pytest.mark.parametrize(
    "value",
    [
        "Fri, 15 Jan 2027 08:01:00 GMT",
        "Fri, 15 Jan 2027 09:01:00 +0100",
        "Friday, 15-Jan-27 08:01:00 GMT",
        "Fri Jan 15 08:01:00 2027",
    ],
)
def test_every_form_of_date_that_http_knows_is_read(value: str) -> None:
    assert seconds(value) == 60.0


def test_a_date_without_a_zone_is_gmt_whatever_the_local_time_zone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TZ", "America/New_York")
    time.tzset()
    try:
        assert seconds("Fri Jan 15 08:01:00 2027") == 60.0
        assert seconds("Fri, 15 Jan 2027 08:01:00 -0000") == 60.0
    finally:
        monkeypatch.undo()
        time.tzset()


def test_a_date_is_measured_against_the_servers_own_clock() -> None:
    asked = "Fri, 15 Jan 2027 12:00:30 GMT"
    assert seconds(asked, date="Fri, 15 Jan 2027 12:00:00 GMT") == 30.0
    assert seconds(asked, date="no date") == 4 * 3_600 + 30.0


def test_a_date_in_the_past_asks_for_no_wait() -> None:
    assert seconds("Fri, 15 Jan 2027 07:00:00 GMT") == 0.0


@pytest.mark.parametrize("value", ["86401", "99999999999", "Sat, 15 Jan 2028 08:00:00 GMT"])
def test_more_than_a_day_is_taken_as_a_day(value: str) -> None:
    assert seconds(value) == 86_400.0


@pytest.mark.parametrize(
    "value", ["", " ", "soon", "inf", "nan", "9" * 5_000, "Fri, 99 Jan 2027 08:00:00 GMT", ",", "\x00", "57s"]
)
def test_an_invalid_value_counts_as_missing(value: str) -> None:
    assert seconds(value) is None


def test_without_the_header_there_is_no_value() -> None:
    assert retry_after_seconds({}, RECEIVED) is None


@pytest.mark.parametrize(
    ("value", "wanted"),
    [
        ("57, 60", 60.0),
        ("60, 57", 60.0),
        ("soon, 57", 57.0),
        ("57,, 5,", 57.0),
        ("57, inf, nan", 57.0),
        ("-5, -7", 0.0),
        ("5, Fri, 15 Jan 2027 08:01:00 GMT", 60.0),
        ("Fri, 15 Jan 2027 08:01:00 GMT, 5", 60.0),
        ("Fri, 15 Jan 2027 08:01:00 GMT, Friday, 15-Jan-27 08:02:00 GMT", 120.0),
        ("Fri Jan 15 08:01:00 2027, 90", 90.0),
    ],
)
def test_of_several_values_the_longest_wait_holds(value: str, wanted: float) -> None:
    assert seconds(value) == wanted


def test_repeated_headers_are_several_values() -> None:
    later = "Fri, 15 Jan 2027 08:01:00 GMT"
    headers = httpx.Headers([("Retry-After", "5"), ("retry-after", later), ("RETRY-AFTER", "soon")])
    assert retry_after_seconds(headers, RECEIVED) == 60.0


@pytest.mark.parametrize("name", ["retry-after-ms", "x-ms-retry-after-ms"])
@pytest.mark.parametrize(
    ("value", "wanted"), [("1500", 1.5), ("1500, 2500", 2.5), ("soon", None), ("-1", 0.0), ("nan", None)]
)
def test_azures_milliseconds_count_too(name: str, value: str, wanted: float | None) -> None:
    assert retry_after_seconds({name: value}, RECEIVED) == wanted


def test_of_seconds_and_milliseconds_the_longest_wait_holds() -> None:
    assert retry_after_seconds({"Retry-After": "2", "retry-after-ms": "1500"}, RECEIVED) == 2.0
    assert retry_after_seconds({"Retry-After": "1", "x-ms-retry-after-ms": "1500"}, RECEIVED) == 1.5


@given(waits=st.lists(st.integers(0, 80_000), min_size=1, max_size=6), data=st.data())
def test_any_mixture_of_numbers_and_dates_asks_for_its_longest_wait(waits: list[int], data: st.DataObject) -> None:
    written = (str(wait) if data.draw(st.booleans()) else formatdate(RECEIVED + wait, usegmt=True) for wait in waits)
    assert seconds(", ".join(written)) == max(waits)
