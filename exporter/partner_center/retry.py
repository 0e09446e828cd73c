"""When a failed request is retried within one poll (pure)."""

import random
from dataclasses import dataclass

from exporter.errors import PollError


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """Exponential back-off with full jitter, bounded by attempts and by the time that a poll may wait.

    `poll_seconds` bounds the whole poll, however many pages the response has.
    """

    attempts: int = 4
    base_seconds: float = 1.0
    cap_seconds: float = 30.0
    budget_seconds: float = 90.0
    poll_seconds: float = 3_600.0

    def delay(self, error: PollError, *, attempt: int, elapsed_seconds: float, rng: random.Random) -> float | None:
        """Return how long to wait before the next attempt (the first is 1); None ends the poll.

        Retry-After is the minimum. One that is longer than the poll may wait delays the next poll instead.
        """
        if not error.retryable or attempt >= self.attempts:
            return None
        ceiling = min(self.cap_seconds, self.base_seconds * 2 ** (attempt - 1))
        delay = max(rng.uniform(0.0, ceiling), error.retry_after_seconds or 0.0)
        return delay if elapsed_seconds + delay <= self.budget_seconds else None
