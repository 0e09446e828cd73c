"""A past day as an OpenMetrics file, for `promtool tsdb create-blocks-from openmetrics`.

prometheus.io/docs/prometheus/latest/storage/#backfilling-from-openmetrics-format
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, time
from pathlib import Path

from exporter.errors import StateError
from exporter.files import write_atomically
from exporter.messages import line
from exporter.metrics import exposition
from exporter.metrics.snapshot import Snapshot

_DAY_SECONDS = 86_400


@dataclass(frozen=True, kw_only=True, slots=True)
class Layout:
    """How the files are written: where, how many seconds between two samples, and with which labels."""

    folder: Path
    step_seconds: int
    labels: Mapping[str, str]

    def file(self, day: date) -> Path:
        """Return where a day's samples go."""
        return self.folder / f"{day.isoformat()}.om"


def write_day(snapshot: Snapshot, day: date, layout: Layout) -> int:
    """Write a day's file, private and whole or not at all; return its number of series. Raises StateError."""
    file = layout.file(day)
    try:
        write_atomically(file, _pieces(snapshot, day, layout))
    except OSError as error:
        remedy = line("check the directory's owner and free space")
        raise StateError(line("can't write {}: {}", file, error), remedy=remedy) from error
    return sum(not written.startswith(b"#") for written in _lines(snapshot))


def _pieces(snapshot: Snapshot, day: date, layout: Layout) -> Iterator[bytes]:
    """Yield each series with its samples of the day, in the families' order; never the whole day at once."""
    start = int(datetime.combine(day, time(), UTC).timestamp())
    ends = [b" %d\n" % at for at in range(start, start + _DAY_SECONDS, layout.step_seconds)]
    labels = "".join(f"{pair}," for pair in exposition.pairs(layout.labels)).encode()
    for written in _lines(snapshot):
        if written.startswith(b"#"):
            yield written + b"\n"
            continue
        name, _, rest = written.partition(b"{")
        sample = b"%s{%s%s" % (name, labels, rest)
        yield b"".join([sample + end for end in ends])
    yield b"# EOF\n"


def _lines(snapshot: Snapshot) -> Iterator[bytes]:
    return (written for block in snapshot.blocks for written in block.plain.split(b"\n")[:-1])
