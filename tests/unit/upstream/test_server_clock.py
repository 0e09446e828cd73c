"""What a Date header says of this machine's clock."""

import pytest

from exporter.upstream.server_clock import clock_offset_seconds

DATE = "Fri, 15 Jan 2027 08:00:00 GMT"
SENT = 1_800_000_000.0


@pytest.mark.parametrize("offset", [0.0, 0.5, 10_800.0, -86_400.0])
def test_the_offset_is_this_machines_time_less_the_servers(offset: float) -> None:
    assert clock_offset_seconds({"Date": DATE}, SENT + offset) == offset


def test_a_cached_response_is_as_old_as_its_age() -> None:
    assert clock_offset_seconds({"Date": DATE, "Age": "3600"}, SENT + 3_600.0) == 0.0


@pytest.mark.parametrize("age", ["", "soon", "-5", "1.5", "9" * 5_000, "\u0663"])
def test_an_age_that_is_none_counts_as_missing(age: str) -> None:
    assert clock_offset_seconds({"Date": DATE, "Age": age}, SENT) == 0.0


@pytest.mark.parametrize("date", ["", "now", "Fri, 99 Jan 2027 08:00:00 GMT"])
def test_without_a_date_nothing_is_known(date: str) -> None:
    assert clock_offset_seconds({"Date": date}, SENT) is None
