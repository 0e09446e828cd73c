"""A clock that tests advance."""

import threading


class FakeClock:
    """Stands still until `advance`; a `wait` returns at once and advances it by its timeout. Thread-safe.

    `waits` holds the seconds of every wait that ran out. `jump` changes wall time but not
    monotonic time, as an operator or NTP does.
    """

    def __init__(self, *, now: float = 1_800_000_000.0) -> None:
        self._lock = threading.Lock()
        self._wall = now
        self._monotonic = 1_000.0
        self.waits: list[float] = []

    def time(self) -> float:
        """Return seconds since the epoch."""
        with self._lock:
            return self._wall

    def monotonic(self) -> float:
        """Return seconds that never go backwards."""
        with self._lock:
            return self._monotonic

    def wait(self, event: threading.Event, timeout_seconds: float) -> bool:
        """Return whether `event` is set; if it isn't, the timeout has passed on this clock."""
        if event.is_set():
            return True
        seconds = max(timeout_seconds, 0.0)
        self.advance(seconds)
        self.waits.append(seconds)
        return event.is_set()

    def advance(self, seconds: float) -> None:
        """Let time pass."""
        with self._lock:
            self._wall += seconds
            self._monotonic += seconds

    def jump(self, seconds: float) -> None:
        """Move wall time only."""
        with self._lock:
            self._wall += seconds
