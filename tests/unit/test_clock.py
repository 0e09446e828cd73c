"""Waiting on the real clock, through a suspension of the machine."""

import threading

import pytest

from exporter.clock import Clock

HOUR = 3_600.0


class SuspendedClock(Clock):
    """A machine that is suspended for a while in the middle of its first wait."""

    def __init__(self, suspended_seconds: float) -> None:
        self._now = 1_000.0
        self._suspended_seconds = suspended_seconds

    def monotonic(self) -> float:
        """Return seconds that go on while suspended."""
        return self._now

    def passed(self, awake_seconds: float) -> None:
        """Let a thread's wait run out."""
        self._now += awake_seconds + self._suspended_seconds
        self._suspended_seconds = 0.0


class Waits(threading.Event):
    """An event that nobody sets, whose waits take no time outside."""

    def __init__(self, clock: SuspendedClock) -> None:
        super().__init__()
        self.waits: list[float] = []
        self._clock = clock

    def wait(self, timeout: float | None = None) -> bool:
        """Let the whole time-out pass on the clock, as a thread would that is suspended with the machine."""
        assert timeout is not None
        self.waits.append(timeout)
        self._clock.passed(timeout)
        return self.is_set()


@pytest.mark.parametrize(("suspended", "waits"), [(0.0, 120), (HOUR - 30, 1), (HOUR / 2, 60), (100 * HOUR, 1)])
def test_a_suspension_counts_as_waiting_and_no_single_wait_is_long(suspended: float, waits: int) -> None:
    clock = SuspendedClock(suspended)
    event = Waits(clock)
    assert not clock.wait(event, HOUR)
    assert len(event.waits) == waits
    assert max(event.waits) <= 30


@pytest.mark.parametrize("seconds", [0.0, -5.0, 1e-9, float("inf"), 1e300])
def test_a_set_event_ends_any_wait_at_once(seconds: float) -> None:
    event = threading.Event()
    event.set()
    assert Clock().wait(event, seconds)


def test_an_event_that_is_set_meanwhile_ends_the_wait() -> None:
    event = threading.Event()
    threading.Timer(0.01, event.set).start()
    assert Clock().wait(event, HOUR)


def test_time_that_is_over_is_not_waited_for() -> None:
    clock = SuspendedClock(0.0)
    event = Waits(clock)
    assert not clock.wait(event, -1.0)
    assert event.waits == []


def test_no_clock_goes_back_and_none_awake_runs_faster() -> None:
    clock = Clock()
    awake, monotonic = clock.awake(), clock.monotonic()
    assert monotonic - awake > -1.0
    assert clock.monotonic() >= monotonic
    assert clock.awake() >= awake
