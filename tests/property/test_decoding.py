"""Any chain of content codings: one is undone piece by piece, more fail before a byte is read."""

import gzip
import tracemalloc
import zlib
from collections.abc import Callable, Iterator
from contextlib import suppress

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.errors import PayloadError, PollError, TruncatedBody
from exporter.redaction import Redactor
from exporter.upstream.decoding import decoded
from exporter.upstream.transport import HttpTransport
from tests.support.clock import FakeClock
from tests.support.upstream import MockUpstream

PIECE = 64 * 1024
MEGABYTE = 1024 * 1024


def raw_deflate(body: bytes) -> bytes:
    compressor = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    return compressor.compress(body) + compressor.flush()


CODERS: dict[str, Callable[[bytes], bytes]] = {
    "gzip": gzip.compress,
    "GZip": gzip.compress,
    "x-gzip": gzip.compress,
    "deflate": zlib.compress,
    "identity": bytes,
}
NAMES = st.sampled_from([*CODERS, "br", "zstd", "compress", "", "gzip;q=1", "*", "\u00e9"])
RUNS = st.builds(lambda some, times: some * times, st.binary(min_size=1, max_size=3), st.integers(0, 3_000))
BODIES = st.binary(max_size=3_000) | RUNS


class Chunks:
    """A body in chunks, and how many of them were taken."""

    def __init__(self, body: bytes, size: int) -> None:
        self._chunks = [body[at : at + size] for at in range(0, len(body), size)]
        self.taken = 0

    def __iter__(self) -> Iterator[bytes]:
        for chunk in self._chunks:
            self.taken += 1
            yield chunk


@given(body=BODIES, names=st.lists(NAMES, max_size=4), size=st.integers(1, 5_000))
def test_any_chain_of_codings_is_undone_or_refused_before_a_byte_is_read(
    body: bytes, names: list[str], size: int
) -> None:
    sent = body
    for name in names:
        sent = CODERS.get(name, bytes)(sent)
    chunks = Chunks(sent, size)
    real = [name for name in names if name.lower() not in ("", "identity")]
    if not real or (len(real) == 1 and real[0] in CODERS):
        assert b"".join(decoded(chunks, ", ".join(names))) == body
    else:
        with pytest.raises(PayloadError):
            list(decoded(chunks, ",".join(names)))
        assert chunks.taken == 0


@given(body=BODIES, size=st.integers(1, 5_000), coder=st.sampled_from([zlib.compress, raw_deflate]))
def test_deflate_is_read_with_and_without_its_header(body: bytes, size: int, coder: Callable[[bytes], bytes]) -> None:
    assert b"".join(decoded(Chunks(coder(body), size), "deflate")) == body


@given(bodies=st.lists(BODIES, min_size=1, max_size=4), size=st.integers(1, 5_000))
def test_gzip_streams_one_behind_the_other_are_one_body(bodies: list[bytes], size: int) -> None:
    chunks = Chunks(b"".join(map(gzip.compress, bodies)), size)
    assert b"".join(decoded(chunks, "gzip")) == b"".join(bodies)


@given(body=BODIES, size=st.integers(1, 500), cut=st.integers(1, 200))
def test_a_stream_that_ends_early_is_no_body(body: bytes, size: int, cut: int) -> None:
    compressed = gzip.compress(body)
    with pytest.raises(TruncatedBody):
        list(decoded(Chunks(compressed[: max(len(compressed) - cut, 1)], size), "gzip"))


@given(content=st.binary(min_size=1), name=st.sampled_from(["gzip", "deflate"]))
def test_any_bytes_are_decoded_or_refused(content: bytes, name: str) -> None:
    try:
        body = b"".join(decoded([content], name))
    except PayloadError:
        return
    assert name == "deflate" or gzip.decompress(content) == body


@pytest.mark.parametrize("name", ["gzip", "deflate"])
@pytest.mark.parametrize("size", [1, 1_000, MEGABYTE])
def test_a_bomb_is_undone_in_small_pieces(name: str, size: int) -> None:
    bomb = CODERS[name](bytes(20 * MEGABYTE))
    pieces = decoded(Chunks(bomb, size), name)
    assert all(len(piece) <= PIECE for piece in pieces)


@pytest.mark.parametrize("status", [200, 400, 500])
@pytest.mark.parametrize("coding", ["gzip", "gzip, gzip", "gzip, gzip, gzip", "deflate"])
def test_memory_for_a_response_stays_within_its_limit(status: int, coding: str) -> None:
    body = bytes(16 * MEGABYTE)
    for name in coding.split(", "):
        body = CODERS[name](body)
    answer = httpx.Response(status, headers={"Content-Encoding": coding}, stream=httpx.ByteStream(body))
    client = httpx.Client(transport=MockUpstream(lambda _request: answer))
    transport = HttpTransport(client, clock=FakeClock(), timeout_seconds=30.0)
    tracemalloc.start()
    try:
        with suppress(PollError):
            transport.send("GET", "https://api.example", headers={}, max_bytes=MEGABYTE, redactor=Redactor())
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 3 * MEGABYTE
