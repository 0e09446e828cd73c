"""The running Application in this process, on a clock that the test moves."""

import random
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

from exporter.app import Application
from exporter.config import load
from exporter.logs import get_logger
from exporter.metrics.own import OwnMetrics
from exporter.model import PollStatus
from partnercenter_simulator import Simulator
from tests.integration.application.clock import SteppedClock
from tests.integration.exposition import Exposition
from tests.support.config import write_config
from tests.support.logs import LogStream
from tests.support.process import until

_OURS = ("poll-", "supervisor")


@dataclass(frozen=True)
class Exporter:
    """Everything but the HTTP server."""

    app: Application
    own: OwnMetrics
    clock: SteppedClock
    file: Path
    log: LogStream

    def settle(self) -> None:
        """Wait until no poll is under way and every thread sleeps."""
        threads = len(self.app.statuses()) + 1
        until(lambda: self.clock.asleep("supervisor", *self._thread_names()) and self._running() == threads)

    def pass_time(self, seconds: float) -> None:
        """Let time pass, and every thread do what is due then."""
        self.settle()
        self.clock.advance(seconds, sleepers=self._running())
        self.settle()

    def tick(self) -> None:
        """Let the supervisor look once, whatever the poll threads do meanwhile."""
        until(lambda: self.clock.asleep("supervisor"))
        self.clock.advance(1.0, sleepers=1)
        until(lambda: self.clock.asleep("supervisor"))

    def status(self, source: str = "usage", partner: str = "contoso") -> PollStatus:
        """Return where one source stands."""
        [status] = [s for s in self.app.statuses() if (s.partner, s.source) == (partner, source)]
        return status

    def due_in(self, source: str = "usage", partner: str = "contoso") -> float:
        """Return the seconds from now to the next poll."""
        at = self.status(source, partner).next_poll_at
        assert at is not None
        return at - self.clock.time()

    def scrape(self) -> Exposition:
        """Return what a scrape would get now."""
        data = b"".join(block.plain for block in self.app.snapshots.current.blocks)
        return Exposition((data + self.own.text()).decode())

    def change(self, **top: Any) -> None:
        """Change top-level keys of the configuration file; a value of None removes a key."""
        content = {**yaml.safe_load(self.file.read_text()), **top}
        kept = {key: value for key, value in content.items() if value is not None}
        self.file.write_text(yaml.safe_dump(kept, sort_keys=False))

    def partners(self) -> list[dict[str, Any]]:
        """Return the partners that the configuration file names."""
        partners: list[dict[str, Any]] = yaml.safe_load(self.file.read_text())["partners"]
        return partners

    def _thread_names(self) -> list[str]:
        return [f"poll-{s.partner}-{s.source}" for s in self.app.statuses()]

    def _running(self) -> int:
        return sum(thread.name.startswith(_OURS) for thread in threading.enumerate())


@contextmanager
def running(file: Path, clock: SteppedClock, log: LogStream) -> Iterator[Exporter]:
    """Start the Application; at the end stop it, between polls, and wait for its threads."""
    own = OwnMetrics(revision="test")
    app = Application(
        load(file, {}),
        read_config=lambda: load(file, {}),
        own=own,
        clock=clock,
        rng=random.Random(1),  # noqa: S311  jitter
        log=get_logger(),
    )
    app.start()
    exporter = Exporter(app, own, clock, file, log)
    try:
        yield exporter
    finally:
        exporter.settle()
        app.stop()
        until(lambda: not any(thread.name.startswith(_OURS) for thread in threading.enumerate()))


@pytest.fixture
def stepped_clock() -> SteppedClock:
    """A clock that stands still."""
    return SteppedClock()


@pytest.fixture
def simulator(stepped_clock: SteppedClock) -> Iterator[Simulator]:
    """A Partner Center whose time is the test's clock."""
    with Simulator(seed=7, now=stepped_clock.time) as serving:
        yield serving


Start = Callable[..., Exporter]


@pytest.fixture
def start(
    tmp_path: Path,
    simulator: Simulator,
    stepped_clock: SteppedClock,
    log_stream: LogStream,
) -> Iterator[Start]:
    """Return a function that starts the exporter; keywords are those of write_config."""
    with ExitStack() as stack:

        def begin(**keys: Any) -> Exporter:
            file = write_config(tmp_path, simulator, **keys)
            return stack.enter_context(running(file, stepped_clock, log_stream))

        yield begin


@pytest.fixture
def exporter(start: Start) -> Exporter:
    """The exporter after its first polls."""
    started = start()
    started.settle()
    return started
