"""The whole exporter but for its HTTP server, in this process, and what tests ask it."""

import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from exporter.app import Application
from exporter.clock import Clock
from exporter.config import load, load_again
from exporter.files import StateDirectory
from exporter.metrics.exporter_metrics import ExporterMetrics
from exporter.model.status import PollStatus
from exporter.upstream.connecting import Address, Lookup, Resolver, system_lookup
from tests.integration.exposition import Exposition, scraped
from tests.support.builder import new_builder
from tests.support.clock import LeapingClock
from tests.support.config import PARTNER
from tests.support.process import until

_OURS = ("poll-", "supervisor")


def build_application(
    file: Path,
    clock: Clock,
    *,
    seed: int = 1,
    directory: StateDirectory | None = None,
    resolver: Resolver | None = None,
) -> tuple[Application, ExporterMetrics]:
    """Put the real application together as `run` does, with a clock and a chance of our own."""
    config = load(file, {})
    builder = new_builder(config, clock, seed=seed, directory=directory, resolver=resolver)
    builder.directory.check()
    return Application(config, builder, lambda: load_again(file, {})), builder.metrics


def threads() -> int:
    """Return how many threads of the exporter are alive."""
    return sum(thread.name.startswith(_OURS) for thread in threading.enumerate())


@dataclass
class InProcess:
    """One exporter on one configuration file; `start` and `stop` as often as needed. `lookup` finds its addresses."""

    file: Path
    clock: LeapingClock
    app: Application = field(init=False)
    metrics: ExporterMetrics = field(init=False)
    running: bool = field(default=False, init=False)
    lookup: Lookup = field(default_factory=lambda: system_lookup, init=False)

    def start(self) -> None:
        """Start it; polls that are due begin."""
        self.app, self.metrics = build_application(self.file, self.clock, resolver=Resolver(self._find))
        self.app.start()
        self.running = True

    def _find(self, host: str, port: int) -> Sequence[Address]:
        return self.lookup(host, port)

    def stop(self) -> None:
        """Stop it and wait for its threads."""
        if self.running:
            self.running = False
            self.app.stop()
            until(lambda: threads() == 0)

    def status(self, source: str = "usage", partner: str = PARTNER) -> PollStatus:
        """Return the state of one source."""
        [status] = [s for s in self.app.statuses() if (s.partner, s.source) == (partner, source)]
        return status

    def change(self, *, partner: Mapping[str, Any] | None = None, **top: Any) -> None:
        """Change keys of the first partner, and top-level keys, in the configuration file; None removes one of these.

        The exporter is not told.
        """
        content: dict[str, Any] = yaml.safe_load(self.file.read_text())
        content["partners"][0] |= partner or {}
        kept = {key: value for key, value in (content | top).items() if value is not None}
        self.file.write_text(yaml.safe_dump(kept, sort_keys=False))

    def scrape(self) -> Exposition:
        """Return what a scrape would get now."""
        return scraped(self.app.snapshots, self.metrics)
