"""When the next poll comes (pure). All durations are seconds.

After a good poll the interval holds, over restarts too. After a failed one it backs off from a minute up
to the interval. What the upstream asked for with Retry-After always holds.
"""

import random

FIRST_BACK_OFF_SECONDS = 60.0
# Enough that many partners or exporters don't poll at the same moment.
_JITTER = 0.05
_LONGEST_JITTER_SECONDS = 60.0


def jitter(delay_seconds: float, rng: random.Random) -> float:
    """Return the delay, made a little longer at random; never shorter."""
    return delay_seconds + rng.uniform(0.0, min(delay_seconds * _JITTER, _LONGEST_JITTER_SECONDS))


def after_success(interval_seconds: float, rng: random.Random) -> float:
    """Return the time from the start of a good poll to the next."""
    return jitter(interval_seconds, rng)


def after_failure(failures_in_a_row: int, interval_seconds: float, rng: random.Random) -> float:
    """Return the time from the start of a failed poll to the next; `failures_in_a_row` counts it too."""
    doublings = min(max(failures_in_a_row - 1, 0), 20)
    return jitter(min(interval_seconds, FIRST_BACK_OFF_SECONDS * 2**doublings), rng)


def at_start(since_last_poll_seconds: float, interval_seconds: float, *, settled: bool) -> float:
    """Return the time from the program's start to its first poll, by what the last run left.

    A last poll that was good (`settled`) holds for the interval. One that failed or was cut off is tried
    within a minute, counted from its start, so that a crash loop polls once a minute at most.
    """
    due_after = interval_seconds if settled else FIRST_BACK_OFF_SECONDS
    return max(due_after - since_last_poll_seconds, 0.0)
