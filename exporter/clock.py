"""Time and waiting, passed in wherever either is needed, so that tests set the pace."""

import threading
import time
from contextlib import suppress
from typing import ClassVar


def _clock_since_boot() -> int:
    """Return a clock that goes on while the machine is suspended, where the system has one, as Linux does."""
    with suppress(AttributeError, OSError):
        time.clock_gettime(time.CLOCK_BOOTTIME)
        return time.CLOCK_BOOTTIME
    return time.CLOCK_MONOTONIC


_SINCE_BOOT = _clock_since_boot()


class Clock:
    """The machine's own clock: wall time for stamps, monotonic time for intervals.

    A thread's wait stands still while the machine is suspended, so long ones are made of short ones: what is overdue
    when the machine resumes comes within `longest_wait_seconds`.
    """

    longest_wait_seconds: ClassVar = 30.0

    def time(self) -> float:
        """Return seconds since the epoch; may jump."""
        return time.time()

    def monotonic(self) -> float:
        """Return seconds that never go back, and go on while the machine is suspended; for intervals and deadlines."""
        return time.clock_gettime(_SINCE_BOOT)

    def awake(self) -> float:
        """Return seconds that never go back, and stand still while the machine is suspended; for work under way."""
        return time.monotonic()

    def wait(self, event: threading.Event, timeout_seconds: float) -> bool:
        """Wait until `event` is set or the time is over; return whether it is set."""
        end = self.monotonic() + timeout_seconds
        while (left := end - self.monotonic()) > 0:
            if event.wait(min(left, self.longest_wait_seconds)):
                return True
        return event.is_set()
