"""When a failed request is retried within one poll."""

import random

import pytest

from exporter.errors import Forbidden, PollError, Throttled, TruncatedBody, Unavailable
from exporter.messages import line
from exporter.partner_center.retry import RetryPolicy
from tests.support.draws import HighestDraw, LowestDraw

POLICY = RetryPolicy(attempts=4, base_seconds=1.0, cap_seconds=30.0, budget_seconds=90.0)
LONG_POLICY = RetryPolicy(attempts=10, base_seconds=0.5, cap_seconds=30.0, budget_seconds=1_000.0)
HIGHEST, LOWEST = HighestDraw(), LowestDraw()


def delay(
    error: PollError,
    *,
    policy: RetryPolicy = POLICY,
    attempt: int = 1,
    elapsed: float = 0.0,
    rng: random.Random = HIGHEST,
) -> float | None:
    return policy.delay(error, attempt=attempt, elapsed_seconds=elapsed, rng=rng)


@pytest.mark.parametrize("error", [Unavailable(line("x")), Throttled(line("x")), TruncatedBody(line("x"))])
def test_a_temporary_failure_is_retried(error: PollError) -> None:
    assert delay(error) is not None


def test_a_permanent_failure_is_given_up_at_once() -> None:
    assert delay(Forbidden(line("x"), retry_after_seconds=1.0)) is None


def test_the_last_attempt_is_the_last() -> None:
    assert [delay(Unavailable(line("x")), attempt=n) is None for n in range(1, 6)] == [False, False, False, True, True]


def test_the_longest_wait_doubles_from_the_base_up_to_the_cap() -> None:
    waits = [delay(Unavailable(line("x")), policy=LONG_POLICY, attempt=n) for n in range(1, 10)]
    assert waits == [0.5, 1.0, 2.0, 4.0, 8.0, 16.0, 30.0, 30.0, 30.0]


def test_the_shortest_wait_is_none_at_all() -> None:
    waits = [delay(Unavailable(line("x")), policy=LONG_POLICY, attempt=n, rng=LOWEST) for n in range(1, 10)]
    assert waits == [0.0] * 9


@pytest.mark.parametrize(("asked", "wait"), [(0.0, 4.0), (3.9, 4.0), (4.1, 4.1), (57.0, 57.0)])
def test_retry_after_is_a_minimum_and_a_longer_wait_is_kept(asked: float, wait: float) -> None:
    assert delay(Throttled(line("x"), retry_after_seconds=asked), attempt=3) == wait


@pytest.mark.parametrize(("asked", "elapsed"), [(90.0, 0.0), (57.0, 33.0), (1.0, 89.0)])
def test_a_wait_that_ends_with_the_budget_is_within_it(asked: float, elapsed: float) -> None:
    assert delay(Throttled(line("x"), retry_after_seconds=asked), elapsed=elapsed) == asked


@pytest.mark.parametrize(("asked", "elapsed"), [(90.1, 0.0), (57.0, 33.1), (0.0, 89.1)])
def test_a_wait_beyond_the_budget_is_given_up(asked: float, elapsed: float) -> None:
    assert delay(Throttled(line("x"), retry_after_seconds=asked), elapsed=elapsed) is None


def test_a_poll_makes_four_attempts_within_90_seconds_by_default() -> None:
    assert RetryPolicy() == RetryPolicy(attempts=4, base_seconds=1.0, cap_seconds=30.0, budget_seconds=90.0)
