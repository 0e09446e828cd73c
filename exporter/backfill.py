"""Past days as OpenMetrics files, one a day, for `promtool tsdb create-blocks-from openmetrics`.

prometheus.io/docs/prometheus/latest/storage/#backfilling-from-openmetrics-format
"""

import math
import threading
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, time, timedelta
from pathlib import Path

from exporter.errors import PayloadError, PollError, StateError
from exporter.files import write_atomically
from exporter.logs import Logger
from exporter.metrics import exposition
from exporter.metrics.detail import detail
from exporter.metrics.families import families
from exporter.metrics.snapshot import Snapshot, SnapshotStore
from exporter.metrics.targets import Target
from exporter.model import Answer, DropReason
from exporter.partner_center.client import PartnerCenterClient
from exporter.partner_center.retry import RetryPolicy
from exporter.sources.deployment import CommercialDeployment
from exporter.sources.usage import CommercialUsage

# Nobody waits for a scrape here: however long the API asks to wait, that is waited.
PATIENT = RetryPolicy(attempts=8, budget_seconds=math.inf)
_DAY_SECONDS = 86_400


@dataclass(frozen=True, slots=True)
class Feed:
    """One source of one partner; its client says how patiently is asked."""

    client: PartnerCenterClient
    source: CommercialUsage | CommercialDeployment


@dataclass(frozen=True, slots=True)
class Layout:
    """How the files are written: where, how many seconds between two samples, and with which labels."""

    folder: Path
    step_seconds: int
    labels: Mapping[str, str]

    def file(self, day: date) -> Path:
        """Return where a day's samples go."""
        return self.folder / f"{day.isoformat()}.om"


def days(first: date, last: date) -> Iterator[date]:
    """Yield every day from the first to the last, both included."""
    return (first + timedelta(days=number) for number in range((last - first).days + 1))


def fetch_day(
    day: date, feeds: Sequence[Feed], targets: Sequence[Target], *, stop: threading.Event, log: Logger
) -> Snapshot:
    """Ask for one day, one request at a time; return what the exporter would have shown.

    Raises PollError; PayloadError where the answer is about another day.
    """
    store = SnapshotStore()
    for feed in feeds:
        partner, name = feed.client.partner, feed.source.name
        told = log.bind(partner=partner, source=name, day=day.isoformat())
        poll = feed.client.open_poll(name, stop=stop, log=told)
        try:
            answer = _of(feed, day).fetch(poll)
            _refuse_another_day(answer, day)
        except PollError as error:
            raise error.replace(message=f"{day}, {name} of {partner}: {error.message}") from error
        told.info("day fetched", rows=answer.usable)
        if not answer.rows:
            told.warning("no data for this day", remedy="where it is recent, remove its file and ask later")
        elif all(row.processed_at is None for row in answer.rows):
            told.warning("rows without dates", remedy="see that the figures differ from day to day")
        if over := answer.dropped.get(DropReason.LIMIT):
            told.warning("series dropped", count=over, remedy="raise poll.max_series")
        ready = detail(partner, name, answer.breakdown)
        store.publish(partner, name, families(partner, answer.rows, targets), ready)
    return store.current


def _of(feed: Feed, day: date) -> CommercialUsage | CommercialDeployment:
    return replace(feed.source, options=replace(feed.source.options, processed_on=day))


def _refuse_another_day(answer: Answer, day: date) -> None:
    """Raise PayloadError: an API that ignores the day would have today's figures written into the past."""
    for row in answer.rows:
        if row.processed_at is None:
            continue
        other = datetime.fromtimestamp(row.processed_at, UTC).date()
        if other != day:
            raise PayloadError(
                f"asked for the data of {day}, got those of {other}",
                remedy="this API gives no past: leave it out with --partner or --source, or report it",
            )


def write_day(snapshot: Snapshot, day: date, layout: Layout) -> int:
    """Write a day's file, whole or not at all; return its number of series. Raises StateError."""
    file = layout.file(day)
    try:
        write_atomically(file, _pieces(snapshot, day, layout), mode=0o666)
    except OSError as error:
        raise StateError(
            f"can't write {file}: {error.strerror}", remedy="look at the folder's space and owner"
        ) from error
    return sum(not line.startswith(b"#") for line in _lines(snapshot))


def _pieces(snapshot: Snapshot, day: date, layout: Layout) -> Iterator[bytes]:
    """Yield each series with its samples of the day, in the families' order; never the whole day at once."""
    start = int(datetime.combine(day, time(), UTC).timestamp())
    ends = [b" %d\n" % at for at in range(start, start + _DAY_SECONDS, layout.step_seconds)]
    labels = "".join(f"{pair}," for pair in exposition.pairs(layout.labels)).encode()
    for line in _lines(snapshot):
        if line.startswith(b"#"):
            yield line + b"\n"
            continue
        name, _, rest = line.partition(b"{")
        sample = b"%s{%s%s" % (name, labels, rest)
        yield b"".join([sample + end for end in ends])
    yield b"# EOF\n"


def _lines(snapshot: Snapshot) -> Iterator[bytes]:
    return (line for block in snapshot.blocks for line in block.plain.split(b"\n")[:-1])
