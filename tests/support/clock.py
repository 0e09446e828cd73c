"""Clocks that tests move: one for a single thread, one for a whole exporter with all its threads."""

import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

from exporter.clock import Clock
from tests.support.process import PATIENCE_SECONDS, until

_CHECK_INTERVAL_SECONDS = 0.05


class FakeClock(Clock):
    """Stands still until `advance`; a `wait` returns at once and advances it by its timeout. Thread-safe.

    `waits` holds the seconds of every wait that ran out. `jump` changes wall time but not
    monotonic time, as an operator or NTP does; `suspend` lets both pass, but no time awake.
    """

    def __init__(self, *, now: float = 1_800_000_000.0) -> None:
        self._changed = threading.Condition()
        self._epoch = now
        self._advanced = 0.0
        self._jumped = 0.0
        self._suspended = 0.0
        self.waits: list[float] = []

    def time(self) -> float:
        """Return seconds since the epoch, as this machine believes."""
        return self.true_time() + self._jumped

    def true_time(self) -> float:
        """Return seconds since the epoch, as the rest of the world knows: no `jump` moves it."""
        return self._epoch + self._passed()

    def monotonic(self) -> float:
        """Return seconds that never go backwards."""
        return 1_000.0 + self._passed()

    def awake(self) -> float:
        """Return seconds that never go backwards, without those suspended."""
        return self.monotonic() - self._suspended

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
        with self._changed:
            self._advanced += seconds

    def suspend(self, seconds: float) -> None:
        """Let time pass as for a machine that is suspended."""
        with self._changed:
            self._suspended += seconds
            self._advanced += seconds

    def jump(self, seconds: float) -> None:
        """Move this machine's wall clock only."""
        with self._changed:
            self._jumped += seconds

    def _passed(self) -> float:
        return self._advanced


@dataclass(frozen=True, eq=False)
class _Sleeper:
    """One wait: its end in monotonic seconds, the event that ends it early, and the bell that wakes it."""

    end: float
    event: threading.Event
    thread: str = field(default_factory=lambda: threading.current_thread().name)
    bell: threading.Event = field(default_factory=threading.Event)

    def sleeps(self, now: float) -> bool:
        """Return whether nothing has ended the wait yet."""
        return self.end > now and not self.event.is_set()


class LeapingClock(FakeClock):
    """A clock for several threads, which leaps where a test says so, once they all sleep. Safe for threads.

    Between two leaps time passes as it does outside, so that threads block on sockets for as long as they do
    and real timeouts strike; or not at all with `stands_still`. What threads wait for on this clock takes no
    time. `at_least` lengthens the waits of single threads, by name: a supervisor that looks every second
    makes a year long. `on_leap` is told the new `ahead` before anybody wakes, for clocks in other processes.
    """

    def __init__(
        self,
        *,
        now: float = 1_800_000_000.0,
        stands_still: bool = False,
        at_least: Mapping[str, float] = MappingProxyType({}),
        on_leap: Callable[[float], None] = lambda _ahead: None,
    ) -> None:
        super().__init__(now=now)
        self._on_leap = on_leap
        self._at_least = at_least
        self._stands_still = stands_still
        self._start = self._outside()
        self._sleeping: set[_Sleeper] = set()
        self._doomed: set[str] = set()

    @property
    def ahead(self) -> float:
        """By how many seconds `true_time` leads the machine's monotonic clock."""
        return self._epoch - self._start + self._advanced

    def wait(self, event: threading.Event, timeout_seconds: float) -> bool:
        """Sleep until the event is set or the time is over on this clock; return whether the event is set."""
        seconds = max(timeout_seconds, self._at_least.get(threading.current_thread().name, 0.0))
        sleeper = _Sleeper(self.monotonic() + seconds, event)
        with self._changed:
            self._sleeping.add(sleeper)
            self._changed.notify_all()
        while sleeper.sleeps(now := self.monotonic()) and sleeper.thread not in self._doomed:
            sleeper.bell.wait(min(sleeper.end - now, _CHECK_INTERVAL_SECONDS))
        with self._changed:
            self._sleeping.remove(sleeper)
        if sleeper.thread in self._doomed:
            self._doomed.remove(sleeper.thread)
            raise RuntimeError("a bug that nobody has thought of")
        return event.is_set()

    def run_until(self, condition: Callable[[], bool], threads: Callable[[], int], *, within_seconds: float) -> None:
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
        self.leap(seconds, sleepers=threads)
        self._rest(threads)

    def leap(self, seconds: float, *, sleepers: Callable[[], int]) -> None:
        """Let time pass in one leap once that many threads sleep."""
        self._rest(sleepers)
        with self._changed:
            self._leap(seconds)

    def suspend(self, seconds: float) -> None:
        """Let time pass as for a machine that is suspended; what waits is woken when it resumes."""
        with self._changed:
            self._suspended += seconds
            self._leap(seconds)

    def asleep(self) -> list[str]:
        """Return the names of the threads that sleep; ring for those that needn't any more."""
        with self._changed:
            now = self.monotonic()
            self._ring(now)
            return [sleeper.thread for sleeper in self._sleeping if sleeper.sleeps(now)]

    def end_thread(self, name: str) -> None:
        """Let the thread of this name die in its sleep, as by a bug in this program."""
        until(lambda: name in self.asleep())
        self._doomed.add(name)
        until(lambda: name not in {thread.name for thread in threading.enumerate()})

    def _outside(self) -> float:
        return 0.0 if self._stands_still else time.monotonic()

    def _passed(self) -> float:
        return self._outside() - self._start + self._advanced

    def _leap(self, seconds: float) -> None:
        self._advanced += max(seconds, 0.0)
        self._on_leap(self.ahead)
        self._ring(self.monotonic())

    def _ring(self, now: float) -> None:
        for sleeper in self._sleeping:
            if not sleeper.sleeps(now):
                sleeper.bell.set()

    def _rest(self, threads: Callable[[], int]) -> None:
        deadline = time.monotonic() + PATIENCE_SECONDS
        while len(self.asleep()) < threads():
            if time.monotonic() > deadline:
                raise TimeoutError(f"{len(self.asleep())} of {threads()} threads are at rest")
            with self._changed:
                self._changed.wait(0.002)
