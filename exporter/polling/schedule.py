"""When the next poll is due (pure). All durations are seconds.

After a successful poll the interval applies, across restarts too. After a failed one it backs off from a
minute up to the interval. Retry-After always holds.
"""

import random

FIRST_BACK_OFF_SECONDS = 60.0
# As for poll.interval.
LEAST_INTERVAL_SECONDS = 60.0
# Enough to keep many partners or exporters from polling at the same moment.
_JITTER = 0.05
_MAX_JITTER_SECONDS = 60.0
_MAX_RESTART_SECONDS = 300.0


def jitter(delay_seconds: float, rng: random.Random) -> float:
    """Return the delay, randomly a little longer; never shorter."""
    return delay_seconds + rng.uniform(0.0, min(delay_seconds * _JITTER, _MAX_JITTER_SECONDS))


def after_success(interval_seconds: float, rng: random.Random) -> float:
    """Return the time from the start of a successful poll to the next."""
    return jitter(interval_seconds, rng)


def after_failure(failures_in_a_row: int, interval_seconds: float, rng: random.Random) -> float:
    """Return the time from the start of a failed poll to the next; `failures_in_a_row` counts it too."""
    doublings = min(max(failures_in_a_row - 1, 0), 20)
    return jitter(min(interval_seconds, FIRST_BACK_OFF_SECONDS * 2**doublings), rng)


def at_start(since_last_poll_seconds: float, interval_seconds: float, *, settled: bool) -> float:
    """Return the time from the program's start to its first poll, given what the last run left.

    After a successful last poll (`settled`) the interval applies. One that failed or was cut off is retried
    within a minute of its start, so that a crash loop polls once a minute at most.
    """
    due_after = interval_seconds if settled else FIRST_BACK_OFF_SECONDS
    return max(due_after - since_last_poll_seconds, 0.0)


def on_request(since_last_poll_seconds: float, retry_after_seconds: float) -> float:
    """Return for how long a source may not be polled that somebody asks for.

    Retry-After holds, and two polls begin a minute apart. A last poll in the future was on a clock that was ahead.
    """
    since = since_last_poll_seconds
    return max(retry_after_seconds, LEAST_INTERVAL_SECONDS - since if since >= 0 else 0.0, 0.0)


def after_death(restarts: int) -> float:
    """Return how long a poll thread that dies again is not restarted; `restarts` counts those before."""
    return float(min(2**restarts, _MAX_RESTART_SECONDS))
