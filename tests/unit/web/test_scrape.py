"""The answer to a scrape, as clients unpack it and as it goes over ASGI."""

import asyncio
import gzip
import io
import zlib
from collections.abc import Callable

import httpx
import pytest
import urllib3
from starlette.types import Message

from exporter.metrics.exposition import families
from exporter.metrics.snapshot import Snapshot, SnapshotStore
from exporter.model.rows import SourceName, UsageRow
from exporter.web.scrape import gzipped, plain
from exporter.web.toolkit.response import PiecewiseResponse

TAIL = b"partnercenter_state_writable 1.0\n"
PIECE_BYTES = 256 * 1024


def snapshot(rows: int) -> Snapshot:
    store = SnapshotStore()
    for partner in ("contoso", "fabrikam"):
        usage = [UsageRow(f"workload {number}", "o365", "reseller", number / rows, 1e9) for number in range(rows)]
        store.publish(partner, SourceName.USAGE, families(partner, usage, []))
    return store.current


def by_httpx(body: bytes) -> bytes:
    return httpx.Response(200, headers={"Content-Encoding": "gzip"}, content=body).content


def by_urllib3(body: bytes) -> bytes:
    return urllib3.HTTPResponse(body=io.BytesIO(body), headers={"Content-Encoding": "gzip"}).data


def by_zlib(body: bytes) -> bytes:
    unpacker = zlib.decompressobj(wbits=31)
    unpacked = unpacker.decompress(body)
    assert unpacker.eof
    assert unpacker.unused_data == b""
    return unpacked


@pytest.mark.parametrize("unpack", [gzip.decompress, by_zlib, by_httpx, by_urllib3])
@pytest.mark.parametrize("rows", [0, 1, 5_000])
@pytest.mark.parametrize("tail", [b"", TAIL])
def test_gzip_unpacks_to_exactly_the_plain_bytes(unpack: Callable[[bytes], bytes], rows: int, tail: bytes) -> None:
    ready = snapshot(rows)
    assert unpack(b"".join(gzipped(ready, tail))) == b"".join(plain(ready, tail))


def test_the_length_in_the_trailer_is_that_of_the_last_four_gigabytes() -> None:
    trailer = gzipped(Snapshot((), 0, 2**32), TAIL)[-1][-4:]
    assert int.from_bytes(trailer, "little") == len(TAIL)


def test_the_live_metrics_stand_behind_the_data() -> None:
    body = b"".join(plain(snapshot(1), TAIL))
    assert body.startswith(b"# HELP partnercenter_license_usage_ratio")
    assert body.endswith(TAIL)


def test_a_large_snapshot_is_much_smaller_packed() -> None:
    ready = snapshot(5_000)
    assert sum(map(len, gzipped(ready, TAIL))) * 5 < sum(map(len, plain(ready, TAIL)))


def sent(parts: list[bytes], method: str = "GET") -> list[Message]:
    """Return what the response sends."""
    messages: list[Message] = []

    async def send(message: Message) -> None:
        messages.append(message)

    async def receive() -> Message:
        raise AssertionError("nothing is received")

    response = PiecewiseResponse(parts, {"Content-Type": "text/plain"})
    asyncio.run(response({"type": "http", "method": method}, receive, send))
    return messages


@pytest.mark.parametrize(
    "sizes",
    [
        [],
        [0],
        [1],
        [PIECE_BYTES],
        [PIECE_BYTES + 1],
        [10] * 1_000,
        [PIECE_BYTES - 1, 2, PIECE_BYTES],
        [0, 3 * PIECE_BYTES + 7, 0, 1],
    ],
    ids=str,
)
def test_a_body_is_sent_completely_in_pieces_of_limited_size(sizes: list[int]) -> None:
    parts = [bytes([number % 256]) * size for number, size in enumerate(sizes)]
    start, *bodies = sent(parts)
    assert (start["type"], start["status"]) == ("http.response.start", 200)
    assert dict(start["headers"]) == {b"content-type": b"text/plain", b"content-length": str(sum(sizes)).encode()}
    assert b"".join(body["body"] for body in bodies) == b"".join(parts)
    assert max(len(body["body"]) for body in bodies) <= PIECE_BYTES
    assert [body.get("more_body", False) for body in bodies] == [True] * (len(bodies) - 1) + [False]


def test_small_parts_go_out_together() -> None:
    assert len(sent([b"x" * 100] * 1_000)) <= 4


def test_a_head_request_gets_the_length_and_no_body() -> None:
    start, *bodies = sent([b"x" * 1_000], method="HEAD")
    assert (b"content-length", b"1000") in start["headers"]
    assert b"".join(body["body"] for body in bodies) == b""
