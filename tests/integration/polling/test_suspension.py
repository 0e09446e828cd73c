"""A machine that is suspended: what was due meanwhile comes soon after it resumes."""

import threading
from collections.abc import Iterator
from typing import ClassVar

import pytest

from exporter.clock import Clock
from tests.integration.polling.conftest import Bench
from tests.support.clock import FakeClock
from tests.support.process import until

HOUR = 3_600.0


class WaitingClock(FakeClock):
    """Stands still, and its waits take time outside: they are those of the real clock, with shorter pieces."""

    longest_wait_seconds: ClassVar = 0.01

    def wait(self, event: threading.Event, timeout_seconds: float) -> bool:
        """Wait until the event is set or the time is over on this clock."""
        return Clock.wait(self, event, timeout_seconds)


@pytest.fixture
def clock() -> FakeClock:
    """A clock that poll threads really wait on."""
    return WaitingClock()


@pytest.fixture
def polling(bench: Bench) -> Iterator[Bench]:
    """A poll thread that waits for its next poll, an hour away."""
    bench.poller.prepare()
    bench.poller.start()
    until(lambda: bench.poller.status.up)
    until(lambda: bench.due_in() > HOUR - 1)
    yield bench
    bench.poller.stop()
    until(lambda: not bench.poller.alive)


def test_an_overdue_poll_comes_as_soon_as_the_machine_resumes(polling: Bench) -> None:
    polling.clock.suspend(HOUR / 2)
    assert polling.due_in() > HOUR / 2 - 1
    polling.clock.suspend(HOUR)
    until(lambda: polling.simulator.requests.count("usage") == 2)


def test_data_that_grew_too_old_while_suspended_are_withdrawn(bench: Bench) -> None:
    bench.poll()
    bench.clock.suspend(72 * HOUR + 1)
    bench.poller.withdraw_if_stale()
    assert bench.poller.status.stale
    assert not bench.scrape().data


def test_an_access_token_that_expired_while_suspended_is_renewed(bench: Bench) -> None:
    bench.poll()
    renewed = bench.simulator.requests.count("token")
    bench.clock.suspend(2 * HOUR)
    assert bench.poll().up
    assert bench.simulator.requests.count("token") == renewed + 1
    assert bench.scrape().value("partnercenter_api_requests_total", partner="contoso", source="usage", code="200") == 2


def test_a_poll_in_the_middle_of_which_the_machine_is_suspended_goes_on_and_is_not_stuck(bench: Bench) -> None:
    stuck: list[bool] = []

    def suspended() -> None:
        bench.clock.suspend(10 * HOUR)
        stuck.append(bench.poller.stuck)

    bench.interrupt(suspended)
    status = bench.poll()
    assert status.up
    assert stuck == [False]
    assert status.last_duration_seconds is not None
    assert status.last_duration_seconds < 60
    # It began ten hours ago, so the next one is due.
    assert bench.due_in() < 1
