"""Pages and reloads that take long: who waits for them, who doesn't, and for how long an answer is good."""

import signal
import socket
import struct
from contextlib import ExitStack
from pathlib import Path

import httpx
import pytest

from tests.integration.web.conftest import ExporterState, Serve, Served
from tests.integration.web.wire import read_answer
from tests.support.clock import FakeClock
from tests.support.logs import LogStream
from tests.support.plain_http import NO_TLS
from tests.support.process import PATIENCE_SECONDS, ExporterProcess, until

PAGE = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"
RELOAD = b"POST /-/reload HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n"
OK, BUSY = b"HTTP/1.1 200 OK\r\n", b"HTTP/1.1 503 "
# Besides the one that is being answered.
MOST_WAITING = {PAGE: 32, RELOAD: 4}
REPOSITORY = Path(__file__).parents[3]


@pytest.fixture(autouse=True)
def slow(state: ExporterState) -> None:
    """Let reloads wait for the test too."""
    state.reloads_released.clear()


def ask(served: Served, request: bytes) -> socket.socket:
    """Ask and don't read the answer."""
    client = served.connect()
    client.sendall(request)
    return client


def fill(served: Served, state: ExporterState, request: bytes) -> tuple[socket.socket, list[socket.socket]]:
    """Ask as often as may wait, and once more; return who is being answered, and who waits."""
    first = ask(served, request)
    assert state.asked.acquire(timeout=PATIENCE_SECONDS)
    waiting = [ask(served, request) for _ in range(MOST_WAITING[request])]
    until(lambda: is_full(served, request))
    return first, waiting


def hang_up(client: socket.socket, how: str) -> None:
    """Close the connection: as programs do, which looks as if only nothing more were sent, or with a reset."""
    if how == "reset":
        client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    client.close()


def is_full(served: Served, request: bytes) -> bool:
    """Return whether one more is turned away at once; if not, it hangs up, and leaves its place."""
    client = ask(served, request)
    client.settimeout(0.2)
    try:
        return client.recv(len(BUSY)) == BUSY
    except TimeoutError:
        return False
    finally:
        client.close()


def release(state: ExporterState) -> None:
    """Let everything be answered."""
    state.released.set()
    state.reloads_released.set()


@pytest.mark.parametrize("request_", [PAGE, RELOAD], ids=["page", "reload"])
def test_no_more_wait_than_there_are_places_and_the_others_are_told_when_to_come_back(
    serve: Serve, state: ExporterState, request_: bytes
) -> None:
    served = serve()
    first, waiting = fill(served, state, request_)
    answer = read_answer(ask(served, request_))
    assert answer.startswith(BUSY)
    assert b"\r\nretry-after: 1\r\n" in answer.lower()
    release(state)
    assert all(read_answer(client).startswith(OK) for client in [first, *waiting])
    assert read_answer(ask(served, request_)).startswith(OK)


@pytest.mark.parametrize("how", ["end", "reset"])
@pytest.mark.parametrize("request_", [PAGE, RELOAD], ids=["page", "reload"])
def test_a_client_that_hangs_up_leaves_its_place_to_another(
    serve: Serve, state: ExporterState, request_: bytes, how: str
) -> None:
    served = serve()
    _, waiting = fill(served, state, request_)
    for client in waiting:
        hang_up(client, how)
    later = [ask(served, request_) for _ in waiting]
    until(lambda: is_full(served, request_))
    release(state)
    assert all(read_answer(client).startswith(OK) for client in later)
    # Nothing is done for those who have hung up.
    assert state.reloads in (0, 1 + len(later))


@pytest.mark.parametrize("request_", [PAGE, RELOAD], ids=["page", "reload"])
def test_what_has_begun_is_completed_before_the_next_even_if_its_client_has_hung_up(
    serve: Serve, state: ExporterState, request_: bytes
) -> None:
    served = serve()
    first = ask(served, request_)
    assert state.asked.acquire(timeout=PATIENCE_SECONDS)
    hang_up(first, "reset")
    until(lambda: served.connections == 0)
    second = ask(served, request_)
    assert served.get("/-/ready").status_code == httpx.codes.OK
    assert not state.asked.acquire(blocking=False)
    release(state)
    assert read_answer(second).startswith(OK)


def test_a_page_does_not_wait_for_reloads_nor_a_reload_for_pages(serve: Serve, state: ExporterState) -> None:
    served = serve()
    fill(served, state, RELOAD)
    state.released.set()
    assert served.get("/").status_code == httpx.codes.OK
    state.released.clear()
    state.reloads_released.set()
    until(lambda: state.reloads >= 1 + MOST_WAITING[RELOAD])
    page = ask(served, PAGE)
    assert read_answer(ask(served, RELOAD)).startswith(OK)
    state.released.set()
    assert read_answer(page).startswith(OK)


def test_the_page_is_rendered_once_a_second_however_many_ask(
    serve: Serve, state: ExporterState, clock: FakeClock
) -> None:
    served = serve()
    first, waiting = fill(served, state, PAGE)
    release(state)
    pages = {read_answer(client) for client in [first, *waiting]}
    pages |= {read_answer(ask(served, PAGE)) for _ in range(50)}
    assert len({page.partition(b"\r\n\r\n")[2] for page in pages}) == 1
    assert not state.asked.acquire(blocking=False)
    clock.advance(1)
    assert read_answer(ask(served, PAGE)).startswith(OK)
    assert state.asked.acquire(blocking=False)


def test_after_a_reload_the_page_is_rendered_anew(serve: Serve, state: ExporterState) -> None:
    served = serve()
    page = ask(served, PAGE)
    assert state.asked.acquire(timeout=PATIENCE_SECONDS)
    # This page was begun before the reload, and is completed after it.
    state.reloads_released.set()
    assert read_answer(ask(served, RELOAD)).startswith(OK)
    assert state.asked.acquire(timeout=PATIENCE_SECONDS)
    state.released.set()
    assert read_answer(page).startswith(OK)
    assert served.get("/").status_code == httpx.codes.OK
    assert state.asked.acquire(blocking=False)


@pytest.mark.parametrize("method", ["POST", "PUT"])
@pytest.mark.parametrize(
    "headers",
    [
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
        {"Origin": "null"},
        {"Origin": "http://elsewhere.example"},
        {"Origin": "http://127.0.0.1:1"},
    ],
    ids=str,
)
def test_a_page_of_another_site_can_t_cause_a_reload(
    serve: Serve, state: ExporterState, method: str, headers: dict[str, str]
) -> None:
    release(state)
    url = "http://{}:{}".format(*serve().address)
    answer = httpx.request(method, f"{url}/-/reload", headers=headers, trust_env=False, verify=NO_TLS)
    assert (answer.status_code, answer.text) == (403, "a page of another site can't reload the configuration\n")
    assert state.reloads == 0
    own = {"Sec-Fetch-Site": "same-origin", "Origin": url}
    assert (
        httpx.request(method, f"{url}/-/reload", headers=own, trust_env=False, verify=NO_TLS).status_code
        == httpx.codes.OK
    )
    assert httpx.request(method, f"{url}/-/reload", trust_env=False, verify=NO_TLS).status_code == httpx.codes.OK


def test_an_error_is_answered_with_500_and_the_next_request_is_answered(
    serve: Serve, state: ExporterState, log_stream: LogStream
) -> None:
    release(state)
    state.error = RuntimeError("a bug")
    served = serve()
    assert served.get("/").status_code == httpx.codes.INTERNAL_SERVER_ERROR
    state.error = None
    assert served.get("/").status_code == httpx.codes.OK
    # That is what the fixture `serve` would complain about.
    assert len(log_stream.entries) == 1
    log_stream.truncate(0)


def test_the_server_s_end_waits_for_no_page_and_no_reload(serve: Serve, state: ExporterState) -> None:
    served = serve()
    fill(served, state, PAGE)
    fill(served, state, RELOAD)
    served.stop()


@pytest.mark.parametrize("request_", [PAGE, RELOAD], ids=["page", "reload"])
def test_a_signal_ends_the_process_whatever_a_page_or_a_reload_does(request_: bytes) -> None:
    program = ("-m", "tests.support.hanging")
    with ExporterProcess(program=program, env={"PYTHONPATH": str(REPOSITORY)}) as process, ExitStack() as stack:
        url = httpx.URL(process.url)
        for _ in range(3):
            client = stack.enter_context(socket.create_connection((url.host, url.port or 0)))
            client.sendall(request_)
        process.wait_for_output("hanging")
        assert process.stop(signal.SIGTERM) == 0
        assert process.stderr.splitlines()[1:] == ["hanging", "served"]
