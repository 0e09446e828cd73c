"""Clocks that make months pass in seconds, for a whole exporter with all its threads."""

import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

_PATIENCE_SECONDS = 60.0
_LOOK_EVERY_SECONDS = 0.05


@dataclass(frozen=True, eq=False)
class _Sleeper:
    """One wait: its end in monotonic seconds, the event that ends it early, and the bell that wakes it."""

    end: float
    event: threading.Event
    bell: threading.Event = field(default_factory=threading.Event)

    def sleeps(self, now: float) -> bool:
        """Return whether nothing has ended the wait yet."""
        return self.end > now and not self.event.is_set()


class LeapingClock:
    """Time passes as it does outside; where every thread of the exporter waits, it leaps to the next end.

    Threads block on sockets for as long as they do, so that real time-outs strike; what they wait for on
    this clock takes no time. Nothing leaps but through `run_until` and `pass_time`. Safe for threads.
    `at_least` lengthens the waits of single threads, by name: a supervisor that looks every second makes a
    year long. `on_leap` is told the new `ahead` before anybody wakes, for clocks in other processes.
    """

    def __init__(
        self,
        *,
        now: float = 1_800_000_000.0,
        at_least: Mapping[str, float] = MappingProxyType({}),
        on_leap: Callable[[float], None] = lambda _ahead: None,
    ) -> None:
        self._on_leap = on_leap
        self._changed = threading.Condition()
        self._at_least = at_least
        self._start = time.monotonic()
        self._epoch = now
        self._leapt = 0.0
        self._jumped = 0.0
        self._sleeping: set[_Sleeper] = set()

    def time(self) -> float:
        """Return seconds since the epoch, as this machine believes."""
        return self.true_time() + self._jumped

    def true_time(self) -> float:
        """Return seconds since the epoch, as the rest of the world knows: no `jump` moves it."""
        return self._epoch + self._passed()

    @property
    def ahead(self) -> float:
        """By how many seconds `true_time` leads the machine's monotonic clock."""
        return self._epoch - self._start + self._leapt

    def monotonic(self) -> float:
        """Return seconds that never go back."""
        return 1_000.0 + self._passed()

    def jump(self, seconds: float) -> None:
        """Set this machine's wall clock, as an operator or NTP does."""
        with self._changed:
            self._jumped += seconds

    def wait(self, event: threading.Event, timeout_seconds: float) -> bool:
        """Sleep until the event is set or the time is over on this clock; return whether the event is set."""
        seconds = max(timeout_seconds, self._at_least.get(threading.current_thread().name, 0.0))
        sleeper = _Sleeper(self.monotonic() + seconds, event)
        with self._changed:
            self._sleeping.add(sleeper)
            self._changed.notify_all()
        while sleeper.sleeps(now := self.monotonic()):
            sleeper.bell.wait(min(sleeper.end - now, _LOOK_EVERY_SECONDS))
        with self._changed:
            self._sleeping.remove(sleeper)
        return event.is_set()

    def run_until(
        self, condition: Callable[[], bool], threads: Callable[[], int], *, within_seconds: float
    ) -> None:
        """Leap from wait to wait until the condition holds while every thread sleeps.

        `threads` says how many there are to wait for. Raises TimeoutError after `within_seconds` of this
        clock, or when a thread doesn't come to rest within a minute outside.
        """
        end = self.monotonic() + within_seconds
        while True:
            self._rest(threads)
            if condition():
                return
            with self._changed:
                due = min((sleeper.end for sleeper in self._sleeping), default=end)
                if due > end:
                    raise TimeoutError(f"nothing came of it within {within_seconds:g} s")
                self._leap(due - self.monotonic())

    def pass_time(self, seconds: float, threads: Callable[[], int]) -> None:
        """Let time pass in one leap, as a suspended machine does, and every thread do what is due then."""
        self._rest(threads)
        with self._changed:
            self._leap(seconds)
        self._rest(threads)

    def asleep(self) -> int:
        """Return how many threads sleep; ring for those that needn't any more."""
        with self._changed:
            now = self.monotonic()
            awake = [sleeper for sleeper in self._sleeping if not sleeper.sleeps(now)]
            for sleeper in awake:
                sleeper.bell.set()
            return len(self._sleeping) - len(awake)

    def _passed(self) -> float:
        return time.monotonic() - self._start + self._leapt

    def _leap(self, seconds: float) -> None:
        self._leapt += max(seconds, 0.0)
        self._on_leap(self.ahead)
        now = self.monotonic()
        for sleeper in self._sleeping:
            if not sleeper.sleeps(now):
                sleeper.bell.set()

    def _rest(self, threads: Callable[[], int]) -> None:
        deadline = time.monotonic() + _PATIENCE_SECONDS
        while self.asleep() < threads():
            if time.monotonic() > deadline:
                raise TimeoutError(f"{self.asleep()} of {threads()} threads are at rest")
            with self._changed:
                self._changed.wait(0.002)
