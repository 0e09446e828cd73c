"""Which threads the supervisor takes for dead."""

from collections.abc import Callable

import pytest

from exporter.logs import get_logger
from exporter.polling.supervisor import Supervisor, Unit, Worker
from tests.integration.polling.conftest import Bench


class SignedIn:
    """A sign-in whose files never change."""

    def changed_on_disk(self) -> bool:
        """Return that they have not."""
        return False


Look = Callable[[Worker], list[tuple[str, str]]]


@pytest.fixture
def look(bench: Bench) -> Look:
    """Return a function that looks at one worker once and returns which threads were started again."""

    def at(worker: Worker) -> list[tuple[str, str]]:
        restarted: list[tuple[str, str]] = []
        Supervisor(
            lambda: (Unit(SignedIn(), (worker,)),),
            heal_state=lambda: None,
            on_restart=lambda partner, source: restarted.append((partner, source)),
            clock=bench.clock,
            log=get_logger(),
        ).look()
        return restarted

    return at


def test_a_thread_that_is_not_started_yet_is_not_taken_for_dead(bench: Bench, look: Look) -> None:
    worker = Worker(bench.poller, stuck_after_seconds=60)
    assert worker.healthy
    assert look(worker) == []
    assert worker.thread is None


def test_a_thread_that_was_told_to_stop_is_not_taken_for_dead(bench: Bench, look: Look) -> None:
    worker = Worker(bench.poller, stuck_after_seconds=60)
    bench.poller.stop()
    worker.start()
    assert worker.thread is not None
    worker.thread.join(10)
    assert worker.healthy
    assert look(worker) == []
    assert bench.log.of("poll thread died, started again") == []
