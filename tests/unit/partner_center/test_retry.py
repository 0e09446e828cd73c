"""When a failed request is retried within one poll."""

import random

import pytest

from exporter.errors import Forbidden, PollError, Throttled, TruncatedBody, Unavailable
from exporter.partner_center.retry import RetryPolicy

POLICY = RetryPolicy(attempts=4, base_seconds=1.0, cap_seconds=30.0, budget_seconds=90.0)


def delay(error: PollError, *, attempt: int = 1, elapsed: float = 0.0) -> float | None:
    return POLICY.delay(error, attempt=attempt, elapsed_seconds=elapsed, rng=random.Random(3))  # noqa: S311  it spreads retries


@pytest.mark.parametrize("error", [Unavailable("x"), Throttled("x"), TruncatedBody("x")])
def test_what_may_pass_is_tried_again(error: PollError) -> None:
    assert delay(error) is not None


def test_what_will_not_pass_is_given_up_at_once() -> None:
    assert delay(Forbidden("x", retry_after_seconds=1.0)) is None


def test_the_last_attempt_is_the_last() -> None:
    assert [delay(Unavailable("x"), attempt=n) is None for n in range(1, 6)] == [
        False,
        False,
        False,
        True,
        True,
    ]


def test_retry_after_is_waited_for_where_the_poll_may_wait_that_long() -> None:
    assert delay(Throttled("x", retry_after_seconds=57.0)) == 57.0


@pytest.mark.parametrize(("asked", "elapsed"), [(91.0, 0.0), (57.0, 34.0), (0.0, 90.1)])
def test_what_goes_over_the_budget_is_given_up(asked: float, elapsed: float) -> None:
    assert delay(Throttled("x", retry_after_seconds=asked), elapsed=elapsed) is None
