"""Any bytes sent to the running exporter get a response or a close, no error, and scrapes continue."""

import re
import socket
from collections.abc import Iterator, Sequence
from pathlib import Path

import httpx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from partnercenter_simulator import Simulator
from tests.e2e.conftest import Process, start
from tests.support.config import write_config
from tests.support.process import PATIENCE_SECONDS, until

PATHS = (
    "/",
    "/metrics",
    "/-/healthy",
    "/-/ready",
    "/-/reload",
    "/metrics/",
    "//metrics",
    "/metrics?a=b",
    "/%2e%2e/metrics",
    "/%00",
    "/%ff%fe",
    "*",
    "http://elsewhere.example/metrics",
    "elsewhere.example:443",
    "metrics",
    "",
)
METHODS = ("GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS", "TRACE", "CONNECT", "PRI", "get", "X" * 200)
HEADERS = (
    b"Host: x",
    b"Host: a, b",
    b"Host:",
    b"Connection: close",
    b"Connection: keep-alive, Upgrade",
    b"Upgrade: websocket",
    b"Upgrade: h2c",
    b"HTTP2-Settings: AAMAAABkAAQAAP__",
    b"Expect: 100-continue",
    b"Expect: wonders",
    b"Accept: application/openmetrics-text;version=1.0.0;q=nan",
    b"Accept: */*;q=1;q=2, text/plain;;,",
    b"Accept-Encoding: gzip;q=0.0001, *;q=0",
    b"Accept-Encoding: \xff",
    b"Range: bytes=0-",
    b"If-None-Match: *",
    b"Content-Length: 5",
    b"Content-Length: 0",
    b"Content-Length: 99999999999999999999",
    b"Content-Length: -1",
    b"Transfer-Encoding: chunked",
    b"Transfer-Encoding: gzip, chunked",
    b"Authorization: Basic %%%",
    b"Cookie: " + b"a=b; " * 500,
    b"X-Forwarded-For: ' OR 1=1",
    b" folded: line",
    b"no colon",
    b"\xff\xfe: \x00",
)
BODIES = (
    b"",
    b"hello",
    b"5\r\nhello\r\n0\r\n\r\n",
    b"ffffffffffffffff\r\nhello",
    b"-1\r\n",
    b"5;" + b"x" * 300 + b"\r\nhello\r\n",
    b"0\r\nTrailer: a\r\n\r\n",
    b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n",
    b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
    b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
)
TROUBLE = re.compile("Traceback|internal error|library message|server error")
SERVER_ERROR = re.compile(rb"(?:^|\n)HTTP/1\.[01] 5\d\d")
ANSWER = re.compile(rb"HTTP/1\.1 (\d\d\d) ")


def request(method: str, path: str, version: str, headers: Sequence[bytes], body: bytes) -> bytes:
    """Build a request, valid or not."""
    head = f"{method} {path} HTTP/{version}".encode("utf-8", "surrogatepass")
    return b"\r\n".join([head, *headers, b"", body])


line = st.binary(max_size=60).map(lambda value: value.replace(b"\n", b"").replace(b"\r", b""))
requests = st.builds(
    request,
    st.one_of(st.sampled_from(METHODS), st.text(max_size=10)),
    st.one_of(st.sampled_from(PATHS), st.text(max_size=20).map(lambda text: f"/{text}")),
    st.sampled_from(["1.1", "1.1", "1.1", "1.0", "0.9", "2.0", "9", ""]),
    st.lists(st.one_of(st.sampled_from(HEADERS), line), max_size=6).map(lambda some: [HEADERS[0], *some]),
    st.one_of(st.sampled_from(BODIES), st.binary(max_size=100)),
)
conversations = st.one_of(st.lists(requests, min_size=1, max_size=3), st.lists(st.binary(max_size=200), max_size=3))


@pytest.fixture(scope="module")
def exporter(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Process]:
    """A running exporter that has data and may be reloaded; at the end its log must contain no errors."""
    with Simulator(seed=7) as simulator:
        file: Path = write_config(tmp_path_factory.mktemp("surface"), simulator)
        with start(file, "--web.enable-lifecycle") as process:
            process.wait_until_ready()
            yield process
            assert process.stop() == 0
            assert TROUBLE.search(process.stderr) is None


def converse(process: Process, pieces: Sequence[bytes]) -> bytes:
    """Send the chunks one after the other, and return everything received until the server is done."""
    host, port = httpx.URL(process.url).host, httpx.URL(process.url).port
    received = b""
    with socket.create_connection((host, port or 0), timeout=PATIENCE_SECONDS) as client:
        try:
            for piece in pieces:
                client.sendall(piece)
            client.shutdown(socket.SHUT_WR)
            while data := client.recv(65_536):
                received += data
        except TimeoutError:
            raise
        except OSError:  # reset while sending, or before the end of sending: an end is an end
            pass
    return received


@settings(max_examples=200, deadline=None)
@given(pieces=conversations)
def test_whatever_a_client_sends_it_is_answered_or_ended_and_scrapes_go_on(
    exporter: Process, pieces: list[bytes]
) -> None:
    received = converse(exporter, pieces)
    assert not SERVER_ERROR.search(received)
    assert not received or ANSWER.match(received)
    scrape = converse(exporter, [request("GET", "/metrics", "1.1", [b"Host: x"], b"")])
    assert scrape.startswith(b"HTTP/1.1 200 OK\r\n")
    assert b"\npartnercenter_license_usage_ratio{" in scrape
    assert TROUBLE.search(exporter.stderr) is None


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/metrics", 200),
        ("HEAD", "/metrics", 200),
        ("GET", "/", 200),
        ("HEAD", "/", 200),
        ("GET", "/-/healthy", 200),
        ("GET", "/-/ready", 200),
        ("POST", "/-/reload", 200),
        ("PUT", "/-/reload", 200),
        ("GET", "/-/reload", 405),
        ("POST", "/metrics", 405),
        ("DELETE", "/", 405),
        ("OPTIONS", "/metrics", 405),
        ("TRACE", "/-/healthy", 405),
        # No redirect, which would have to trust the client's Host header.
        ("GET", "/metrics/", 404),
        ("GET", "/metrics/x", 404),
        ("GET", "/nothing", 404),
        ("GET", "//", 404),
        ("GET", "/-/healthy/", 404),
        ("GET", "/-", 404),
        ("GET", "/-/", 404),
        ("GET", "/favicon.ico", 404),
        ("GET", "/../../etc/passwd", 404),
        ("GET", "/metrics%0d%0aX:%20y", 404),
        ("GET", "/metrics?collect[]=usage", 200),
    ],
)
def test_each_path_has_its_methods_and_its_status(exporter: Process, method: str, path: str, status: int) -> None:
    def answer() -> bytes:
        return converse(exporter, [request(method, path, "1.1", [b"Host: x"], b"")])

    # Reloads that other tests asked for may be waiting still.
    answered = until(lambda: text if b" 503 " not in (text := answer())[:20] else b"")
    match = ANSWER.match(answered)
    assert match is not None
    assert int(match[1]) == status
    if method == "HEAD":
        assert answered.endswith(b"\r\n\r\n")


def test_a_request_without_keep_alive_and_host_is_answered(exporter: Process) -> None:
    answer = converse(exporter, [b"GET /-/healthy HTTP/1.0\r\n\r\n"])
    assert answer.startswith(b"HTTP/1.1 200 OK\r\n")
    assert b"\r\nconnection: close\r\n" in answer.lower()


def test_no_answer_names_the_server_or_repeats_the_request(exporter: Process) -> None:
    answer = converse(exporter, [request("GET", "/<script>", "1.1", [b"Host: evil.example"], b"")])
    assert b"<script>" not in answer
    assert b"evil.example" not in answer
    assert b"\r\nserver:" not in answer.lower()
