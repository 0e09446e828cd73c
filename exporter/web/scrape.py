"""The answer to a scrape: the snapshot's ready bytes with the exporter's own live metrics behind them."""

import struct
import zlib
from collections.abc import Iterator, Sequence

from starlette.types import Receive, Scope, Send

from exporter.metrics.snapshot import Snapshot

# One piece of a large body at a time: as a whole it would be copied whole, and hold up every other answer.
_PIECE_BYTES = 256 * 1024
_GZIP_HEADER = b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x04\xff"
_RAW = -zlib.MAX_WBITS


def plain(snapshot: Snapshot, tail: bytes) -> list[bytes]:
    """Return the body's parts as they are."""
    return [*(block.plain for block in snapshot.blocks), tail]


def gzipped(snapshot: Snapshot, tail: bytes) -> list[bytes]:
    """Return the body's parts as one gzip stream: ready deflate blocks, then the live tail.

    One stream on purpose: of two members, httpx and curl silently lose the second.
    """
    compressor = zlib.compressobj(1, zlib.DEFLATED, _RAW)
    ending = compressor.compress(tail) + compressor.flush(zlib.Z_FINISH)
    checksum = zlib.crc32(tail, snapshot.crc)
    size = (snapshot.size + len(tail)) & 0xFFFFFFFF
    trailer = struct.pack("<LL", checksum, size)
    return [_GZIP_HEADER, *(block.deflated for block in snapshot.blocks), ending + trailer]


class PiecewiseResponse:
    """An ASGI response that sends many parts, the large ones piece by piece."""

    def __init__(self, parts: Sequence[bytes], headers: dict[str, str]) -> None:
        self._parts = parts
        length = sum(len(part) for part in parts)
        every = {**headers, "content-length": str(length)}
        self._headers = [(name.lower().encode(), value.encode()) for name, value in every.items()]

    async def __call__(self, scope: Scope, _receive: Receive, send: Send) -> None:
        """Send the whole body; a HEAD request gets the headers only."""
        await send({"type": "http.response.start", "status": 200, "headers": self._headers})
        if scope["method"] != "HEAD":
            for piece in _pieces(self._parts):
                await send({"type": "http.response.body", "body": piece, "more_body": True})
        await send({"type": "http.response.body", "body": b""})


def _pieces(parts: Sequence[bytes]) -> Iterator[bytes]:
    """Yield pieces of about `_PIECE_BYTES`: small parts together, large ones cut."""
    gathered: list[bytes] = []
    size = 0
    for part in parts:
        for start in range(0, len(part), _PIECE_BYTES):
            piece = part[start : start + _PIECE_BYTES]
            if size + len(piece) > _PIECE_BYTES:
                yield b"".join(gathered)
                gathered, size = [], 0
            gathered.append(piece)
            size += len(piece)
    yield b"".join(gathered)
