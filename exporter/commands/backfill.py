"""`backfill`: past days from the commercial API, as files that promtool turns into blocks."""

import math
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import assert_never

from exporter.arguments import Backfill, ExitStatus
from exporter.builder import Builder
from exporter.commands.partners import new_builder, select
from exporter.config import Config, load
from exporter.errors import ConfigurationError, PayloadError, PollError, Problem, StateError
from exporter.flags import usage_error
from exporter.logs import get_logger
from exporter.messages import line
from exporter.metrics.backfill import Layout, write_day
from exporter.metrics.breakdown import render_breakdown
from exporter.metrics.exposition import families
from exporter.metrics.snapshot import Snapshot, SnapshotStore
from exporter.model.rows import Answer, DropReason
from exporter.partner_center.client import ApiPoll, PartnerCenterClient
from exporter.partner_center.retry import RetryPolicy
from exporter.private_files import PRIVATE_DIRECTORY, is_private, private_directory
from exporter.sources.commercial import Commercial
from exporter.sources.legacy import Legacy

# No scrape waits for this, so that any wait that the API asks for is accepted.
PATIENT = RetryPolicy(attempts=8, budget_seconds=math.inf, poll_seconds=math.inf)
_Feed = tuple[PartnerCenterClient, Commercial]


def run(arguments: Backfill) -> ExitStatus:
    """Write one file a day, except for days that have one. Raises ExporterError."""
    layout = _layout(arguments)
    config = load(arguments.config_file)
    with closing(new_builder(config)) as builder:
        feeds = _feeds(config, arguments, builder=builder)
        _make(layout.folder)
        if not {"job", "instance"} <= layout.labels.keys():
            _say("without --label job=… and --label instance=…, backfilled and live data are different series")
        for day in days(arguments.first, arguments.last):
            if is_private(layout.file(day)):
                _say(f"{day}: already exists, skipped")
            elif (snapshot := _fetch_day(day, feeds, config)).blocks:
                series = write_day(snapshot, day, layout)
                _say(f"{day}: {series} series in {layout.file(day)}")
            else:
                _say(f"{day}: no data, no file written")
    return ExitStatus.SUCCESS


def _make(folder: Path) -> None:
    """Create the directory unless it exists; raises StateError, also if another user could write to it."""
    try:
        folder.mkdir(mode=PRIVATE_DIRECTORY, parents=True, exist_ok=True)
        with private_directory(folder):
            pass
    except OSError as error:
        message = line("can't create {}: {}", folder, error)
        raise StateError(message, remedy=line("choose another directory with --output")) from error


def _layout(arguments: Backfill) -> Layout:
    """Raise ConfigurationError for flags that contradict each other."""
    if arguments.first > arguments.last:
        raise usage_error("--from", f"{arguments.first} is after --to: give an earlier day")
    labels = dict(arguments.labels)
    if len(labels) < len(arguments.labels):
        raise usage_error("--label", "duplicate label name")
    return Layout(folder=arguments.output, step_seconds=arguments.step_seconds, labels=labels)


def _feeds(config: Config, arguments: Backfill, *, builder: Builder) -> list[_Feed]:
    """Return the sources that have history, each with its client; raises ConfigurationError if there are none."""
    feeds: list[_Feed] = []
    for partner in select(config, arguments.partner, file=arguments.config_file):
        client = replace(builder.partner(partner).client, retry=PATIENT)
        for source in (config.source for config in partner.sources):
            name = source.endpoint.row.SOURCE
            if arguments.source not in (None, name):
                continue
            match source:
                case Commercial():
                    feeds.append((client, source))
                case Legacy():
                    _say(f"{partner.name} {name}: skipped: the {source.api} API has no history")
                case _:
                    assert_never(source)
    if not feeds:
        problem = Problem(0, "sources", "no source has history: set `api: commercial` for one")
        raise ConfigurationError(str(arguments.config_file), (problem,))
    return feeds


def days(first: date, last: date) -> Iterator[date]:
    """Yield every day from the first to the last, both included."""
    return (first + timedelta(days=number) for number in range((last - first).days + 1))


def _fetch_day(day: date, feeds: Sequence[_Feed], config: Config) -> Snapshot:
    """Ask for one day, one request at a time; return what the exporter would have shown.

    Raises PollError; PayloadError if the answer is about another day.
    """
    store = SnapshotStore()
    for client, source in feeds:
        partner, name = client.partner, source.endpoint.row.SOURCE
        log = get_logger(partner=partner, source=name, day=day)
        poll = ApiPoll(client, name, stop=threading.Event(), log=log)
        try:
            answer = source.on(day).fetch(poll)
            _reject_another_day(answer, day)
        except PollError as error:
            raise error.replace(message=line("{}, {} of {}: {}", day, name, partner, error.message)) from error
        log.info("day fetched", rows=answer.usable)
        if not answer.rows:
            remedy = line("if it is recent, delete its file and run backfill again later")
            log.warning("no data for this day", remedy=remedy)
        elif all(row.processed_at is None for row in answer.rows):
            log.warning("rows without dates", remedy=line("check that the figures differ from day to day"))
        if dropped := answer.dropped.get(DropReason.LIMIT):
            log.warning("series dropped", count=dropped, remedy=line("raise poll.max_series"))
        breakdown = render_breakdown(partner, name, answer.breakdown)
        store.publish(partner, name, families(partner, answer.rows, config.targets), breakdown)
    return store.current


def _reject_another_day(answer: Answer, day: date) -> None:
    """Raise PayloadError: an API that ignores the day would have today's figures written into the past."""
    times = (row.processed_at for row in answer.rows if row.processed_at is not None)
    other = next((found for at in times if (found := datetime.fromtimestamp(at, UTC).date()) != day), None)
    if other:
        remedy = line("this API has no history: exclude it with --partner or --source, or report it")
        raise PayloadError(line("requested data for {}, received data for {}", day, other), remedy=remedy)


def _say(message: str) -> None:
    print(message, file=sys.stderr, flush=True)
