"""One source's poller, with everything real below it, polled by hand on a clock that tests move."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest

from exporter.config import Config, load
from exporter.files import StateDirectory
from exporter.metrics.exporter_metrics import ExporterMetrics
from exporter.metrics.snapshot import SnapshotStore
from exporter.model.rows import Answer, SourceName
from exporter.model.status import PollStatus
from exporter.partner_center.client import ApiPoll
from exporter.polling.poller import Poller
from partnercenter_simulator import Simulator
from tests.integration.exposition import Exposition, scraped
from tests.support.builder import new_builder
from tests.support.clock import FakeClock
from tests.support.config import write_config
from tests.support.logs import LogStream


@dataclass
class Bench:
    """A poller without its thread: `poll` does one poll, now."""

    simulator: Simulator
    clock: FakeClock
    log: LogStream
    config: Config
    closing: ExitStack
    source: SourceName = SourceName.USAGE
    metrics: ExporterMetrics = field(init=False)
    snapshots: SnapshotStore = field(init=False)
    poller: Poller = field(init=False)
    directory: StateDirectory = field(init=False)

    def __post_init__(self) -> None:
        builder = new_builder(self.config, self.clock)
        self.metrics, self.snapshots, self.directory = builder.metrics, builder.snapshots, builder.directory
        self.closing.callback(builder.close)
        partner = builder.partner(self.config.partners[0])
        self.poller = next(poller for poller in partner.pollers if poller.plan.source == self.source)
        self.metrics.begin(partner.config.name, self.source)
        self.metrics.follow(
            polls=lambda: [self.poller.status],
            sign_ins=lambda: [(a.status, a.failures, a.requests) for a in (partner.authenticator,)],
            state_writable=lambda: self.directory.writable,
        )
        self.poller.restore(self.poller.state.load(now=self.poller.clock.time()), has_token=True)

    def poll(self) -> PollStatus:
        """Poll once; return where the source stands then."""
        self.poller.poll_once()
        return self.poller.status

    def interrupt(self, meanwhile: Callable[[], object]) -> None:
        """From now on, let something else happen at the beginning of each fetch."""
        fetch = self.poller.fetch

        def interrupted(poll: ApiPoll) -> Answer:
            meanwhile()
            return fetch(poll)

        self.poller.fetch = interrupted

    def wait_before_next(self) -> float:
        """Return the seconds from the beginning of the last poll to the next one."""
        status = self.poller.status
        assert status.next_poll_at is not None
        assert status.last_poll_at is not None
        return status.next_poll_at - status.last_poll_at

    def due_in(self) -> float:
        """Return the seconds from now to the next poll."""
        at = self.poller.status.next_poll_at
        assert at is not None
        return at - self.clock.time()

    def scrape(self) -> Exposition:
        """Return what a scrape would get now."""
        return scraped(self.snapshots, self.metrics)

    def restarted(self, config: Config | None = None) -> "Bench":
        """Return the same after a restart of the program, with another configuration where one is given."""
        return replace(self, config=config or self.config)


@pytest.fixture
def simulator(clock: FakeClock) -> Iterator[Simulator]:
    """A Partner Center whose time is the test's clock."""
    with Simulator(seed=7, now=clock.true_time) as running:
        yield running


@pytest.fixture
def make_bench(
    tmp_path: Path, simulator: Simulator, clock: FakeClock, log_stream: LogStream
) -> Iterator[Callable[..., Bench]]:
    """Return a function that sets up a poller; keywords are top-level keys of config.yaml."""
    with ExitStack() as closing:

        def make(**top: Any) -> Bench:
            config = load(write_config(tmp_path, simulator, **top), {})
            return Bench(simulator, clock, log_stream, config, closing)

        yield make


@pytest.fixture
def bench(make_bench: Callable[..., Bench]) -> Bench:
    """The usage source, every hour."""
    return make_bench()
