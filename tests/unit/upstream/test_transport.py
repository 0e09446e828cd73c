"""The connection pool belongs to the transport."""

import httpx
import pytest

from exporter.errors import NetworkError, PollAborted
from exporter.redaction import Redactor, Secret
from exporter.upstream.transport import HttpReply, HttpTransport
from tests.support.clock import FakeClock
from tests.support.upstream import MockUpstream


def transport_over(answer: MockUpstream) -> HttpTransport:
    return HttpTransport(httpx.Client(transport=answer), clock=FakeClock(), timeout_seconds=30.0)


def get(transport: HttpTransport) -> HttpReply:
    return transport.send("GET", "https://api.example/", headers={}, max_bytes=100, redactor=Redactor())


def test_after_closing_no_request_is_sent() -> None:
    transport = transport_over(MockUpstream(lambda _request: httpx.Response(200, content=b"x")))
    assert get(transport).body == b"x"
    transport.close()
    with pytest.raises(PollAborted):
        get(transport)


@pytest.mark.parametrize(
    "error", [httpx.ReadError("bad file descriptor"), ValueError("read on closed socket"), RuntimeError()]
)
def test_a_request_that_breaks_because_another_thread_closed_the_transport_is_aborted(error: Exception) -> None:
    def close_and_break(_request: httpx.Request) -> httpx.Response:
        transport.close()
        raise error

    transport = transport_over(MockUpstream(close_and_break))
    with pytest.raises(PollAborted):
        get(transport)


@pytest.mark.parametrize(
    ("error", "ours"), [(httpx.ReadError("reset"), NetworkError), (RuntimeError("a bug"), RuntimeError)]
)
def test_while_it_is_open_a_broken_request_is_a_network_error_and_a_bug_stays_one(
    error: Exception, ours: type[Exception]
) -> None:
    def fail(_request: httpx.Request) -> httpx.Response:
        raise error

    with pytest.raises(ours):
        get(transport_over(MockUpstream(fail)))


@pytest.mark.parametrize(
    ("words", "shown"),
    [
        ("407 Proxy Authentication Required", "407 Proxy Authentication Required"),
        ("407 you sent hunter2", "407 [withheld: it repeats a secret]"),
        ("no status", "no status"),
    ],
)
def test_of_a_proxy_s_refusal_the_status_is_shown_whatever_else_it_says(words: str, shown: str) -> None:
    def refuse(_request: httpx.Request) -> httpx.Response:
        raise httpx.ProxyError(words)

    transport = transport_over(MockUpstream(refuse))
    with pytest.raises(NetworkError) as caught:
        transport.send("GET", "https://api.example/", headers={}, max_bytes=1, redactor=Redactor(Secret("hunter2")))
    assert caught.value.message == f"the proxy refused the connection: {shown}"
