"""What a Date header says of this machine's clock."""

import pytest

from exporter.upstream.server_clock import ServerClock, clock_offset_seconds
from tests.support.logs import LogStream

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


def test_a_wrong_clock_is_logged_once_and_again_after_it_was_right(log_stream: LogStream) -> None:
    clock = ServerClock()
    for offset in (0.0, 299.0, 3_600.0, 7_200.0, 3_600.0, 0.0, -86_400.0 * 3, 1.0):
        clock.note({"Date": DATE}, SENT + offset)
        clock.note({}, SENT)  # says nothing
    assert [(entry["msg"], entry.get("clock")) for entry in log_stream.entries] == [
        ("clock wrong", "60 min ahead"),
        ("clock right again", None),
        ("clock wrong", "3 days behind"),
        ("clock right again", None),
    ]
    assert log_stream.entries[0]["remedy"] == "check its time synchronisation (NTP)"


@pytest.mark.parametrize(
    ("offset", "problem"), [(None, ""), (300.0, ""), (-301.0, "5 min behind"), (1e5, "28 h ahead")]
)
def test_what_entra_id_tolerates_is_no_problem(offset: float | None, problem: str) -> None:
    assert problem in ServerClock(offset).problem
    assert bool(ServerClock(offset).problem) == bool(problem)
