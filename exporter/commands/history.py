"""The past as Microsoft has it: the sources with history, their days or months, and which of them are complete."""

import math
import sys
import threading
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from typing import assert_never

from exporter.arguments import Backfill
from exporter.builder import Builder
from exporter.commands.partners import select
from exporter.config import Config
from exporter.errors import ConfigurationError, PayloadError, PollError, Problem
from exporter.logs import get_logger
from exporter.messages import Line, line
from exporter.metrics.breakdown import render_breakdown, series_of_customers
from exporter.metrics.exposition import families
from exporter.metrics.snapshot import Snapshot, SnapshotStore
from exporter.metrics.targets import Targets
from exporter.model.rows import Answer, DropReason
from exporter.partner_center.client import ApiPoll, PartnerCenterClient
from exporter.partner_center.retry import RetryPolicy
from exporter.sources.commercial import Commercial
from exporter.sources.insights import Insights
from exporter.sources.legacy import Legacy
from exporter.sources.months import last_day

# No scrape waits for this, so that any wait that the API asks for is accepted.
PATIENT = RetryPolicy(attempts=8, budget_seconds=math.inf, poll_seconds=math.inf)
# Published data was up to ten days old where it was recorded: older days are taken for complete without asking.
_RECENT_DAYS = 10
# Insights completes a month by the 20th of the next.
_MONTH_DONE_DAY = 20
# A service whose newest day is this much older than the others' has ended.
_ENDED_DAYS = 14
_NO_DATA = line(
    "run the same command again for a recent day, which may come within some days; an old one Microsoft no longer has"
)


@dataclass(eq=False)
class Feed:
    """A source that has history, and the client to ask for it. Remembers the newest period, of one day or many."""

    client: PartnerCenterClient
    source: Commercial | Insights

    def __post_init__(self) -> None:
        self._newest: tuple[date, Answer] | None = None

    @property
    def name(self) -> Line:
        """What it is called in messages."""
        return line("{} of {}", self.source.endpoint.row.SOURCE, self.client.partner)

    def period(self, day: date) -> date:
        """Return what the data of a day is dated: the day, or the first of its month."""
        return day if isinstance(self.source, Commercial) else day.replace(day=1)

    def fetch(self, day: date) -> Answer:
        """Return what Microsoft has of a day; raises PollError, PayloadError if it is about another one."""
        period = self.period(day)
        if self._newest is None or self._newest[0] != period:
            answer = self.source.on(day).fetch(self.poll(day))
            _reject_another_day(answer, period)
            self._log(answer, day)
            self._newest = (period, answer)
        return self._newest[1]

    def _log(self, answer: Answer, day: date) -> None:
        log = get_logger(partner=self.client.partner, source=self.source.endpoint.row.SOURCE, day=day)
        log.debug("day fetched", rows=answer.usable)
        for note in answer.notes:
            log.warning("data incomplete", what=note)
        if not answer.rows:
            log.warning("no data for this day", remedy=_NO_DATA)
        elif all(row.processed_at is None for row in answer.rows):
            log.warning("rows without dates", remedy=line("check that the figures differ from day to day"))
        if dropped := answer.dropped.get(DropReason.LIMIT):
            log.warning("series dropped", count=dropped, remedy=line("raise poll.max_series"))

    def poll(self, day: date | None = None) -> ApiPoll:
        """Return what its requests for one day are sent with."""
        name = self.source.endpoint.row.SOURCE
        log = get_logger(partner=self.client.partner, source=name, day=day)
        return ApiPoll(self.client, name, stop=threading.Event(), log=log)


def feeds_of(config: Config, arguments: Backfill, *, builder: Builder) -> list[Feed]:
    """Return the sources that have history, each with its client; raises ConfigurationError if there are none.

    Those without are named on standard error.
    """
    feeds: list[Feed] = []
    for partner in select(config, arguments.partner, file=arguments.config_file):
        client = replace(builder.partner(partner).client, retry=PATIENT)
        for source in (config.source for config in partner.sources):
            name = source.endpoint.row.SOURCE
            if arguments.source not in (None, name):
                continue
            match source:
                case Commercial():
                    kept = replace(source, detail=()) if arguments.without_detail else source
                    feeds.append(Feed(client, kept))
                case Insights():
                    feeds.append(Feed(client, source))
                case Legacy():
                    print(
                        f"{partner.name} {name}: skipped: the {source.api} API has no history",
                        file=sys.stderr,
                        flush=True,
                    )
                case _:
                    assert_never(source)
    if not feeds:
        problem = Problem(0, "sources", "no source has history: set `api: commercial` or `api: insights` for one")
        raise ConfigurationError(str(arguments.config_file), (problem,))
    return feeds


def is_recent(day: date, feeds: Sequence[Feed], today: date) -> bool:
    """Return whether Microsoft may not have finished a day yet, so that it must be asked."""
    return any(day >= _recent_from(feed, today) for feed in feeds)


def _recent_from(feed: Feed, today: date) -> date:
    """Return the first day that may not be finished: of Insights, that of the first month that may still change."""
    if isinstance(feed.source, Commercial):
        return today - timedelta(days=_RECENT_DAYS - 1)
    first = today.replace(day=1)
    return first if today.day > _MONTH_DONE_DAY else (first - timedelta(days=1)).replace(day=1)


def complete_before(feeds: Sequence[Feed], today: date) -> date:
    """Return the first day that may still change: the newest one that Microsoft has for every source and service.

    Where rows have no dates, recent days are taken for incomplete. Raises PollError.
    """
    found: list[date] = []
    for feed in feeds:
        if not isinstance(feed.source, Commercial):
            found.append(_recent_from(feed, today))
            continue
        try:
            answer = replace(feed.source, detail=()).fetch(feed.poll())
        except PollError as error:
            raise error.replace(message=line("newest day, {}: {}", feed.name, error.message)) from error
        found.append(_oldest_of_the_newest(answer) or _recent_from(feed, today))
    return min(found)


def done_on(day: date, feeds: Sequence[Feed], lag: timedelta) -> date:
    """Return from when on Microsoft should have finished a day: of Insights its month, of days `lag` later."""
    next_month = last_day(day) + timedelta(days=1)
    return max(
        day + lag + timedelta(days=1)
        if isinstance(feed.source, Commercial)
        else next_month.replace(day=_MONTH_DONE_DAY + 1)
        for feed in feeds
    )


def _oldest_of_the_newest(answer: Answer) -> date | None:
    days = {datetime.fromtimestamp(row.processed_at, UTC).date() for row in answer.rows if row.processed_at is not None}
    return min((day for day in days if (max(days) - day).days <= _ENDED_DAYS), default=None)


def fetch_day(day: date, feeds: Sequence[Feed], config: Config) -> Snapshot:
    """Ask for one day, one request at a time; return what the exporter would have shown.

    Raises PollError; PayloadError if the answer is about another day.
    """
    store = SnapshotStore()
    for feed in feeds:
        partner, name = feed.client.partner, feed.source.endpoint.row.SOURCE
        try:
            answer = feed.fetch(day)
        except PollError as error:
            raise error.replace(message=line("{}, {}: {}", day, feed.name, error.message)) from error
        breakdown = render_breakdown(partner, name, answer.breakdown)
        customers = series_of_customers(breakdown, Targets(config.targets).customers)
        store.publish(partner, name, families(partner, answer.rows, config.targets, customers), breakdown)
    return store.current


def _reject_another_day(answer: Answer, day: date) -> None:
    """Raise PayloadError: an API that ignores the day would have today's figures written into the past."""
    times = (row.processed_at for row in answer.rows if row.processed_at is not None)
    other = next((found for at in times if (found := datetime.fromtimestamp(at, UTC).date()) != day), None)
    if other:
        remedy = line("this API has no history: exclude it with --partner or --source, or report it")
        raise PayloadError(line("requested data for {}, received data for {}", day, other), remedy=remedy)
