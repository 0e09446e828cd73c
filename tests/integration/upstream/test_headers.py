"""What a response's headers say decides its fate in the way that is ours: no library reads more of them than we do."""

import socket
import warnings
from collections.abc import Iterator
from contextlib import closing

import pytest

from exporter.clock import Clock
from exporter.redaction import Redactor
from exporter.upstream.transport import HttpReply, HttpTransport
from tests.support.https import listening

REDIRECTS = (301, 302, 303, 307, 308)
UNREADABLE_ADDRESSES = (
    ":a://[b/",
    "//xn--0",
    "//[::1",
    "https://[v1.x]/",
    "http://a:99999/",
    "http:///x",
    "https:",
    "http://a..b/",
    "\\\\a@b",
    "x" * 20_000,
)
UNREADABLE_COOKIES = (
    "a=b; max-age=" + "9" * 400,
    "a=b; expires=1 Jan " + "9" * 5000 + " 00:00:00 GMT",
    "a=b; expires=" + "9" * 5000,
    "a=b; version=x; domain=.xn--0; port=y",
)


@pytest.fixture(scope="module")
def transport() -> Iterator[HttpTransport]:
    with closing(HttpTransport.open(clock=Clock(), timeout_seconds=60.0)) as transport:
        yield transport


def reply_with(transport: HttpTransport, status: int, header: str) -> HttpReply:
    """Ask a server whose answer has this header."""
    answer = f"HTTP/1.1 {status} x\r\n{header}\r\nContent-Length: 2\r\nConnection: close\r\n\r\n{{}}".encode()

    def talk(connection: socket.socket) -> None:
        connection.recv(65_536)
        connection.sendall(answer)

    with listening(talk) as (host, port):
        return transport.send("GET", f"http://{host}:{port}/", headers={}, max_bytes=100, redactor=Redactor())


@pytest.mark.parametrize("status", REDIRECTS)
@pytest.mark.parametrize("address", UNREADABLE_ADDRESSES, ids=lambda text: text[:20])
def test_a_redirect_is_one_wherever_it_leads(transport: HttpTransport, status: int, address: str) -> None:
    assert reply_with(transport, status, f"Location: {address}").status == status


@pytest.mark.parametrize("header", ["Set-Cookie", "Set-Cookie2"])
@pytest.mark.parametrize("cookie", UNREADABLE_COOKIES, ids=lambda text: text[:20])
def test_no_cookie_is_read_so_none_makes_a_library_complain(transport: HttpTransport, header: str, cookie: str) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert reply_with(transport, 200, f"{header}: {cookie}").body == b"{}"
