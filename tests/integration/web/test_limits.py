"""Slow, silent and greedy clients: each is ended in time, and none keeps others from an answer."""

import asyncio
import gc
import socket
import ssl
import struct
from contextlib import suppress

import pytest
from starlette.types import Receive, Scope, Send

from exporter.web.toolkit.protocol import BoundedProtocol
from tests.integration.web.conftest import SHORT, ExporterState, Serve, Served
from tests.integration.web.wire import closed, read_answer
from tests.support.logs import LogStream
from tests.support.process import PATIENCE_SECONDS, until

GET = b"GET /-/ready HTTP/1.1\r\nHost: x\r\n\r\n"
PAGE = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"
SCRAPE = b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n"
HEADER_BYTES = 16 * 1024
SMALL = 4_096
OK = b"HTTP/1.1 200 OK\r\n"


def stall(served: Served, request: bytes = SCRAPE) -> socket.socket:
    """Ask for the data and read their beginning only."""
    client = served.connect(receive_buffer=SMALL)
    client.sendall(request)
    assert client.recv(len(OK)) == OK
    return client


@pytest.mark.parametrize(
    "sent", [b"", b"G", b"GET /metrics HTTP/1.1\r\nHost: x\r\nX-Half: "], ids=["nothing", "a letter", "half a header"]
)
def test_a_client_that_sends_no_whole_header_is_closed_in_time(serve: Serve, sent: bytes) -> None:
    served = serve(header_seconds=SHORT)
    client = served.connect()
    client.sendall(sent)
    assert closed(client)
    assert served.get("/-/ready").status_code == 200


def test_half_a_header_after_an_answer_is_closed_in_time(serve: Serve) -> None:
    client = serve(header_seconds=SHORT).connect()
    client.sendall(GET)
    read_answer(client)
    client.sendall(b"GET /met")
    assert closed(client)


def test_a_header_that_drips_is_closed_in_time(serve: Serve) -> None:
    served = serve(header_seconds=SHORT)
    client = served.connect()
    client.sendall(b"GET /metrics HTTP/1.1\r\nX-Long: ")
    client.settimeout(0.02)

    def drip() -> bool:
        try:
            client.sendall(b"a")
            return client.recv(1) == b""
        except TimeoutError:
            return False
        except OSError:
            return True

    until(drip)


def test_a_body_that_drips_after_the_answer_is_closed_in_time(serve: Serve) -> None:
    served = serve(header_seconds=SHORT)
    client = served.connect()
    client.sendall(b"POST /-/ready HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000\r\n\r\n")
    assert read_answer(client).startswith(b"HTTP/1.1 405 ")
    client.settimeout(0.02)

    def drip() -> bool:
        with suppress(TimeoutError):
            try:
                client.sendall(b"a")
                return client.recv(1) == b""
            except ConnectionError:
                return True
        return False

    until(drip)


def test_an_idle_connection_is_kept_for_the_next_scrape_and_closed_in_time(serve: Serve) -> None:
    served = serve(header_seconds=SHORT, keep_alive_seconds=1)
    client = served.connect()
    client.sendall(GET)
    read_answer(client)
    # One that is silent from its beginning measures the time: the wait for a header is over by then.
    assert closed(served.connect())
    client.sendall(GET)
    assert read_answer(client).startswith(OK)
    assert closed(client)


@pytest.mark.parametrize("header", [b"X: " + b"a" * 400_000, b"a: b\r\n" * 70_000], ids=["long", "many"])
@pytest.mark.parametrize("whole", [True, False])
def test_a_header_over_the_limit_is_refused(serve: Serve, header: bytes, whole: bool) -> None:  # noqa: FBT001  a parameter
    served = serve()
    client = served.connect()
    with suppress(ConnectionError):
        client.sendall(b"GET /metrics HTTP/1.1\r\nHost: x\r\n" + header + (b"\r\n\r\n" if whole else b""))
    answer = b""
    with suppress(ConnectionError):
        while piece := client.recv(SMALL):
            answer += piece
    assert not answer.startswith(OK)
    assert served.get("/-/ready").status_code == 200


def test_a_header_below_the_limit_is_accepted(serve: Serve) -> None:
    client = serve().connect()
    client.sendall(b"GET /-/ready HTTP/1.1\r\nHost: x\r\nX: " + b"a" * (HEADER_BYTES - 100) + b"\r\n\r\n")
    assert read_answer(client).startswith(OK)


@pytest.mark.parametrize(
    "request_", [SCRAPE, SCRAPE.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n")], ids=["keep", "close"]
)
def test_a_client_that_reads_no_answer_is_disconnected_in_time(serve: Serve, request_: bytes) -> None:
    served = serve(answer_seconds=SHORT)
    stall(served, request_)
    until(lambda: served.connections == 0)


def test_a_client_that_reads_no_answer_gains_no_time_by_sending_more(serve: Serve) -> None:
    served = serve(answer_seconds=SHORT)
    client = stall(served)
    client.sendall(b"GET /metrics HTTP/1.1\r\n")
    until(lambda: served.connections == 0)


@pytest.mark.parametrize("header", [b"", b"Connection: close\r\n"], ids=["keep", "close"])
def test_an_answer_that_nobody_reads_is_given_up_in_time(serve: Serve, header: bytes) -> None:
    """The last piece fits into the server's own buffer, so that no write ever waits."""

    async def answer(_scope: Scope, _receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"a" * 8_000_000})

    served = serve(answer, keep_alive_seconds=1, closing_seconds=SHORT)
    stall(served, b"GET / HTTP/1.1\r\nHost: x\r\n" + header + b"\r\n")
    until(lambda: served.connections == 0)


def test_a_slow_reader_gets_the_whole_answer(serve: Serve) -> None:
    served = serve()
    client = served.connect(receive_buffer=16 * SMALL)
    client.sendall(SCRAPE)
    answer = read_answer(client)
    # The exporter's own metrics stand at the end, and change.
    whole = served.get().content
    begin = whole.index(b"# HELP partnercenter_api")
    assert answer.partition(b"\r\n\r\n")[2][:begin] == whole[:begin]
    client.sendall(GET)
    assert read_answer(client).startswith(OK)


def test_over_the_cap_the_connection_that_was_idle_longest_is_closed(serve: Serve) -> None:
    served = serve(connections=4)
    clients = [served.connect() for _ in range(4)]
    for client in clients[1:] + clients[:1]:
        client.sendall(GET)
        read_answer(client)
    clients.append(served.connect())
    assert closed(clients.pop(1))
    for client in clients:
        client.sendall(GET)
        assert read_answer(client).startswith(OK)
    assert served.connections == 4


def test_a_burst_of_connections_doesn_t_exceed_the_cap(serve: Serve) -> None:
    served = serve(connections=4)
    clients = [served.connect() for _ in range(100)]
    assert all(closed(client) for client in clients[:96])
    assert served.connections == 4
    clients[-1].sendall(GET)
    assert read_answer(clients[-1]).startswith(OK)


@pytest.mark.parametrize("waiting", [PAGE, b"", PAGE[:5]], ids=["page", "silent", "half"])
def test_whatever_fills_the_places_every_scrape_is_answered(serve: Serve, state: ExporterState, waiting: bytes) -> None:
    served = serve(connections=16)
    clients = [served.connect() for _ in range(40)]
    for client in clients:
        with suppress(ConnectionError):
            client.sendall(waiting)
        assert served.get().status_code == 200
        assert served.connections <= 16
    state.released.set()
    until(lambda: not served.server.server_state.tasks)


def test_answers_that_nobody_takes_do_not_keep_others_out(serve: Serve) -> None:
    """They fit into the server's own buffer, so that no write ever waits, and each request is over."""

    async def answer(_scope: Scope, _receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"a" * 8_000_000})

    served = serve(answer, connections=4)
    clients = [stall(served) for _ in range(8)]
    assert all(closed(client) for client in clients[:4])
    assert served.connections == 4


def test_a_connection_that_can_not_be_served_leaves_its_place(serve: Serve, log_stream: LogStream) -> None:
    class Broken(ssl.SSLContext):
        def wrap_bio(self, *_arguments: object, **_keywords: object) -> ssl.SSLObject:
            raise OSError(5, "Input/output error")

    served = serve(connections=2, tls=Broken(ssl.PROTOCOL_TLS_SERVER))
    assert all(closed(served.connect()) for _ in range(10))
    until(lambda: log_stream.of("server error"))


def test_the_cap_never_closes_a_connection_with_an_answer_in_progress(serve: Serve, state: ExporterState) -> None:
    served = serve(connections=4)
    waiting = served.connect()
    waiting.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
    assert state.asked.acquire(timeout=PATIENCE_SECONDS)
    for _ in range(50):
        served.connect()
    assert served.get("/-/ready").status_code == 200
    state.released.set()
    assert read_answer(waiting).startswith(OK)


def test_if_all_clients_read_slowly_the_slowest_is_disconnected(serve: Serve) -> None:
    served = serve(connections=2)
    first, second = stall(served), stall(served)
    assert served.get("/-/ready").status_code == 200
    assert closed(first)
    assert len(read_answer(second)) > 1_000_000 - len(OK)


def test_pipelined_requests_are_answered_in_their_order(serve: Serve) -> None:
    client = serve().connect()
    paths = ["/-/ready", "/nothing", "/-/healthy", "/metrics"] * 20
    client.sendall(b"".join(f"GET {path} HTTP/1.1\r\nHost: x\r\n\r\n".encode() for path in paths))
    stream = client.makefile("rb")
    for path in paths:
        assert stream.readline().startswith(b"HTTP/1.1 404" if path == "/nothing" else OK)
        headers = dict(line.split(b": ", 1) for line in iter(stream.readline, b"\r\n"))
        stream.read(int(headers[b"content-length"]))


def test_where_many_are_connected_nobody_gets_several_answers_in_a_row(serve: Serve) -> None:
    served = serve(connections=16)
    client, _another = served.connect(), served.connect()
    until(lambda: served.connections >= 2)
    client.sendall(GET * 3)
    answer = b"".join(iter(lambda: client.recv(65_536), b""))
    assert (answer.count(OK), answer.lower().count(b"connection: close")) == (1, 1)
    another = served.connect()
    for _ in range(3):
        another.sendall(GET)
        assert b"connection: close" not in read_answer(another).lower()


@pytest.mark.parametrize("request_", [PAGE, b"POST /-/reload HTTP/1.1\r\nHost: x\r\n\r\n", b"garbage\r\n\r\n"])
def test_where_many_are_connected_surplus_requests_are_turned_away_unless_they_are_scrapes(
    serve: Serve, request_: bytes
) -> None:
    served = serve(connections=16, requests_per_second=0)
    alone = served.get("/-/ready")
    others = [served.connect() for _ in range(4)]
    until(lambda: served.connections >= len(others))
    client = served.connect()
    client.sendall(request_)
    answer = read_answer(client)
    assert answer.startswith(b"HTTP/1.1 503 ")
    assert b"\r\nRetry-After: 1\r\n" in answer
    assert answer.endswith(b"\r\n\r\ntoo many requests at once\n")
    assert closed(client)
    assert [alone.status_code, served.get("/metrics").status_code] == [200, 200]


def test_a_slow_page_does_not_delay_scrapes(serve: Serve, state: ExporterState) -> None:
    served = serve()
    page = served.connect()
    page.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
    assert state.asked.acquire(timeout=PATIENCE_SECONDS)
    assert served.get().status_code == 200
    state.released.set()
    assert read_answer(page).startswith(OK)


def test_a_client_that_ends_its_side_after_its_requests_gets_every_answer(serve: Serve, state: ExporterState) -> None:
    client = serve().connect()
    client.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n" + SCRAPE + GET)
    client.shutdown(socket.SHUT_WR)
    assert state.asked.acquire(timeout=PATIENCE_SECONDS)
    state.released.set()
    answer = b"".join(iter(lambda: client.recv(65_536), b""))
    assert answer.count(OK) == 3
    assert answer.endswith(b"partnercenter-exporter is ready\n")


def test_pages_are_made_one_at_a_time_however_many_ask(serve: Serve, state: ExporterState) -> None:
    served = serve()
    pages = [served.connect() for _ in range(30)]
    for page in pages:
        page.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
    assert state.asked.acquire(timeout=PATIENCE_SECONDS)
    assert served.get().status_code == 200
    assert not state.asked.acquire(blocking=False)
    state.released.set()
    assert all(read_answer(page).startswith(OK) for page in pages)


@pytest.mark.parametrize(
    "sent",
    [
        b"hello\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01",
        b"GET / HTTP/1.1\r\n\r\n",
        b"POST /-/reload HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nrubbish\r\n",
        b"HEAD /metrics HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nrubbish\r\n",
        b"POST /-/reload HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n",
        GET + b"\0\0\0\0",
        b"GET /-/ready HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n",
    ],
    ids=repr,
)
def test_anything_but_http_is_refused_without_a_log_line(serve: Serve, log_stream: LogStream, sent: bytes) -> None:
    served = serve()
    client = served.connect()
    client.sendall(sent)
    client.shutdown(socket.SHUT_WR)
    assert closed(client)
    assert served.get("/-/ready").status_code == 200
    assert [entry for entry in log_stream.entries if entry["level"] != "debug"] == []


def test_garbage_after_a_request_closes_the_connection_without_a_log_line(serve: Serve, log_stream: LogStream) -> None:
    served = serve()
    client = served.connect()
    client.sendall(b"GET /-/ready HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n")
    assert read_answer(client).startswith(OK)
    client.sendall(b"rubbish\r\n")
    assert closed(client)
    assert [entry for entry in log_stream.entries if entry["level"] != "debug"] == []


def test_a_reset_connection_is_freed_from_memory(serve: Serve) -> None:
    served = serve()
    for _ in range(20):
        client = served.connect()
        client.sendall(GET)
        read_answer(client)
        # Closing it now sends a reset.
        client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        client.close()

    def left() -> int:
        gc.collect()
        return sum(isinstance(thing, BoundedProtocol) for thing in gc.get_objects())

    until(lambda: left() == 0)


def test_the_end_doesn_t_wait_for_slow_or_idle_clients(serve: Serve, log_stream: LogStream) -> None:
    served = serve()
    idle = served.connect()
    idle.sendall(GET)
    read_answer(idle)
    clients = [stall(served), served.connect(), idle]
    served.stop()
    assert all(closed(client) for client in clients)
    assert [entry for entry in log_stream.entries if entry["level"] == "error"] == []


def test_an_answer_in_progress_is_finished_before_the_exit(serve: Serve, state: ExporterState) -> None:
    served = serve()
    page = served.connect()
    page.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
    assert state.asked.acquire(timeout=PATIENCE_SECONDS)
    served.server.should_exit = True
    state.released.set()
    assert read_answer(page).startswith(OK)
    assert closed(page)


@pytest.mark.parametrize("name", ["X-Forwarded-For", "X-Forwarded-Proto", "X-Forwarded-Host", "Forwarded", "X-Real-IP"])
def test_forwarded_headers_change_nothing(serve: Serve, name: str) -> None:
    async def show(scope: Scope, _receive: Receive, send: Send) -> None:
        shown = f"{scope['client'][0]} {scope['scheme']} {scope['server'][0]} {scope['root_path']}".encode()
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"%d" % len(shown))]})
        await send({"type": "http.response.body", "body": shown})

    client = serve(show).connect()
    client.sendall(f"GET / HTTP/1.1\r\nHost: x\r\n{name}: for=192.0.2.1, 192.0.2.1, https\r\n".encode())
    client.sendall(f"{name}: 192.0.2.1\r\n{name}: https\r\n\r\n".encode())
    assert read_answer(client).endswith(b"127.0.0.1 http 127.0.0.1 ")


def test_errors_of_one_kind_are_logged_once_in_ten_seconds(serve: Serve, log_stream: LogStream) -> None:
    """asyncio reports an accept that fails for want of descriptors at each try, many times a second."""

    async def trouble(_scope: Scope, _receive: Receive, send: Send) -> None:
        loop = asyncio.get_running_loop()
        for error in [OSError(24, "Too many open files")] * 100 + [OSError(5, "Input/output error")] * 100:
            loop.call_exception_handler({"message": "socket.accept() failed", "exception": error})
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b""})

    served = serve(trouble)
    for _ in range(3):
        assert served.get("/").status_code == 200
    lines = log_stream.of("server error")
    assert [line["error"] for line in lines] == ["Too many open files", "Input/output error"]
    assert [line.get("remedy") for line in lines] == ["raise the open file limit", None]
