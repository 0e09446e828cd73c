"""The connection pool belongs to the transport."""

from collections.abc import Callable, Iterator

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


class BreakingBody(httpx.SyncByteStream):
    """A body that does something else after its beginning."""

    def __init__(self, beginning: bytes, then: Callable[[], object]) -> None:
        self._beginning, self._then = beginning, then

    def __iter__(self) -> Iterator[bytes]:
        yield self._beginning
        self._then()


def breaking(error: Exception) -> Callable[[], object]:
    def then() -> None:
        raise error

    return then


BROKEN = [
    httpx.RemoteProtocolError("peer closed connection without sending complete message body"),
    httpx.ReadError("reset"),
    httpx.ReadTimeout(""),
]


@pytest.mark.parametrize("status", [204, 302, 400, 401, 429, 503])
@pytest.mark.parametrize("error", BROKEN, ids=lambda error: type(error).__name__)
def test_of_an_error_the_status_and_the_headers_hold_where_its_body_breaks_off(status: int, error: Exception) -> None:
    body = BreakingBody(b"Slow d", breaking(error))
    answer = MockUpstream(lambda _request: httpx.Response(status, headers={"Retry-After": "120"}, stream=body))
    reply = get(transport_over(answer))
    assert (reply.status, reply.headers["Retry-After"], reply.body) == (status, "120", b"Slow d")


@pytest.mark.parametrize("coding", ["gzip", "deflate", "br", "gzip, gzip"])
def test_of_an_error_the_status_and_the_headers_hold_where_its_body_can_not_be_decoded(coding: str) -> None:
    headers = {"Retry-After": "120", "Content-Encoding": coding}
    body = BreakingBody(b"not compressed", lambda: None)
    reply = get(transport_over(MockUpstream(lambda _request: httpx.Response(429, headers=headers, stream=body))))
    assert (reply.status, reply.headers["Retry-After"], reply.body) == (429, "120", b"")


@pytest.mark.parametrize("error", BROKEN, ids=lambda error: type(error).__name__)
def test_an_error_that_breaks_off_because_another_thread_closed_the_transport_is_aborted(error: Exception) -> None:
    def close_and_break() -> None:
        transport.close()
        raise error

    body = BreakingBody(b"Slow d", close_and_break)
    transport = transport_over(MockUpstream(lambda _request: httpx.Response(429, stream=body)))
    with pytest.raises(PollAborted):
        get(transport)


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
    assert ("user and password" in caught.value.remedy) == words.startswith("407")
