"""Times and counts as text."""

import pytest

from exporter.formatting import ago, licences, moment


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0.0, "0 s"),
        (59.0, "59 s"),
        (60.0, "1 min"),
        (3_599.0, "60 min"),
        (3_600.0, "1.0 h"),
        (5_400.0, "1.5 h"),
        (172_799.0, "48.0 h"),
        (172_800.0, "2 days"),
        (90 * 86_400.0, "90 days"),
        (-60.0, "1 min"),
    ],
)
def test_a_time_span_is_shown_in_its_largest_fitting_unit(seconds: float, text: str) -> None:
    assert ago(seconds) == text


@pytest.mark.parametrize(
    ("timestamp", "text"), [(1489104000.0, "2017-03-10 00:00:00 UTC"), (0.9, "1970-01-01 00:00:00 UTC")]
)
def test_a_moment_is_shown_in_utc(timestamp: float, text: str) -> None:
    assert moment(timestamp) == text


@pytest.mark.parametrize("timestamp", [1e30, -1e30, float("inf"), float("nan")])
def test_a_time_that_is_no_date_is_shown_as_out_of_range(timestamp: float) -> None:
    assert moment(timestamp) == "a time out of range"


@pytest.mark.parametrize(
    ("counts", "text"),
    [
        ((1500.0, 4464.0), "1,500 of 4,464"),
        ((None, 4464.0), "4,464"),
        ((3.0, None), "3 of ?"),
        ((None, None), ""),
        ((3.0,), "3"),
        ((None,), ""),
    ],
)
def test_licences_are_shown_as_far_as_they_are_known(counts: tuple[float | None, ...], text: str) -> None:
    assert licences(counts) == text
