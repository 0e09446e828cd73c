"""The running Application in this process, on a clock that the test moves."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

from partnercenter_simulator import Simulator
from tests.support.application import InProcess, threads
from tests.support.clock import LeapingClock
from tests.support.config import PARTNER, write_config
from tests.support.logs import LogStream
from tests.support.process import until


@dataclass
class Exporter(InProcess):
    """Everything but the HTTP server, on a clock that stands still until a test moves it."""

    log: LogStream

    def settle(self) -> None:
        """Wait until no poll is under way and every thread sleeps."""
        expected = [f"poll-{s.partner}-{s.source}" for s in self.app.statuses()] + ["supervisor"]
        until(lambda: sorted(self.clock.asleep()) == sorted(expected) and threads() == len(expected))

    def pass_time(self, seconds: float) -> None:
        """Let time pass, and every thread do what is due then."""
        self.settle()
        self.clock.leap(seconds, sleepers=threads)
        self.settle()

    def tick(self) -> None:
        """Let the supervisor look once, whatever the poll threads do meanwhile."""
        self.advance(1.0, sleeping=["supervisor"])
        self.wait_until_asleep("supervisor")

    def advance(self, seconds: float, *, sleeping: Sequence[str]) -> None:
        """Let time pass once these threads sleep, whatever the others do."""
        self.wait_until_asleep(*sleeping)
        self.clock.leap(seconds, sleepers=lambda: 1)

    def wait_until_asleep(self, *names: str) -> None:
        """Wait until these threads sleep."""
        until(lambda: set(names) <= set(self.clock.asleep()))

    def due_in(self, source: str = "usage", partner: str = PARTNER) -> float:
        """Return the seconds from now to the next poll."""
        at = self.status(source, partner).next_poll_at
        assert at is not None
        return at - self.clock.time()

    def partners(self) -> list[dict[str, Any]]:
        """Return the partners that the configuration file names."""
        partners: list[dict[str, Any]] = yaml.safe_load(self.file.read_text())["partners"]
        return partners


@contextmanager
def running(file: Path, clock: LeapingClock, log: LogStream) -> Iterator[Exporter]:
    """Start the exporter; at the end stop it, between polls, and wait for its threads."""
    exporter = Exporter(file, clock, log)
    exporter.start()
    try:
        yield exporter
    finally:
        if exporter.running:
            exporter.settle()
            exporter.stop()


@pytest.fixture
def stepped_clock() -> LeapingClock:
    """A clock that stands still."""
    return LeapingClock(stands_still=True)


@pytest.fixture
def simulator(stepped_clock: LeapingClock) -> Iterator[Simulator]:
    """A Partner Center whose time is the test's clock."""
    with Simulator(seed=7, now=stepped_clock.time) as serving:
        yield serving


Start = Callable[..., Exporter]


@pytest.fixture
def start(tmp_path: Path, simulator: Simulator, stepped_clock: LeapingClock, log_stream: LogStream) -> Iterator[Start]:
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
