"""The partners that a command is about, and what it needs to sign in and to poll for them."""

import random
from pathlib import Path

from exporter import branch, revision
from exporter.builder import Builder
from exporter.clock import Clock
from exporter.config import Config, PartnerConfig
from exporter.errors import ConfigurationError, Problem
from exporter.files import StateDirectory
from exporter.logs import get_logger
from exporter.metrics.exporter_metrics import ExporterMetrics


def select(config: Config, name: str | None, *, file: Path) -> tuple[PartnerConfig, ...]:
    """Return the partner with this name, or without a name all of them; raises ConfigurationError."""
    selected = tuple(p for p in config.partners if name is None or p.name.lower() == name.lower())
    if not selected:
        raise _unclear(config, f"there is no partner {name!r}", file)
    return selected


def select_one(config: Config, name: str | None, *, file: Path) -> PartnerConfig:
    """Return the partner with this name, or without a name the only one; raises ConfigurationError."""
    partner, *others = select(config, name, file=file)
    if others:
        raise _unclear(config, "this is required with several partners", file)
    return partner


def _unclear(config: Config, message: str, file: Path) -> ConfigurationError:
    choices = ", ".join(partner.name for partner in config.partners)
    return ConfigurationError(str(file), (Problem(0, "--partner", f"{message}: choose from {choices}"),))


def new_builder(config: Config) -> Builder:
    """Return what builds partners; raises ConfigurationError, and StateError if nothing can be saved."""
    StateDirectory(config.state_dir).check()
    return offline_builder(config)


def offline_builder(config: Config) -> Builder:
    """Return what builds partners, without writing anything; raises ConfigurationError."""
    directory = StateDirectory(config.state_dir)
    rng = random.Random()  # noqa: S311  it spreads polls and retries, nothing secret
    metrics = ExporterMetrics(revision=revision(), branch=branch())
    return Builder(config.shared, directory, metrics=metrics, clock=Clock(), rng=rng, log=get_logger())
