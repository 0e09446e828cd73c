"""When the next poll comes."""

import math

import pytest

from exporter.polling import schedule
from tests.support.draws import HighestDraw, LowestDraw


def test_after_a_successful_poll_the_interval_applies() -> None:
    assert schedule.after_success(3_600.0, LowestDraw()) == 3_600.0


def test_failures_back_off_from_a_minute_up_to_the_interval() -> None:
    waits = [schedule.after_failure(count, 3_600.0, LowestDraw()) for count in range(1, 10)]
    assert waits == [60, 120, 240, 480, 960, 1_920, 3_600, 3_600, 3_600]


def test_with_the_minimum_interval_a_failed_poll_waits_no_longer_than_a_successful_one() -> None:
    assert [schedule.after_failure(count, 60.0, LowestDraw()) for count in (1, 5, 1_000_000)] == [60.0] * 3


@pytest.mark.parametrize(
    ("delay", "longest"), [(60.0, 63.0), (1_200.0, 1_260.0), (3_600.0, 3_660.0), (86_400.0, 86_460.0)]
)
def test_the_jitter_is_a_twentieth_and_at_most_a_minute(delay: float, longest: float) -> None:
    assert schedule.jitter(delay, HighestDraw()) == longest


@pytest.mark.parametrize(
    ("since", "settled", "wait"),
    [
        (0.0, True, 3_600.0),
        (600.0, True, 3_000.0),
        (3_600.0, True, 0.0),
        (1e9, True, 0.0),
        (0.0, False, 60.0),
        (45.0, False, 15.0),
        (60.0, False, 0.0),
        (1e9, False, 0.0),
    ],
)
def test_a_start_continues_the_schedule_of_the_last_run(since: float, *, settled: bool, wait: float) -> None:
    assert schedule.at_start(since, 3_600.0, settled=settled) == wait


def test_a_thread_that_keeps_dying_waits_longer_before_each_restart() -> None:
    waits = [schedule.after_death(restarts) for restarts in range(10)]
    assert waits == [1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0, 256.0, 300.0]


@pytest.mark.parametrize(
    ("since", "retry_after", "wait"),
    [
        (0.0, 0.0, 60.0),
        (59.0, 0.0, 1.0),
        (60.0, 0.0, 0.0),
        (1e9, -5.0, 0.0),
        (math.inf, 0.0, 0.0),
        (-1.0, 0.0, 0.0),
        (-1e9, 7.0, 7.0),
        (30.0, 300.0, 300.0),
        (30.0, 10.0, 30.0),
    ],
)
def test_a_requested_poll_waits_for_retry_after_and_a_minute_after_the_last(
    since: float, retry_after: float, wait: float
) -> None:
    assert schedule.on_request(since, retry_after) == wait
