"""`backfill`: past days from the commercial API, as files that promtool turns into blocks."""

import argparse
import random
import re
import sys
import threading
from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import UTC, date, datetime
from pathlib import Path

from exporter import backfill
from exporter.backfill import PATIENT, Feed, Layout
from exporter.builder import Builder
from exporter.cli import DONE, revision
from exporter.clock import Clock, SystemClock
from exporter.commands.check import select
from exporter.config import Config, load
from exporter.errors import ConfigurationError, Problem, StateError
from exporter.files import StateDirectory
from exporter.logs import get_logger
from exporter.metrics.catalogue import DATA
from exporter.metrics.own import OwnMetrics
from exporter.sources.deployment import CommercialDeployment
from exporter.sources.usage import CommercialUsage
from exporter.yaml_file.types import duration

_LABEL = re.compile(r"(?!__)[A-Za-z_][A-Za-z0-9_]*", re.ASCII)
_TAKEN = {label for metric in DATA for label in (*metric.labels, *metric.detail)}
_LONGEST_STEP = 86_400.0


def main(arguments: argparse.Namespace) -> int:
    """Write one file a day, and leave out the days that are written."""
    clock = SystemClock()
    first, last, layout = _wanted(arguments, today=datetime.fromtimestamp(clock.time(), UTC).date())
    file = Path(arguments.config_file)
    config = load(file)
    feeds = _feeds(config, arguments, file, clock)
    _make(layout.folder)
    if not {"job", "instance"} <= layout.labels.keys():
        _say("without --label job=… and --label instance=… past and present are different series")
    for day in backfill.days(first, last):
        if layout.file(day).exists():
            _say(f"{day}: is there already")
            continue
        snapshot = backfill.fetch_day(day, feeds, config.targets, stop=threading.Event(), log=get_logger())
        if not snapshot.blocks:
            _say(f"{day}: no data, no file")
            continue
        series = backfill.write_day(snapshot, day, layout)
        _say(f"{day}: {series} series in {layout.file(day)}")
    return DONE


def _wanted(arguments: argparse.Namespace, *, today: date) -> tuple[date, date, Layout]:
    """Return the first and the last day and the layout; raises ConfigurationError with all that is wrong."""
    problems: list[Problem] = []
    first = _day("--from", arguments.from_day, problems)
    last = _day("--to", arguments.to_day, problems)
    if last and last >= today:
        problems.append(Problem(0, "--to", f"{last} is not over yet: give a past day"))
    if first and last and first > last:
        problems.append(Problem(0, "--from", f"{first} is after --to: give an earlier day"))
    problems += _label_problems(arguments.labels)
    step = _step(arguments.step, problems)
    if problems or first is None or last is None:
        raise ConfigurationError("command line", tuple(problems))
    labels = dict(each.split("=", 1) for each in arguments.labels)
    return first, last, Layout(Path(arguments.output), step, labels)


def _day(flag: str, text: str, problems: list[Problem]) -> date | None:
    try:
        return date.fromisoformat(text)
    except ValueError:
        problems.append(Problem(0, flag, f"{text!r} is no date: write it as 2026-01-31"))
        return None


def _step(text: str, problems: list[Problem]) -> int:
    try:
        seconds = duration(text)
    except ValueError:
        seconds = 0.0
    if not (1 <= seconds <= _LONGEST_STEP and seconds == int(seconds)):
        problems.append(Problem(0, "--step", f"{text!r}: give whole seconds, 1s to 1d, as 4m"))
        return 1
    return int(seconds)


def _label_problems(labels: Sequence[str]) -> Iterator[Problem]:
    seen: set[str] = set()
    for each in labels:
        name, equals, _ = each.partition("=")
        if not equals or not _LABEL.fullmatch(name):
            yield Problem(0, "--label", f"{each!r} is no label: write it as job=partnercenter-exporter")
        elif name in _TAKEN or name in seen:
            yield Problem(0, "--label", f"the series have a label {name} already: leave it out")
        seen.add(name)


def _feeds(config: Config, arguments: argparse.Namespace, file: Path, clock: Clock) -> list[Feed]:
    """Return what can be asked for its past; raises ConfigurationError where nothing can."""
    partners = [select(config, arguments.partner, file)] if arguments.partner else config.partners
    directory = StateDirectory(config.state_dir)
    builder = Builder(
        config,
        directory,
        own=OwnMetrics(revision=revision()),
        clock=clock,
        rng=random.Random(),  # noqa: S311  it spreads retries, it guards nothing
        log=get_logger(),
    )
    feeds: list[Feed] = []
    for partner in map(builder.partner, partners):
        for source in partner.sources:
            if arguments.source not in (None, source.name):
                continue
            if isinstance(source, CommercialUsage | CommercialDeployment):
                feeds.append(Feed(replace(partner.client, retry=PATIENT), source))
            else:
                _say(f"{partner.config.name} {source.name}: left out, the legacy API has no past")
    if not feeds:
        words = "no source with a past: set `api: commercial` for usage or deployment"
        raise ConfigurationError(str(file), (Problem(0, "sources", words),))
    directory.check()
    return feeds


def _make(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise StateError(
            f"can't make {folder}: {error.strerror}", remedy="give another folder with --output"
        ) from error


def _say(words: str) -> None:
    print(words, file=sys.stderr, flush=True)
