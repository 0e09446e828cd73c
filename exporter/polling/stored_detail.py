"""Ready counts on disk: the deflated bytes that scrapes get, under a checksum, read back as they are."""

import zlib
from collections.abc import Iterable

import msgspec

from exporter.metrics.catalogue import Metric, broken_down
from exporter.metrics.detail import Detail
from exporter.metrics.exposition import Block
from exporter.model import Dimension, Names, SourceName, label, quantity

_RAW = -zlib.MAX_WBITS
_INFO_LABELS = {dimension.label for dimension in Dimension}


class StoredDetail(msgspec.Struct, frozen=True):
    """What the head of a file says of the bytes behind it: each block's length, by metric."""

    lengths: tuple[tuple[int, ...], tuple[int, ...]]
    names: dict[str, Names]
    checksum: int


class DamagedError(ValueError):
    """The bytes are not those that were written."""


def pack(source: SourceName, detail: Detail, seal: int) -> tuple[StoredDetail, list[bytes]]:
    """Return the head's part and the bytes behind the head; `seal` says whose they are."""
    blocks = [detail.blocks.get(metric, ()) for metric in broken_down(source)]
    lengths = (tuple(len(b.deflated) for b in blocks[0]), tuple(len(b.deflated) for b in blocks[1]))
    pieces = [block.deflated for each in blocks for block in each]
    return StoredDetail(lengths, detail.names, _checksum(lengths, pieces, seal)), pieces


def unpack(source: SourceName, stored: StoredDetail, ready: memoryview, seal: int) -> Detail:
    """Return the counts and names; raises DamagedError, ImpossibleValueError for names that can't be."""
    if sum(map(sum, stored.lengths)) != len(ready) or any(n <= 0 for each in stored.lengths for n in each):
        raise DamagedError
    if _checksum(stored.lengths, [ready], seal) != stored.checksum or not stored.names.keys() <= {
        dimension.label for dimension in Dimension
    }:
        raise DamagedError
    _check_names(stored.names)
    blocks: dict[Metric, tuple[Block, ...]] = {}
    start = 0
    for metric, lengths in zip(broken_down(source), stored.lengths, strict=True):
        read = []
        for length in lengths:
            read.append(_block(bytes(ready[start : start + length])))
            start += length
        blocks[metric] = tuple(read)
    return Detail(blocks, stored.names)


def _block(deflated: bytes) -> Block:
    try:
        return Block(zlib.decompressobj(_RAW).decompress(deflated), deflated)
    except zlib.error as error:
        raise DamagedError from error


def _checksum(lengths: tuple[tuple[int, ...], ...], pieces: Iterable[bytes | memoryview], seal: int) -> int:
    checksum = zlib.crc32(repr(lengths).encode(), seal)
    for piece in pieces:
        checksum = zlib.crc32(piece, checksum)
    return checksum


def _check_names(names: dict[str, Names]) -> None:
    for each in names.values():
        for identifier, (moment, name) in each.items():
            label(identifier)
            label(name)
            quantity(moment)
