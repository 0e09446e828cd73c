"""Time and waiting, passed in wherever either is needed, so that tests set the pace."""

import threading
import time


class Clock:
    """The machine's own clock: wall time for stamps, monotonic time for intervals."""

    def time(self) -> float:
        """Return seconds since the epoch; may jump."""
        return time.time()

    def monotonic(self) -> float:
        """Return seconds that never go back; for intervals and deadlines."""
        return time.monotonic()

    def wait(self, event: threading.Event, timeout_seconds: float) -> bool:
        """Wait until `event` is set or the time is over; return whether it is set."""
        # A longer time-out than this overflows the C time type.
        return event.wait(min(max(timeout_seconds, 0.0), threading.TIMEOUT_MAX))
