"""`poll`: asks the running exporter to poll now, and waits for what comes of it."""

import sys
import threading
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

from exporter.arguments import ExitStatus, Poll
from exporter.builder import Builder
from exporter.clock import Clock
from exporter.commands.partners import offline_builder, select
from exporter.config import Config, load
from exporter.errors import ConfigurationError, ExporterError, Problem
from exporter.files import StateDirectory
from exporter.formatting import moment
from exporter.instance_lock import exporter_runs
from exporter.logs import get_logger
from exporter.messages import line
from exporter.polling import requests, schedule
from exporter.polling.plan import PollPlan
from exporter.polling.state import PollRecord, SourceState

_LOOK_SECONDS = 0.5
# The exporter looks every second, but its disk may be slow.
_BEGIN_SECONDS = 30.0
_END_SECONDS = 300.0


class Source:
    """One source, and what the exporter has saved of its polls: at first, and now."""

    def __init__(self, plan: PollPlan, state: SourceState) -> None:
        self.plan, self._state = plan, state
        self._signature = state.poll_signature()
        self._first = self.record = state.load_poll()

    def look(self) -> None:
        """Read what is saved, if it has changed."""
        before, self._signature = self._signature, self._state.poll_signature()
        if self._signature != before:
            self.record = self._state.load_poll() or self.record

    @property
    def begun(self) -> bool:
        """Whether a poll was begun since, or was under way."""
        return self.record != self._first or (self.record is not None and not self.record.finished)

    @property
    def ended(self) -> PollRecord | None:
        """The outcome, once there is one."""
        return self.record if self.record and self.record.finished and self.record != self._first else None

    def waits(self, *, now: float) -> str:
        """Return until when it may not be polled, and why; nothing if it may be."""
        record = self.record
        if record is None or not record.finished:
            return ""
        asked_to_wait = max((record.not_before or 0.0) - now, 0.0)
        seconds = schedule.on_request(now - record.last_poll_at, asked_to_wait)
        why = "the API asked to wait (Retry-After)" if asked_to_wait else "its last poll is less than a minute old"
        return f"waits until {moment(now + seconds)}: {why}" if seconds > 0 else ""

    def say(self, words: str) -> None:
        """Print what is known of it."""
        print(f"{self.plan.partner} {self.plan.source}: {words}", flush=True)


def run(arguments: Poll, clock: Clock | None = None) -> ExitStatus:
    """Print a line for each source; return whether all were polled well. Raises ExporterError."""
    config = load(arguments.config_file)
    clock = clock or Clock()
    with closing(offline_builder(config)) as builder:
        sources = _sources(config, arguments, builder)
        if not exporter_runs(config.state_dir):
            raise _no_exporter(config.state_dir)
        may_be_polled = [source for source in sources if not source.waits(now=clock.time())]
        for source in sources:
            if source not in may_be_polled:
                source.say(source.waits(now=clock.time()))
        if may_be_polled:
            _ask(builder.directory, may_be_polled, clock)
            _follow(may_be_polled, config.state_dir, clock)
    polled_well = [source.ended is not None and source.ended.up for source in sources]
    return ExitStatus.SUCCESS if all(polled_well) else ExitStatus.FAILED


def _sources(config: Config, arguments: Poll, builder: Builder) -> Sequence[Source]:
    """Raise ConfigurationError where nothing has the name."""
    file = arguments.config_file
    partners = select(config, arguments.partner, file=file)
    sources = [
        Source(poller.plan, poller.state)
        for partner in partners
        for poller in builder.partner(partner).pollers
        if arguments.source in (None, poller.plan.source)
    ]
    if not sources:
        problem = Problem(0, "--source", f"{arguments.source} is not enabled: leave it out, or enable it in the file")
        raise ConfigurationError(str(file), (problem,))
    return sources


def _no_exporter(state_dir: Path) -> ExporterError:
    return ExporterError(
        line("no exporter runs on the state directory {}", state_dir),
        remedy=line("start it, which polls what is due; or poll once without it: partnercenter-exporter check"),
    )


def _ask(directory: StateDirectory, sources: Sequence[Source], clock: Clock) -> None:
    wanted = [(source.plan.partner, source.plan.source) for source in sources]
    requests.ask(directory, wanted, get_logger(), now=clock.time())
    for partner, name in wanted:
        print(f"polling {partner} {name} …", file=sys.stderr, flush=True)


def _follow(sources: Sequence[Source], state_dir: Path, clock: Clock) -> None:
    """Print each outcome as it comes, and of the others that there is none. Raises StateError."""
    began, never = clock.monotonic(), threading.Event()
    left = list(sources)
    while left and exporter_runs(state_dir):
        for source in tuple(left):
            source.look()
            if (record := source.ended) is not None:
                source.say(_outcome(record))
            elif words := _given_up(source, clock.monotonic() - began):
                source.say(words)
            else:
                continue
            left.remove(source)
        if left:
            clock.wait(never, _LOOK_SECONDS)
    for source in left:
        source.say("not polled: the exporter has stopped")


def _outcome(record: PollRecord) -> str:
    if record.up:
        return f"polled: {record.rows or 0} rows"
    if record.failure is None:
        return "failed: see the exporter's log"
    fix = f"\n  Fix: {record.failure.remedy}." if record.failure.remedy else ""
    return f"failed ({record.failure.reason}): {record.failure.message}{fix}"


def _given_up(source: Source, seconds: float) -> str:
    """Return what to say of a source whose poll has taken too long to begin or to end; nothing before that."""
    if seconds > _BEGIN_SECONDS and not source.begun:
        return "not polled: the running exporter has not begun: reload it if the configuration has changed; see its log"
    if seconds > _END_SECONDS:
        return "still being polled: see the exporter's status page and log"
    return ""
