"""What builds partners, put together as commands do, but with a clock and a chance of our own."""

import random

from exporter.builder import Builder
from exporter.clock import Clock
from exporter.config import Config
from exporter.files import StateDirectory
from exporter.logs import get_logger
from exporter.metrics.exporter_metrics import ExporterMetrics
from exporter.upstream.connecting import Resolver


def new_builder(
    config: Config,
    clock: Clock,
    *,
    seed: int = 1,
    directory: StateDirectory | None = None,
    resolver: Resolver | None = None,
) -> Builder:
    """Return a builder whose polls and retries are spread in the same way each time."""
    return Builder(
        config.shared,
        directory or StateDirectory(config.state_dir),
        metrics=ExporterMetrics(revision="test"),
        clock=clock,
        rng=random.Random(seed),  # noqa: S311  it spreads polls and retries, nothing secret
        log=get_logger(),
        resolver=resolver or Resolver(),
    )
