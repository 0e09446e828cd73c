"""What a scrape gets: immutable pre-rendered bytes, swapped as a whole after a poll."""

import threading
import zlib
from dataclasses import dataclass

from exporter.metrics import exposition
from exporter.metrics.breakdown import RenderedBreakdown, info_blocks
from exporter.metrics.catalogue import DATA, Metric
from exporter.metrics.exposition import Block, Families
from exporter.model.rows import SourceName
from exporter.model.totals import Names

Key = tuple[str, SourceName]
Part = dict[Metric, tuple[Block, ...]]


@dataclass(frozen=True, slots=True)
class Snapshot:
    """All data series at one moment. `crc` and `size` are those of the plain bytes."""

    blocks: tuple[Block, ...] = ()
    crc: int = 0
    size: int = 0


class SnapshotStore:
    """Holds the newest snapshot; polls publish into it, scrapes read it without a lock."""

    def __init__(self) -> None:
        self._swap_lock = threading.Lock()
        self._parts: dict[Key, Part] = {}
        self._names: dict[Key, dict[str, Names]] = {}
        self._infos: dict[str, Part] = {}
        self._headers = {metric: exposition.header(metric) for metric in DATA}
        self.current = Snapshot()

    def publish(
        self, partner: str, source: SourceName, families: Families, breakdown: RenderedBreakdown | None = None
    ) -> None:
        """Replace all series of one partner's source at once; counts with detail replace those without."""
        rendered: Part = {metric: exposition.samples(metric, values) for metric, values in families.items()}
        if breakdown is not None:
            rendered |= breakdown.blocks
        with self._swap_lock:
            self._parts[(partner, source)] = rendered
            self._take_names(partner, source, breakdown.names if breakdown else {})
            self._refresh()

    def withdraw(self, partner: str, source: SourceName) -> None:
        """Remove all series of one partner's source."""
        with self._swap_lock:
            if self._parts.pop((partner, source), None):
                self._take_names(partner, source, {})
                self._refresh()

    def _take_names(self, partner: str, source: SourceName, names: dict[str, Names]) -> None:
        """Render the names of one partner again: several sources know them, and each may appear only once."""
        previous = self._names.pop((partner, source), {})
        if names:
            self._names[(partner, source)] = names
        if names is not previous and (names or previous):
            keys = sorted(key for key in self._names if key[0] == partner)
            self._infos[partner] = info_blocks(partner, [self._names[key] for key in keys])

    def _refresh(self) -> None:
        """Join all parts by family: a second HELP line for a family would be a parse error."""
        parts = [self._parts[key] for key in sorted(self._parts)]
        parts += [self._infos[partner] for partner in sorted(self._infos)]
        blocks: list[Block] = []
        for metric, header in self._headers.items():
            ready = [block for part in parts for block in part.get(metric, ())]
            if ready:
                blocks += [header, *ready]
        crc = size = 0
        for block in blocks:
            crc = zlib.crc32(block.plain, crc)
            size += len(block.plain)
        self.current = Snapshot(tuple(blocks), crc, size)
