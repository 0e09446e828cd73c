"""What a scrape is answered with: immutable ready bytes, swapped as a whole after a poll."""

import threading
import zlib
from collections.abc import Sequence
from dataclasses import dataclass

from exporter.metrics import exposition
from exporter.metrics.catalogue import DATA, Metric
from exporter.metrics.exposition import Block
from exporter.metrics.families import Families

Key = tuple[str, str]


@dataclass(frozen=True, slots=True)
class Snapshot:
    """All data series at one moment. `crc` and `size` are those of the plain bytes."""

    blocks: tuple[Block, ...] = ()
    crc: int = 0
    size: int = 0


class SnapshotStore:
    """Holds the newest snapshot; polls publish into it, scrapes read it without a lock."""

    def __init__(self) -> None:
        self._swapping = threading.Lock()
        self._parts: dict[Key, dict[Metric, Block]] = {}
        self._headers = {metric: exposition.header(metric) for metric in DATA}
        self._current = Snapshot()

    @property
    def current(self) -> Snapshot:
        """The newest snapshot."""
        return self._current

    def publish(self, partner: str, source: str, families: Families) -> None:
        """Replace all series of one partner's source at once."""
        rendered = {metric: exposition.samples(metric, values) for metric, values in families.items()}
        with self._swapping:
            self._parts[(partner, source)] = rendered
            self._current = _join(self._headers, self._sorted_parts())

    def withdraw(self, partner: str, source: str) -> None:
        """Remove all series of one partner's source."""
        with self._swapping:
            if self._parts.pop((partner, source), None):
                self._current = _join(self._headers, self._sorted_parts())

    def _sorted_parts(self) -> list[dict[Metric, Block]]:
        return [self._parts[key] for key in sorted(self._parts)]


def _join(headers: dict[Metric, Block], parts: Sequence[dict[Metric, Block]]) -> Snapshot:
    """Join by family: a second HELP line for a family would be a parse error."""
    blocks: list[Block] = []
    for metric, header in headers.items():
        ready = [part[metric] for part in parts if metric in part]
        if ready:
            blocks += [header, *ready]
    crc = size = 0
    for each in blocks:
        crc = zlib.crc32(each.plain, crc)
        size += len(each.plain)
    return Snapshot(tuple(blocks), crc, size)
