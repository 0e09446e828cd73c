"""Which threads count as dead."""

from tests.integration.polling.conftest import Bench
from tests.support.process import until


def test_a_thread_that_is_not_started_yet_is_not_dead(bench: Bench) -> None:
    assert not bench.poller.dead
    bench.poller.restart_if_dead()
    assert not bench.poller.alive


def test_a_stopped_thread_is_not_dead(bench: Bench) -> None:
    bench.poller.stop()
    bench.poller.start()
    until(lambda: not bench.poller.alive)
    assert not bench.poller.dead
    bench.poller.restart_if_dead()
    assert bench.log.of("poll thread died, restarted") == []
