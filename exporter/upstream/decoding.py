"""Content codings (RFC 9110, 8.4), undone piece by piece: a response of a few bytes can expand without end."""

import zlib
from collections.abc import Iterable, Iterator

from exporter.errors import RETRIED, PayloadError, TruncatedBody
from exporter.messages import line

ACCEPT_ENCODING = "gzip, deflate"

_PIECE_BYTES = 64 * 1024
_REMEDY = line("check which server answers at this address")
_GZIP, _ZLIB, _RAW = 16 + zlib.MAX_WBITS, zlib.MAX_WBITS, -zlib.MAX_WBITS


def decoded(chunks: Iterable[bytes], content_encoding: str) -> Iterator[bytes]:
    """Yield a body in pieces of at most 64 KiB where it was compressed, so that the caller can stop at its limit.

    Raises PayloadError before the first chunk for more than one coding, or one that was not asked for;
    TruncatedBody for compressed data that ends early.
    """
    names = (name.strip().lower() for name in content_encoding.split(","))
    codings = [name.removeprefix("x-") for name in names if name not in ("", "identity")]
    if not codings:
        yield from chunks
    elif codings in (["gzip"], ["deflate"]):
        try:
            yield from _inflated(chunks, gzip=codings == ["gzip"])
        except zlib.error as error:
            raise PayloadError(line("the response can't be decompressed"), remedy=_REMEDY) from error
    else:
        message = line("the response has a content coding that was not asked for, or several of them")
        raise PayloadError(message, remedy=_REMEDY)


def _inflated(chunks: Iterable[bytes], *, gzip: bool) -> Iterator[bytes]:
    """Yield what the compressed streams contain: gzip allows several, one behind the other (RFC 1952, 2.2)."""
    stream = None
    for chunk in chunks:
        pending = chunk
        while pending:
            if stream is None or stream.eof:
                stream = zlib.decompressobj(_GZIP if gzip else _deflate_format(pending[0]))
            piece = stream.decompress(pending, _PIECE_BYTES)
            while piece:
                yield piece
                piece = stream.decompress(stream.unconsumed_tail, _PIECE_BYTES)
            pending = stream.unused_data
    if stream is not None and not stream.eof:
        remedy = line("{}; if it persists, check any proxy in between", RETRIED)
        raise TruncatedBody(line("the compressed response ends early"), remedy=remedy)


def _deflate_format(first: int) -> int:
    """Return zlib's name for the format: `deflate` means zlib's, but some servers send it without the header."""
    has_header = first & 0x0F == zlib.DEFLATED and first >> 4 <= zlib.MAX_WBITS - 8
    return _ZLIB if has_header else _RAW
