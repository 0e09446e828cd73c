"""Time and waiting, passed in wherever either is needed, so that tests set the pace."""

import threading
import time
from typing import Protocol


class Clock(Protocol):
    """Wall time for stamps, monotonic time for intervals, and a wait that can be ended early."""

    def time(self) -> float:
        """Return seconds since the epoch; may jump."""
        ...

    def monotonic(self) -> float:
        """Return seconds that never go back; for intervals and deadlines."""
        ...

    def wait(self, event: threading.Event, timeout_seconds: float) -> bool:
        """Wait until `event` is set or the time is over; return whether it is set."""
        ...


class SystemClock:
    """The machine's own clock."""

    def time(self) -> float:
        """Return seconds since the epoch."""
        return time.time()

    def monotonic(self) -> float:
        """Return the machine's monotonic seconds."""
        return time.monotonic()

    def wait(self, event: threading.Event, timeout_seconds: float) -> bool:
        """Wait for `event`, at most `timeout_seconds`."""
        # A longer time-out than this overflows the C time type.
        return event.wait(min(max(timeout_seconds, 0.0), threading.TIMEOUT_MAX))
