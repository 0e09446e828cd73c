"""`backfill`: past days from the commercial API, as files that promtool turns into blocks."""

import math
import sys
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

from exporter.arguments import Backfill, ExitStatus
from exporter.commands.partners import new_builder, select
from exporter.config import Config, load
from exporter.errors import ConfigurationError, PayloadError, PollError, Problem, StateError
from exporter.files import StateDirectory
from exporter.flags import usage_error
from exporter.logs import get_logger
from exporter.metrics.backfill import Layout, write_day
from exporter.metrics.breakdown import render_breakdown
from exporter.metrics.families import families
from exporter.metrics.snapshot import Snapshot, SnapshotStore
from exporter.metrics.targets import Target
from exporter.model import Answer, DropReason
from exporter.partner_center.client import ApiPoll, PartnerCenterClient
from exporter.partner_center.retry import RetryPolicy
from exporter.sources.deployment import CommercialDeployment
from exporter.sources.usage import CommercialUsage

# No scrape waits for this, so that any wait that the API asks for is accepted.
PATIENT = RetryPolicy(attempts=8, budget_seconds=math.inf)


@dataclass(frozen=True, slots=True)
class _Feed:
    """One source of one partner; its client says how patient the requests are."""

    client: PartnerCenterClient
    source: CommercialUsage | CommercialDeployment


def run(arguments: Backfill) -> ExitStatus:
    """Write one file a day, except for days that have one. Raises ExporterError."""
    layout = _layout(arguments)
    config = load(arguments.config_file)
    feeds = _feeds(config, arguments)
    _make(layout.folder)
    if not {"job", "instance"} <= layout.labels.keys():
        _say("without --label job=… and --label instance=…, past and present are different series")
    for day in days(arguments.first, arguments.last):
        if layout.file(day).exists():
            _say(f"{day}: already there")
            continue
        snapshot = _fetch_day(day, feeds, config.targets)
        if not snapshot.blocks:
            _say(f"{day}: no data, no file")
            continue
        series = write_day(snapshot, day, layout)
        _say(f"{day}: {series} series in {layout.file(day)}")
    return ExitStatus.SUCCESS


def _layout(arguments: Backfill) -> Layout:
    """Raise ConfigurationError for flags that contradict each other."""
    if arguments.first > arguments.last:
        raise usage_error("--from", f"{arguments.first} is after --to: give an earlier day")
    labels = dict(arguments.labels)
    if len(labels) < len(arguments.labels):
        raise usage_error("--label", "duplicate label name")
    return Layout(folder=arguments.output, step_seconds=arguments.step_seconds, labels=labels)


def _feeds(config: Config, arguments: Backfill) -> list[_Feed]:
    """Return the sources that have a past; raises ConfigurationError if there are none."""
    directory = StateDirectory(config.state_dir)
    builder = new_builder(config, directory)
    feeds: list[_Feed] = []
    for partner in map(builder.partner, select(config, arguments.partner, file=arguments.config_file)):
        for source in partner.sources:
            if arguments.source not in (None, source.name):
                continue
            if isinstance(source, CommercialUsage | CommercialDeployment):
                feeds.append(_Feed(replace(partner.client, retry=PATIENT), source))
            else:
                _say(f"{partner.config.name} {source.name}: left out, the {source.api} API has no past")
    if not feeds:
        problem = Problem(0, "sources", "no source has a past: set `api: commercial` for one")
        raise ConfigurationError(str(arguments.config_file), (problem,))
    directory.check()
    return feeds


def days(first: date, last: date) -> Iterator[date]:
    """Yield every day from the first to the last, both included."""
    return (first + timedelta(days=number) for number in range((last - first).days + 1))


def _fetch_day(day: date, feeds: Sequence[_Feed], targets: Sequence[Target]) -> Snapshot:
    """Ask for one day, one request at a time; return what the exporter would have shown.

    Raises PollError; PayloadError if the answer is about another day.
    """
    store = SnapshotStore()
    for feed in feeds:
        partner, name = feed.client.partner, feed.source.name
        log = get_logger(partner=partner, source=name, day=day.isoformat())
        source = replace(feed.source, options=replace(feed.source.options, processed_on=day))
        try:
            answer = source.fetch(ApiPoll(feed.client, name, stop=threading.Event(), log=log))
            _reject_another_day(answer, day)
        except PollError as error:
            raise error.replace(message=f"{day}, {name} of {partner}: {error.message}") from error
        log.info("day fetched", rows=answer.usable)
        if not answer.rows:
            log.warning("no data for this day", remedy="if it is recent, remove its file and ask later")
        elif all(row.processed_at is None for row in answer.rows):
            log.warning("rows without dates", remedy="check that the figures differ from day to day")
        if dropped := answer.dropped.get(DropReason.LIMIT):
            log.warning("series dropped", count=dropped, remedy="raise poll.max_series")
        breakdown = render_breakdown(partner, name, answer.breakdown)
        store.publish(partner, name, families(partner, answer.rows, targets), breakdown)
    return store.current


def _reject_another_day(answer: Answer, day: date) -> None:
    """Raise PayloadError: an API that ignores the day would have today's figures written into the past."""
    for row in answer.rows:
        if row.processed_at is None:
            continue
        other = datetime.fromtimestamp(row.processed_at, UTC).date()
        if other != day:
            raise PayloadError(
                f"asked for the data of {day}, got that of {other}",
                remedy="this API has no past: leave it out with --partner or --source, or report it",
            )


def _make(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise StateError(
            f"can't create {folder}: {error.strerror}", remedy="choose another folder with --output"
        ) from error


def _say(message: str) -> None:
    print(message, file=sys.stderr, flush=True)
