"""Rendered counts on disk: the deflated bytes that scrapes get, with a checksum, read back as they are."""

import zlib
from collections.abc import Iterable, Iterator

import msgspec

from exporter.metrics.catalogue import broken_down
from exporter.metrics.detail import Detail
from exporter.metrics.exposition import Block
from exporter.model import Dimension, Names, SourceName, label, quantity

_RAW = -zlib.MAX_WBITS
_INFO_LABELS = {dimension.label for dimension in Dimension}

Lengths = tuple[tuple[int, ...], tuple[int, ...]]


class StoredDetail(msgspec.Struct, frozen=True):
    """What the first line of a file says about the bytes behind it: each block's length, by metric."""

    lengths: Lengths
    names: dict[str, Names]
    checksum: int


def pack(source: SourceName, detail: Detail, seal: int) -> tuple[StoredDetail, list[bytes]]:
    """Return what goes into the first line, and the bytes behind it; `seal` identifies their owner."""
    part, whole = (detail.blocks.get(metric, ()) for metric in broken_down(source))
    lengths = (tuple(len(b.deflated) for b in part), tuple(len(b.deflated) for b in whole))
    pieces = [block.deflated for block in (*part, *whole)]
    return StoredDetail(lengths, detail.names, _checksum(lengths, pieces, seal)), pieces


def unpack(source: SourceName, stored: StoredDetail, ready: memoryview, seal: int) -> Detail:
    """Return the counts and names; raises ValueError where they are damaged."""
    lengths = [length for blocks in stored.lengths for length in blocks]
    if (
        sum(lengths) != len(ready)
        or any(length <= 0 for length in lengths)
        or _checksum(stored.lengths, [ready], seal) != stored.checksum
        or not stored.names.keys() <= _INFO_LABELS
    ):
        raise ValueError("its counts are damaged")
    _check_names(stored.names)
    blocks = _blocks(lengths, ready)
    pairs = zip(broken_down(source), stored.lengths, strict=True)
    return Detail({metric: tuple(next(blocks) for _ in each) for metric, each in pairs}, stored.names)


def _blocks(lengths: Iterable[int], ready: memoryview) -> Iterator[Block]:
    start = 0
    for length in lengths:
        deflated = bytes(ready[start : start + length])
        try:
            yield Block(zlib.decompressobj(_RAW).decompress(deflated), deflated)
        except zlib.error as error:
            raise ValueError("its counts are damaged") from error
        start += length


def _checksum(lengths: Lengths, pieces: Iterable[bytes | memoryview], seal: int) -> int:
    checksum = zlib.crc32(repr(lengths).encode(), seal)
    for piece in pieces:
        checksum = zlib.crc32(piece, checksum)
    return checksum


def _check_names(names: dict[str, Names]) -> None:
    for known in names.values():
        for identifier, (processed_at, name) in known.items():
            label(identifier)
            label(name)
            quantity(processed_at)
