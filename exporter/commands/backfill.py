"""`backfill`: past days from the APIs that have history, as files that promtool turns into blocks."""

import signal
import sys
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from functools import cached_property
from pathlib import Path

from exporter.arguments import Backfill, ExitStatus
from exporter.commands.disk_space import DiskSpace, disk_space
from exporter.commands.history import PATIENT, Feed, complete_before, done_on, feeds_of, fetch_day, is_recent
from exporter.commands.partners import new_builder
from exporter.commands.progress import Progress
from exporter.commands.stopping import Stop
from exporter.config import Config, load
from exporter.errors import StateError
from exporter.flags import usage_error
from exporter.formatting import size
from exporter.local_text import local_text
from exporter.messages import line
from exporter.metrics.backfill import TOO_LARGE, DaySize, Layout, size_of_day, write_day
from exporter.metrics.snapshot import Snapshot
from exporter.private_files import PRIVATE_DIRECTORY, is_private, private_directory

__all__ = ["PATIENT", "days", "run"]


def run(arguments: Backfill) -> ExitStatus:
    """Write one file a day, except for days that have one. Raises ExporterError."""
    layout = _layout(arguments)
    stop = Stop()
    past: _Past | None = None
    try:
        with stop.handling(), ExitStack() as opened:
            past = _past(arguments, layout, stop, opened)
            past.write()
    except KeyboardInterrupt:
        done = f"{past.done} of {len(past.missing)} days are done" if past else "no day is done"
        name = signal.Signals(stop.number or signal.SIGINT).name
        _say(f"stopped by {name}: {done}; the same command does the others")
        return ExitStatus.FAILED
    return ExitStatus.SUCCESS


def _past(arguments: Backfill, layout: Layout, stop: Stop, opened: ExitStack) -> "_Past":
    """Return what is to be done, with a directory to write to. Raises ExporterError."""
    config = load(arguments.config_file)
    builder = opened.enter_context(closing(new_builder(config)))
    feeds = feeds_of(config, arguments, builder=builder)
    _make(layout.folder)
    if not {"job", "instance"} <= layout.labels.keys():
        _say("without --label job=… and --label instance=…, backfilled and live data are different series")
    missing = tuple(_missing(arguments, layout))
    return _Past(config, feeds, layout, missing, Progress(len(missing)), stop)


def _missing(arguments: Backfill, layout: Layout) -> Iterator[date]:
    """Yield the days that have no file yet, and name those that have."""
    for day in days(arguments.first, arguments.last):
        if is_private(layout.file(day)):
            _say(f"{day}: already exists, skipped")
        else:
            yield day


@dataclass
class _Past:
    """The days that are missing, and how far they are written."""

    config: Config
    feeds: Sequence[Feed]
    layout: Layout
    missing: Sequence[date]
    progress: Progress
    stop: Stop
    done: int = 0
    unfinished: list[date] = field(default_factory=list)
    is_estimated: bool = False

    def write(self) -> None:
        """Write every day; raises PollError, StateError, KeyboardInterrupt, each with what is done kept."""
        try:
            for day in self.missing:
                self.stop.check()
                self._write_day(day, fetch_day(day, self.feeds, self.config))
                self.done += 1
        finally:
            self.progress.end()
        if self.unfinished:
            self._name_unfinished()

    def _write_day(self, day: date, snapshot: Snapshot) -> None:
        is_unfinished = is_recent(day, self.feeds, self._today) and day >= self._complete_before
        if is_unfinished:
            self.unfinished.append(day)
        if not snapshot.blocks:
            self.progress.step_done(f"{day}: no data, no file written")
            return
        self._check_space(day, size_of_day(snapshot, day, self.layout))
        file = self.layout.unfinished(day) if is_unfinished else self.layout.file(day)
        with self.stop.held():
            series = write_day(snapshot, day, self.layout, file=file, wrote=self._count)
            if not is_unfinished:
                self.layout.unfinished(day).unlink(missing_ok=True)
        note = ", not finished by Microsoft" if is_unfinished else ""
        self.progress.step_done(f"{day}: {series} series in {file}{note}")

    def _count(self, size_bytes: int) -> None:
        self.stop.check()
        self.progress.wrote(size_bytes)

    def _check_space(self, day: date, needed: DaySize) -> None:
        """Print what all days will take, once it is known, and raise StateError if that, or this day, doesn't fit."""
        space = disk_space(self.layout.folder)
        self.progress.expect(needed.size_bytes)
        left = len(self.missing) - self.done
        if not self.is_estimated:
            self.is_estimated = True
            self.progress.note(self._estimate(needed, left, space))
            fit = space.usable // needed.size_bytes if space else left
            wanted, what = needed.size_bytes * left, line("{} days, of which {} fit, need about", left, fit)
        else:
            wanted, what = needed.size_bytes, line("{} needs", day)
        if space and wanted > space.usable:
            message = line(
                "{} {}, and {} can take {}: {} are free, of which {} stay so",
                what,
                *(local_text(text) for text in (size(wanted), str(self.layout.folder), size(space.usable))),
                *(local_text(size(count)) for count in (space.free, space.reserved)),
            )
            raise StateError(message, remedy=TOO_LARGE)

    def _estimate(self, needed: DaySize, left: int, space: DiskSpace | None) -> str:
        day, all_days = size(needed.size_bytes), size(needed.size_bytes * left)
        free = f"; {size(space.free)} are free in {self.layout.folder}" if space else ""
        each = f"{needed.series:,} series, {needed.samples:,} samples of each"
        return f"estimate: {day} a day ({each}), {all_days} for {left} day{'s' * (left != 1)}{free}"

    def _name_unfinished(self) -> None:
        """Say which days Microsoft has not finished, and when it will have."""
        again = done_on(self.unfinished[-1], self.feeds, self._today - self._complete_before)
        named = ", ".join(map(str, self.unfinished))
        _say(f"not finished by Microsoft yet: {named}; run the same command again on {again} for them")
        if any(is_private(self.layout.unfinished(day)) for day in self.unfinished):
            _say(f"what there is of them is in {self.layout.folder}/*.om.unfinished, which need not become blocks")

    @cached_property
    def _today(self) -> date:
        return datetime.now(UTC).date()

    @cached_property
    def _complete_before(self) -> date:
        return complete_before(self.feeds, self._today)


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


def days(first: date, last: date) -> Iterator[date]:
    """Yield every day from the first to the last, both included."""
    return (first + timedelta(days=number) for number in range((last - first).days + 1))


def _say(message: str) -> None:
    print(message, file=sys.stderr, flush=True)
