"""A past day as an OpenMetrics file, for `promtool tsdb create-blocks-from openmetrics`.

prometheus.io/docs/prometheus/latest/storage/#backfilling-from-openmetrics-format
"""

import errno
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, time
from pathlib import Path

from exporter.errors import StateError
from exporter.files import write_atomically
from exporter.messages import line
from exporter.metrics import exposition
from exporter.metrics.snapshot import Snapshot

_DAY_SECONDS = 86_400
_EOF = b"# EOF\n"
_NO_SPACE = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
TOO_LARGE = line(
    "finished days are kept, and the same command goes on with the others: free space, or give fewer days; or start "
    "anew in another --output: on a larger disk, with --without-detail, or with a longer --step (5m leaves no gaps yet)"
)


@dataclass(frozen=True, kw_only=True, slots=True)
class Layout:
    """How the files are written: where, how many seconds between two samples, and with which labels."""

    folder: Path
    step_seconds: int
    labels: Mapping[str, str]

    def file(self, day: date) -> Path:
        """Return where a day's samples go."""
        return self.folder / f"{day.isoformat()}.om"

    def unfinished(self, day: date) -> Path:
        """Return where they go while more may come: `*.om` doesn't match it."""
        return self.folder / f"{day.isoformat()}.om.unfinished"


@dataclass(frozen=True, slots=True)
class DaySize:
    """What a day's file will hold, exactly."""

    size_bytes: int
    series: int
    samples: int  # of each series


def size_of_day(snapshot: Snapshot, day: date, layout: Layout) -> DaySize:
    """Return how large a day's file becomes, without writing it."""
    ends = _ends(day, layout)
    added = sum(map(len, ends))
    size, series = len(_EOF), 0
    for written in _samples(snapshot, layout):
        if written.startswith(b"#"):
            size += len(written) + 1
        else:
            size += len(ends) * len(written) + added
            series += 1
    return DaySize(size, series, len(ends))


def write_day(
    snapshot: Snapshot,
    day: date,
    layout: Layout,
    *,
    file: Path | None = None,
    wrote: Callable[[int], None] | None = None,
) -> int:
    """Write a day's file, private and whole or not at all; return its number of series. Raises StateError.

    `wrote` is told the size of each piece, and may raise.
    """
    file = file or layout.file(day)
    try:
        write_atomically(file, _counted(_pieces(snapshot, day, layout), wrote or (lambda _size: None)))
    except OSError as error:
        remedy = TOO_LARGE if error.errno in _NO_SPACE else line("check the directory's owner and free space")
        raise StateError(line("can't write {}: {}", file, error), remedy=remedy) from error
    return sum(not written.startswith(b"#") for written in _lines(snapshot))


def _counted(pieces: Iterable[bytes], wrote: Callable[[int], None]) -> Iterator[bytes]:
    for piece in pieces:
        wrote(len(piece))
        yield piece


def _pieces(snapshot: Snapshot, day: date, layout: Layout) -> Iterator[bytes]:
    """Yield each series with its samples of the day, in the families' order; never the whole day at once."""
    ends = _ends(day, layout)
    for written in _samples(snapshot, layout):
        yield written + b"\n" if written.startswith(b"#") else b"".join([written + end for end in ends])
    yield _EOF


def _ends(day: date, layout: Layout) -> list[bytes]:
    """Return what follows a series in each of its lines."""
    start = int(datetime.combine(day, time(), UTC).timestamp())
    return [b" %d\n" % at for at in range(start, start + _DAY_SECONDS, layout.step_seconds)]


def _samples(snapshot: Snapshot, layout: Layout) -> Iterator[bytes]:
    """Yield each comment, and each series with its labels and value, without time and line break."""
    labels = "".join(f"{pair}," for pair in exposition.pairs(layout.labels)).encode()
    for written in _lines(snapshot):
        name, _, rest = written.partition(b"{")
        yield written if written.startswith(b"#") else b"%s{%s%s" % (name, labels, rest)


def _lines(snapshot: Snapshot) -> Iterator[bytes]:
    return (written for block in snapshot.blocks for written in block.plain.split(b"\n")[:-1])
