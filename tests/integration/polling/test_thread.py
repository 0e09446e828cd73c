"""Which threads count as dead, and which as stuck."""

import threading
from contextlib import ExitStack

import pytest

from tests.integration.polling.conftest import Bench
from tests.support.locks import held_by_another_process
from tests.support.process import PATIENCE_SECONDS, until


def test_a_thread_that_is_not_started_yet_is_not_dead(bench: Bench) -> None:
    assert not bench.poller.dead
    bench.poller.restart_if_dead()
    assert not bench.poller.alive


def test_a_prepared_thread_polls_only_from_the_start_on(bench: Bench) -> None:
    bench.poller.prepare()
    assert bench.poller.alive
    assert not bench.poller.dead
    assert bench.poller.status.last_poll_at is None
    bench.poller.start()
    until(lambda: bench.poller.status.up)
    bench.poller.stop()
    until(lambda: not bench.poller.alive)


def test_a_prepared_thread_ends_when_stopped_before_its_start(bench: Bench) -> None:
    bench.poller.prepare()
    bench.poller.stop()
    until(lambda: not bench.poller.alive)
    assert bench.simulator.requests.count() == 0


def test_a_stopped_thread_counts_as_dead_but_is_not_restarted(bench: Bench) -> None:
    bench.poller.prepare()
    bench.poller.stop()
    until(lambda: not bench.poller.alive)
    assert bench.poller.dead
    bench.poller.restart_if_dead()
    assert bench.log.of("poll thread died, restarted") == []


def stuck_after(seconds: float, bench: Bench) -> bool:
    bench.clock.advance(seconds)
    return bench.poller.stuck


@pytest.mark.parametrize("name", ["polls", "data", "tokens"])
def test_a_poll_that_can_not_be_saved_counts_as_stuck_until_it_goes_on(bench: Bench, name: str) -> None:
    bench.poll()
    bench.clock.advance(3_600)
    assert not bench.poller.stuck
    with held_by_another_process(bench.config.state_dir / name / ".lock"):
        poll = threading.Thread(target=bench.poll)
        poll.start()
        until(lambda: stuck_after(301, bench))
    poll.join(PATIENCE_SECONDS)
    assert bench.poller.status.up


def test_a_poll_counts_until_its_end_is_saved(bench: Bench) -> None:
    bench.poll()
    bench.clock.advance(3_600)
    with ExitStack() as holding:
        lock = bench.config.state_dir / "data/.lock"
        bench.interrupt(lambda: holding.enter_context(held_by_another_process(lock)))
        poll = threading.Thread(target=bench.poll)
        poll.start()
        until(lambda: bench.poller.data.current() is not None)
        until(lambda: stuck_after(301, bench))
    poll.join(PATIENCE_SECONDS)
