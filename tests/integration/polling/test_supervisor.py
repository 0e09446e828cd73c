"""Which poll threads are taken for dead."""

from tests.integration.polling.conftest import Bench


def test_a_thread_that_is_not_started_yet_is_not_taken_for_dead(bench: Bench) -> None:
    assert not bench.poller.dead
    bench.poller.restart_if_dead()
    assert not bench.poller.running


def test_a_thread_that_was_told_to_stop_is_not_taken_for_dead(bench: Bench) -> None:
    bench.poller.stop()
    bench.poller.start()
    bench.wait_for_the_end()
    assert not bench.poller.dead
    bench.poller.restart_if_dead()
    assert not bench.poller.running
    assert bench.log.of("poll thread died, restarted") == []
