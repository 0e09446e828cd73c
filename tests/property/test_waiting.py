"""What holds of every wait: within a poll, between polls, and as the upstream asks for it."""

import math
import random
from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from exporter.errors import Forbidden, PollError, Throttled, Unavailable
from exporter.messages import line
from exporter.partner_center.retry import RetryPolicy
from exporter.polling import schedule
from exporter.upstream.retry_after import retry_after_seconds
from tests.property.strategies import torn_text
from tests.support.draws import HighestDraw, LowestDraw

SECONDS = st.floats(0, 1e5, allow_nan=False)
INTERVALS = st.floats(60, 366 * 86_400, allow_nan=False)
POLICIES = st.builds(
    RetryPolicy,
    attempts=st.integers(1, 8),
    base_seconds=st.floats(0.01, 10),
    cap_seconds=st.floats(0.01, 60),
    budget_seconds=st.floats(0, 300),
)
RANDOM = st.randoms(use_true_random=False)


@given(POLICIES, st.integers(1, 20), SECONDS, st.none() | SECONDS, RANDOM)
def test_a_retry_waits_as_long_as_asked_and_never_beyond_the_budget(
    policy: RetryPolicy, attempt: int, elapsed: float, asked: float | None, rng: random.Random
) -> None:
    error: PollError = Throttled(line("x"), retry_after_seconds=asked)
    delay = policy.delay(error, attempt=attempt, elapsed_seconds=elapsed, rng=rng)
    if delay is None:
        assert attempt >= policy.attempts or elapsed + max(asked or 0.0, policy.cap_seconds) >= policy.budget_seconds
        return
    assert attempt < policy.attempts
    assert delay >= (asked or 0.0)
    assert elapsed + delay <= policy.budget_seconds
    assert delay <= max(policy.cap_seconds, asked or 0.0)


@given(POLICIES, RANDOM)
def test_all_attempts_of_a_poll_together_end_within_the_budget(policy: RetryPolicy, rng: random.Random) -> None:
    elapsed, attempt = 0.0, 1
    while (wait := policy.delay(Unavailable(line("x")), attempt=attempt, elapsed_seconds=elapsed, rng=rng)) is not None:
        elapsed, attempt = elapsed + wait, attempt + 1
    assert elapsed <= policy.budget_seconds
    assert attempt <= policy.attempts


@given(POLICIES, st.integers(1, 20))
def test_the_longest_wait_starts_at_the_base_and_doubles_up_to_the_cap(policy: RetryPolicy, attempt: int) -> None:
    patient = replace(policy, attempts=attempt + 2, budget_seconds=math.inf)
    first, longest, next_longest = (
        patient.delay(Unavailable(line("x")), attempt=number, elapsed_seconds=0.0, rng=HighestDraw())
        for number in (1, attempt, attempt + 1)
    )
    assert longest is not None
    assert first == min(policy.base_seconds, policy.cap_seconds)
    assert next_longest == min(2 * longest, policy.cap_seconds)


@given(POLICIES, st.integers(1, 20), RANDOM)
def test_a_permanent_failure_is_never_retried(policy: RetryPolicy, attempt: int, rng: random.Random) -> None:
    assert policy.delay(Forbidden(line("x")), attempt=attempt, elapsed_seconds=0.0, rng=rng) is None


@given(SECONDS, RANDOM)
def test_the_jitter_never_shortens_and_adds_a_minute_at_most(delay: float, rng: random.Random) -> None:
    assert delay <= schedule.jitter(delay, rng) <= delay + 60.0


@given(INTERVALS, RANDOM)
def test_after_a_good_poll_at_least_the_interval_passes(interval: float, rng: random.Random) -> None:
    assert interval <= schedule.after_success(interval, rng) <= interval + 60.0


@given(st.integers(1, 10_000), INTERVALS, RANDOM)
def test_after_a_failed_poll_a_minute_to_the_interval_passes_and_never_less_than_before(
    failures: int, interval: float, rng: random.Random
) -> None:
    wait = schedule.after_failure(failures, interval, rng)
    assert 60.0 <= wait <= interval + 60.0

    steady = [schedule.after_failure(count, interval, LowestDraw()) for count in (failures, failures + 1)]
    assert steady == sorted(steady)
    assert steady[1] <= max(2 * steady[0], interval)


@given(since=SECONDS, interval=INTERVALS, settled=st.booleans())
def test_a_restart_never_shortens_what_a_good_poll_set_and_tries_a_failed_one_within_a_minute(
    since: float, interval: float, *, settled: bool
) -> None:
    wait = schedule.at_start(since, interval, settled=settled)
    assert wait >= 0.0
    assert wait + since >= (interval if settled else 60.0) or math.isclose(wait + since, interval)
    assert wait <= (interval if settled else 60.0)


@given(torn_text | st.floats().map(str) | st.integers().map(str) | st.datetimes().map(str), torn_text)
def test_any_retry_after_is_nothing_or_up_to_a_day(value: str, date: str) -> None:
    seconds = retry_after_seconds({"Retry-After": value, "Date": date}, 1.8e9)
    assert seconds is None or 0.0 <= seconds <= 86_400.0


@given(st.floats(0, 86_400, allow_nan=False))
def test_seconds_up_to_a_day_are_taken_as_they_are(seconds: float) -> None:
    assert retry_after_seconds({"Retry-After": str(seconds)}, 1.8e9) == seconds
