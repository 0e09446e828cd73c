"""Which threads count as dead."""

from tests.integration.polling.conftest import Bench
from tests.support.process import until


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
