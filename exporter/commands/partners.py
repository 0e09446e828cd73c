"""The partners that a command is about, and what it needs to sign in and to poll for them."""

import random
from pathlib import Path

from exporter.build_info import branch, revision
from exporter.builder import Builder
from exporter.clock import Clock
from exporter.config import Config, PartnerConfig
from exporter.errors import ConfigurationError, Problem
from exporter.file_system import LockHeldError
from exporter.files import StateDirectory
from exporter.logs import get_logger
from exporter.messages import line
from exporter.metrics.exporter_metrics import ExporterMetrics
from exporter.ownership import hand_over


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
    directory = StateDirectory(config.state_dir)
    directory.check()
    return _builder(config, directory)


def patient_builder(config: Config) -> Builder:
    """Do the same, but only log if another program holds a lock: what can't be saved now is saved later."""
    directory = StateDirectory(config.state_dir)
    try:
        directory.check()
    except LockHeldError as error:
        get_logger().error("state not saved", error=error.message, remedy=error.remedy)
    return _builder(config, directory)


def warn_of_directory_of_root(directory: StateDirectory) -> None:
    """Say whose the state directory is where root has just made it, since the exporter's own user can't use it then."""
    if directory.is_new_of_root:
        remedy = line("nothing to do if root runs the exporter; if another user does: {}", hand_over(directory.root))
        get_logger().warning("state directory created, only root can use it", file=directory.root, remedy=remedy)


def offline_builder(config: Config) -> Builder:
    """Return what builds partners, without writing anything; raises ConfigurationError, WrongUserError."""
    directory = StateDirectory(config.state_dir)
    directory.check_user()
    return _builder(config, directory)


def _builder(config: Config, directory: StateDirectory) -> Builder:
    rng = random.Random()  # noqa: S311  it spreads polls and retries, nothing secret
    metrics = ExporterMetrics(revision=revision(), branch=branch())
    return Builder(config.shared, directory, metrics=metrics, clock=Clock(), rng=rng, log=get_logger())
