"""Of a host's addresses the first that answers is used, whatever is wrong with the others."""

import math
import signal
import socket
import ssl
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, closing, contextmanager, suppress
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest
import trustme
from hypothesis import given, settings
from hypothesis import strategies as st

from exporter.clock import Clock
from exporter.errors import NetworkError, UpstreamTimeout
from exporter.redaction import Redactor
from exporter.upstream.connecting import Address, Resolver, UselessAddresses, connect_to_first
from exporter.upstream.transport import HttpTransport
from tests.support.addresses import (
    UNSUPPORTED,
    black_hole,
    hanging_up,
    impossible,
    ipv4,
    ipv6,
    refusing,
    refusing_ipv6,
    silent,
    unsupported,
)
from tests.support.https import https_server, tunnelling_proxy
from tests.support.process import PATIENCE_SECONDS, until
from tests.support.proxy import closed_port, silent_server

FAILED = r"refused|unreachable|denied|not supported|no address|Cannot assign"

Kind = Callable[[], AbstractContextManager[Address]]
DEAD: tuple[Kind, ...] = (black_hole, refusing, refusing_ipv6, unsupported, impossible)
DEAD_FIRST: dict[str, Sequence[Kind]] = {kind.__name__: [kind] for kind in DEAD} | {
    "four black holes": [black_hole] * 4,
    "one of each": DEAD,
}


@pytest.fixture(scope="module")
def context(tmp_path_factory: pytest.TempPathFactory) -> ssl.SSLContext:
    authority = trustme.CA()
    authority.cert_pem.write_to_path(str(tmp_path_factory.getbasetemp() / "connecting.pem"))
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert("api.example").configure_cert(context)
    return context


@pytest.fixture
def ca_file(context: ssl.SSLContext, tmp_path_factory: pytest.TempPathFactory) -> Path:
    assert context
    return tmp_path_factory.getbasetemp() / "connecting.pem"


def ask(
    ca_file: Path, resolver: Resolver, *, timeout_seconds: float = PATIENCE_SECONDS, proxy_url: str | None = None
) -> int:
    transport = HttpTransport.open(
        clock=Clock(), timeout_seconds=timeout_seconds, ca_file=ca_file, proxy_url=proxy_url, resolver=resolver
    )
    with closing(transport):
        reply = transport.send("GET", "https://api.example/", headers={}, max_bytes=100, redactor=Redactor())
        return reply.status


@pytest.mark.parametrize("dead", DEAD_FIRST.values(), ids=DEAD_FIRST)
@pytest.mark.parametrize("proxied", [False, True])
def test_dead_addresses_of_a_host_or_a_proxy_don_t_keep_a_request_from_the_living_one(
    context: ssl.SSLContext, ca_file: Path, dead: Sequence[Kind], *, proxied: bool
) -> None:
    with ExitStack() as stack:
        addresses = [stack.enter_context(kind()) for kind in dead]
        port = stack.enter_context(https_server(context))
        proxy, asked = stack.enter_context(tunnelling_proxy(port))
        living = int(proxy.rpartition(":")[2]) if proxied else port
        resolver = Resolver(lambda _host, _port: [*addresses, ipv4(living)])
        assert ask(ca_file, resolver, proxy_url="http://proxy.example:3128" if proxied else None) == 200
        assert len(asked) == int(proxied)


@contextmanager
def of_another_host() -> Iterator[Address]:
    """Yield an address whose certificate is not to be trusted."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    trustme.CA().issue_cert("api.example").configure_cert(context)
    with https_server(context) as port:
        yield ipv4(port)


USELESS: dict[str, Kind] = {
    "silent": silent,
    "hanging up": hanging_up,
    "resetting": partial(hanging_up, reset=True),
    "of another host": of_another_host,
}


@pytest.mark.parametrize("useless", USELESS.values(), ids=USELESS)
@pytest.mark.parametrize("proxied", [False, True])
def test_an_address_with_which_tls_comes_to_nothing_is_tried_last_from_then_on(
    context: ssl.SSLContext, ca_file: Path, useless: Kind, *, proxied: bool
) -> None:
    with ExitStack() as stack:
        address = stack.enter_context(useless())
        port = stack.enter_context(https_server(context))
        if proxied:
            url, _ = stack.enter_context(tunnelling_proxy(address[4][1]))
            address = ipv4(int(url.rpartition(":")[2]))
            url, _ = stack.enter_context(tunnelling_proxy(port))
            port = int(url.rpartition(":")[2])
        transport = HttpTransport.open(
            clock=Clock(),
            timeout_seconds=PATIENCE_SECONDS,
            ca_file=ca_file,
            proxy_url="http://proxy.example:3128" if proxied else None,
            resolver=Resolver(lambda _host, _port: [address, address, ipv4(port)]),
        )
        stack.enter_context(closing(transport))
        impatience = (0.1 * 2**number for number in range(10))  # enough for a slow machine at some time
        until(lambda: answers(replace(transport, timeout_seconds=next(impatience))))
        assert all(answers(transport) for _ in range(3))


def answers(transport: HttpTransport) -> bool:
    try:
        reply = transport.send("GET", "https://api.example/", headers={}, max_bytes=100, redactor=Redactor())
    except (NetworkError, UpstreamTimeout):
        return False
    return reply.status == 200


def test_an_address_is_of_use_again_once_tls_succeeds_there() -> None:
    places = UselessAddresses()
    for number in range(1_000):
        places.note(number, useless=True)
    assert sum(number in places for number in range(1_000)) == 256
    assert 999 in places
    places.note(999, useless=False)
    assert 999 not in places


def test_useless_addresses_come_after_all_others_of_either_family() -> None:
    opened = Opened()
    with closed_port() as port, pytest.raises(OSError, match=FAILED):
        connect_to_first([ipv6(port), ipv4(port), ipv4(port)], opened, forever, last=[ipv6(port)[4]])
    assert opened.families == [socket.AF_INET, socket.AF_INET, socket.AF_INET6]


@pytest.mark.parametrize("first", [socket.AF_INET, socket.AF_INET6])
def test_of_useless_addresses_the_one_that_came_to_nothing_the_longest_ago_is_first(first: int) -> None:
    """Once all of them have failed, none may stand in the way of one that works again."""
    opened, useless = Opened(), UselessAddresses()
    with closed_port() as port:
        addresses = [ipv6(port), ipv4(port)]
        for address in sorted(addresses, key=lambda it: it[0] != first):
            useless.note(address[4], useless=True)
        with pytest.raises(OSError, match=FAILED):
            connect_to_first(addresses, opened, forever, last=useless)
    assert opened.families[0] == first


def test_a_living_address_that_is_only_slow_is_used_if_it_answers_first(context: ssl.SSLContext, ca_file: Path) -> None:
    with https_server(context) as port, black_hole() as hole:
        assert ask(ca_file, Resolver(lambda _host, _port: [ipv4(port), hole, hole])) == 200


def test_a_host_with_black_holes_only_ends_with_the_deadline(ca_file: Path) -> None:
    with black_hole() as hole, pytest.raises(UpstreamTimeout):
        ask(ca_file, Resolver(lambda _host, _port: [hole, hole]), timeout_seconds=0.4)


@pytest.mark.parametrize(
    ("addresses", "words"),
    [
        ([], "the host has no address"),
        ([UNSUPPORTED], "not supported"),
        ([ipv4(9, "255.255.255.255")], "denied|unreachable"),
    ],
)
def test_a_host_without_a_usable_address_is_a_network_error(
    ca_file: Path, addresses: Sequence[Address], words: str
) -> None:
    with pytest.raises(NetworkError, match=words):
        ask(ca_file, Resolver(lambda _host, _port: addresses))


class Opened:
    """Opens sockets and keeps them."""

    def __init__(self) -> None:
        self.sockets: list[socket.socket] = []
        self.families: list[int] = []

    def __call__(self, family: int, kind: int, protocol: int) -> socket.socket:
        self.families.append(family)
        self.sockets.append(socket.socket(family, kind, protocol))
        return self.sockets[-1]


def forever() -> float:
    return math.inf


def test_families_take_turns() -> None:
    opened = Opened()
    with closed_port() as port, pytest.raises(OSError, match=FAILED):
        connect_to_first([ipv6(port), ipv6(port), ipv6(port), ipv4(port), ipv4(port)], opened, forever)
    assert opened.families == [socket.AF_INET6, socket.AF_INET] * 2 + [socket.AF_INET6]


def test_what_did_not_answer_is_closed() -> None:
    opened = Opened()
    with silent_server() as listener, black_hole() as hole, refusing() as dead:
        addresses = [hole, dead, hole, ipv4(listener.getsockname()[1]), hole]
        with connect_to_first(addresses, opened, forever) as connection:
            assert connection.getpeername() == listener.getsockname()
            assert [one for one in opened.sockets if one.fileno() != -1] == [connection]


def test_at_the_deadline_everything_is_closed() -> None:
    opened = Opened()
    calls = iter([1.0, 0.01])
    with black_hole() as hole, pytest.raises(TimeoutError):
        connect_to_first([hole, hole], opened, lambda: next(calls, 0.0) or throw(TimeoutError()))
    assert len(opened.sockets) == 2
    assert all(one.fileno() == -1 for one in opened.sockets)


def throw(error: Exception) -> float:
    raise error


@settings(max_examples=20)
@given(st.lists(st.sampled_from(["dead", "dead6", "unsupported", "impossible", "living"]), max_size=8))
def test_it_connects_whenever_any_address_lives(kinds: list[str]) -> None:
    with silent_server() as listener, refusing() as dead, refusing_ipv6() as dead6, impossible() as never:
        place = listener.getsockname()
        of_kind = {"dead": dead, "dead6": dead6, "unsupported": UNSUPPORTED, "impossible": never}
        addresses = [of_kind.get(kind, ipv4(place[1])) for kind in kinds]
        if "living" in kinds:
            with connect_to_first(addresses, socket.socket, forever) as connection:
                assert connection.getpeername() == place
        else:
            with pytest.raises(OSError, match=FAILED):
                connect_to_first(addresses, socket.socket, forever)


class Stuck:
    """A resolver of the system that doesn't answer until it is released."""

    def __init__(self, answer: Callable[[], Sequence[Address]]) -> None:
        self.released = threading.Event()
        self.threads: list[threading.Thread] = []
        self._answer = answer

    def __call__(self, host: str, port: int) -> Sequence[Address]:
        assert (host, port) == ("api.example", 443)
        self.threads.append(threading.current_thread())
        self.released.wait()
        return self._answer()


def test_a_name_that_is_not_resolved_in_time_ends_the_request_and_not_the_next(
    context: ssl.SSLContext, ca_file: Path
) -> None:
    with https_server(context) as port:
        stuck = Stuck(lambda: [ipv4(port)])
        resolver = Resolver(stuck)
        with pytest.raises(TimeoutError):
            resolver.addresses("api.example", 443, lambda: 0.01)
        for _ in range(4):
            with pytest.raises(UpstreamTimeout):
                ask(ca_file, resolver, timeout_seconds=0.1)
        [thread] = stuck.threads
        assert thread.daemon
        stuck.released.set()
        thread.join(PATIENCE_SECONDS)
        assert ask(ca_file, resolver) == 200
        assert len(stuck.threads) == 2


def test_a_lookup_that_never_ends_is_not_waited_for_for_ever(context: ssl.SSLContext, ca_file: Path) -> None:
    now = 1_000.0
    with https_server(context) as port:
        stuck = Stuck(lambda: [ipv4(port)])
        resolver = Resolver(stuck, monotonic=lambda: now)
        for later in (0.0, 299.0, 2.0, 299.0):
            now += later
            with pytest.raises(TimeoutError):
                resolver.addresses("api.example", 443, lambda: 0.01)
        assert len(stuck.threads) == 2
        stuck.released.set()
        for thread in stuck.threads:
            thread.join(PATIENCE_SECONDS)
        assert ask(ca_file, resolver) == 200


@pytest.mark.parametrize("error", [socket.gaierror(-2, "Name or service not known"), UnicodeError("label too long")])
def test_a_name_that_can_not_be_resolved_is_a_network_error(ca_file: Path, error: Exception) -> None:
    resolver = Resolver(lambda _host, _port: throw(error))  # type: ignore[arg-type, return-value]
    for _ in range(2):
        with pytest.raises(NetworkError):
            ask(ca_file, resolver)


PROGRAM = """
import sys, time
from exporter.clock import Clock
from exporter.errors import UpstreamTimeout
from exporter.redaction import Redactor
from exporter.upstream.connecting import Resolver
from exporter.upstream.transport import HttpTransport
def never(host, port):
    print("asking", flush=True)
    time.sleep(86_400)
resolver = Resolver(never)
transport = HttpTransport.open(clock=Clock(), timeout_seconds=float(sys.argv[1]), resolver=resolver)
try:
    transport.send("GET", "https://api.example/", headers={}, max_bytes=1, redactor=Redactor())
except UpstreamTimeout:
    print("in time")
except KeyboardInterrupt:
    print("interrupted")
"""


@pytest.mark.parametrize(("seconds", "said"), [("0.1", "in time"), ("86400", "interrupted")])
def test_no_exit_waits_for_a_name_to_be_resolved(seconds: str, said: str) -> None:
    command = [sys.executable, "-c", PROGRAM, seconds]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)  # noqa: S603  our own
    with process:
        assert process.stdout
        if said == "interrupted":
            assert process.stdout.readline() == "asking\n"
            process.send_signal(signal.SIGINT)
        output, _ = process.communicate(timeout=PATIENCE_SECONDS)
    assert output.splitlines()[-1] == said
    assert process.returncode == 0


def test_nine_hanging_partners_of_ten_leave_the_tenth_its_connections(context: ssl.SSLContext, ca_file: Path) -> None:
    with ExitStack() as stack:
        good = stack.enter_context(https_server(context))
        silent = stack.enter_context(silent_server(backlog=512))
        silent.settimeout(PATIENCE_SECONDS)
        ports = {"api.example": good, "hung.example": silent.getsockname()[1]}
        resolver = Resolver(lambda host, _port: [ipv4(ports[host])])
        transport = HttpTransport.open(
            clock=Clock(), timeout_seconds=PATIENCE_SECONDS, ca_file=ca_file, resolver=resolver
        )
        stack.enter_context(closing(transport))

        def hang() -> None:
            with suppress(Exception):
                transport.send("GET", "https://hung.example/", headers={}, max_bytes=1, redactor=Redactor())

        # Each of nine partners with as many requests as never happen at once: more than httpx' own limit.
        threads = [threading.Thread(target=hang, daemon=True) for _ in range(9 * 25)]
        for thread in threads:
            thread.start()
        for _ in threads:
            stack.enter_context(silent.accept()[0])
        for _ in range(10):
            reply = transport.send("GET", "https://api.example/", headers={}, max_bytes=99, redactor=Redactor())
            assert reply.status == 200
