"""Counts by customer and product on disk: the compressed bytes that scrapes get, with a checksum."""

import zlib
from collections.abc import Iterable, Iterator
from itertools import accumulate, chain, pairwise

import msgspec

from exporter.metrics.breakdown import RenderedBreakdown
from exporter.metrics.catalogue import broken_down
from exporter.metrics.exposition import Block
from exporter.model.rows import Dimension, SourceName
from exporter.model.totals import Names
from exporter.model.values import LATEST, label, quantity

_RAW = -zlib.MAX_WBITS
# Far more than the lines of one block, and of all of them, can need; deflate makes a thousand bytes of one.
_MAX_BLOCK_BYTES = 32 * 1024 * 1024
_MAX_PLAIN_BYTES = 4 * 1024 * 1024 * 1024
_MAX_LABEL_LENGTH = 1_000
_ID_LABELS = {dimension.label for dimension in Dimension}


class StoredBreakdown(msgspec.Struct, frozen=True):
    """What the first line of a file says about the bytes after it: the length of each block, by metric."""

    lengths: tuple[tuple[int, ...], tuple[int, ...]]
    names: dict[str, Names]
    checksum: int
    version: str = ""

    @classmethod
    def of(cls, source: SourceName, breakdown: RenderedBreakdown, seal: int) -> tuple["StoredBreakdown", list[bytes]]:
        """Return what goes into the first line, and the bytes after it; `seal` is their owner's checksum."""
        part, whole = ([block.deflated for block in breakdown.blocks.get(metric, ())] for metric in broken_down(source))
        lengths = (tuple(map(len, part)), tuple(map(len, whole)))
        return cls(lengths, breakdown.names, _checksum(lengths, part + whole, seal), breakdown.version), part + whole

    def read(self, source: SourceName, content: memoryview, seal: int) -> RenderedBreakdown:
        """Return the breakdown; raises ValueError if it isn't what was written."""
        lengths = list(chain(*self.lengths))
        if (
            sum(lengths) != len(content)
            or any(length <= 0 for length in lengths)
            or _checksum(self.lengths, [content], seal) != self.checksum
            or not self.names.keys() <= _ID_LABELS
        ):
            raise ValueError("its counts are corrupt")
        _check_names(self.names)
        blocks = _blocks(content, lengths)
        return RenderedBreakdown(
            {
                metric: tuple(next(blocks) for _ in lengths)
                for metric, lengths in zip(broken_down(source), self.lengths, strict=True)
            },
            self.names,
            self.version,
        )


def _blocks(content: memoryview, lengths: list[int]) -> Iterator[Block]:
    left = _MAX_PLAIN_BYTES
    for start, end in pairwise(accumulate(lengths, initial=0)):
        deflated = bytes(content[start:end])
        inflater = zlib.decompressobj(_RAW)
        try:
            plain = inflater.decompress(deflated, min(_MAX_BLOCK_BYTES, left))
        except zlib.error as error:
            raise ValueError("its counts are corrupt") from error
        left -= len(plain)
        if inflater.unconsumed_tail or left <= 0:
            raise ValueError("its counts are too large")
        yield Block(plain, deflated)


def _checksum(lengths: tuple[tuple[int, ...], ...], pieces: Iterable[bytes | memoryview], seal: int) -> int:
    checksum = zlib.crc32(repr(lengths).encode(), seal)
    for piece in pieces:
        checksum = zlib.crc32(piece, checksum)
    return checksum


def _check_names(names: dict[str, Names]) -> None:
    for identifier, (processed_at, name) in chain.from_iterable(known.items() for known in names.values()):
        if max(len(label(identifier)), len(label(name))) > _MAX_LABEL_LENGTH:
            raise ValueError("it has a name that is too long")
        quantity(processed_at, maximum=LATEST)
