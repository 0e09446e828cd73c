"""Where no connection comes about, the message says whose host it was, at which address, and what to do."""

import socket
import ssl
from collections.abc import Iterator
from contextlib import ExitStack, closing
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.serialization import Encoding
from hypothesis import given
from hypothesis import strategies as st

from exporter.clock import Clock
from exporter.errors import NetworkError, PollError, UpstreamTimeout
from exporter.redaction import Redactor, Secret
from exporter.upstream.certificates import detail_of
from exporter.upstream.connecting import Address, Resolver, system_lookup
from exporter.upstream.transport import HttpTransport
from tests.support.addresses import black_hole, ipv4, ipv6, silent
from tests.support.chains import Issued, Odd, authority, server_certificate, serving_context
from tests.support.https import https_server, listening, tunnelling_proxy
from tests.support.proxy import closed_port

PASSWORD = "xK9vQ2rT7wZ4"
LONG = f"{'a-very-long-name-of-a-host' * 2}.corp.example"
ROOT = authority("the trusted CA")
STRANGER = authority("Contoso Inspection CA")
INTERMEDIATE = authority("an intermediate", STRANGER)


@dataclass
class World:
    """Names, and who answers there."""

    ca_file: Path
    stack: ExitStack
    names: dict[str, list[Address] | OSError] = field(default_factory=dict)

    def lookup(self, host: str, port: int) -> list[Address]:
        found = self.names.get(host)
        if isinstance(found, OSError):
            raise found
        return list(system_lookup(host, port)) if found is None else found

    def ask(
        self, host: str = "api.example", *, proxy: str | None = None, timeout_seconds: float = 60.0, port: int = 443
    ) -> PollError:
        """Return how a request fails."""
        transport = HttpTransport.open(
            clock=Clock(),
            timeout_seconds=timeout_seconds,
            ca_file=self.ca_file,
            proxy_url=proxy,
            resolver=Resolver(self.lookup),
        )
        redactor = transport.redactor(Secret("the-access-token"))
        with closing(transport), pytest.raises(PollError) as caught:
            transport.send("GET", f"https://{host}:{port}/", headers={}, max_bytes=100, redactor=redactor)
        assert PASSWORD not in f"{caught.value.message} {caught.value.remedy}"
        return caught.value

    def tls(self, leaf: Issued, *sent: Issued) -> int:
        return self.stack.enter_context(https_server(serving_context(leaf, *sent)))


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    file = tmp_path / "ca.pem"
    file.write_bytes(ROOT.pem)
    with ExitStack() as stack:
        yield World(file, stack)


PROXY = f"http://user:{PASSWORD}@proxy.example:3128"
PROXIED = pytest.mark.parametrize("proxy", [None, PROXY, PROXY.replace("http:", "https:")], ids=["", "http", "https"])


def remedied(error: PollError, *words: str) -> bool:
    return all(word in error.remedy for word in words)


@PROXIED
@pytest.mark.parametrize(
    ("failure", "words", "remedy"),
    [
        (socket.gaierror(socket.EAI_NONAME, "Name or service not known"), "Name or service not known", "spelling"),
        (socket.gaierror(socket.EAI_AGAIN, "Temporary failure"), "Temporary failure", "/etc/resolv.conf"),
    ],
    ids=["unknown", "no answer"],
)
def test_a_name_that_can_not_be_resolved(
    world: World, proxy: str | None, failure: OSError, words: str, remedy: str
) -> None:
    host, whose = ("proxy.example", "the proxy's") if proxy else ("api.example", "the server's")
    world.names[host] = failure
    error = world.ask(proxy=proxy)
    assert error.message == f"can't resolve {whose} host name {host}: {words}"
    assert remedied(error, remedy, "http.proxy_url" if proxy else "`api_url`")
    assert isinstance(error, NetworkError)


def test_a_real_name_that_no_one_has_and_one_that_is_none(world: World) -> None:
    assert world.ask("no-such-host.invalid").message.startswith(
        "can't resolve the server's host name no-such-host.invalid: "
    )
    assert world.ask("api..example").message == (
        "can't resolve the server's host name api..example: it is not a host name"
    )


def test_a_long_name_is_no_token(world: World) -> None:
    world.names[LONG] = socket.gaierror(socket.EAI_NONAME, "Name or service not known")
    assert LONG in world.ask(LONG).message


def test_a_name_that_repeats_a_secret_is_withheld(world: World) -> None:
    world.names["the-access-token.example"] = socket.gaierror(socket.EAI_NONAME, "Name or service not known")
    assert "the-access-token" not in world.ask("the-access-token.example").message


@PROXIED
def test_addresses_that_refuse(world: World, proxy: str | None) -> None:
    who = "the proxy proxy.example port 3128" if proxy else "the server api.example port 443"
    with closed_port() as port, closed_port() as other:
        addresses = [ipv4(port), ipv4(other, "127.0.0.2")]
        world.names["proxy.example" if proxy else "api.example"] = addresses
        error = world.ask(proxy=proxy)
        assert error.message == f"can't connect to {who} (127.0.0.1, 127.0.0.2): Connection refused"
        assert remedied(error, "the proxy runs" if proxy else "`api_url`")


def test_addresses_that_fail_in_different_ways(world: World) -> None:
    with closed_port() as port:
        world.names["api.example"] = [ipv4(port), ipv4(9, "255.255.255.255")]
        message = world.ask().message
    assert message.startswith("can't connect to the server api.example port 443 (127.0.0.1: Connection refused, 255.")


def test_no_address_at_all(world: World) -> None:
    world.names["api.example"] = []
    assert world.ask().message == (
        "can't connect to the server api.example port 443 (no address): the host has no address"
    )


@PROXIED
def test_addresses_that_do_not_answer(world: World, proxy: str | None) -> None:
    who = "the proxy proxy.example port 3128" if proxy else "the server api.example port 443"
    with black_hole() as hole:
        world.names["proxy.example" if proxy else "api.example"] = [hole]
        error = world.ask(proxy=proxy, timeout_seconds=0.3)
    assert error.message == f"no connection to {who} (127.0.0.1) within 0.3 s"
    assert isinstance(error, UpstreamTimeout)
    assert remedied(error, "poll.timeout sets the limit", "the proxy runs" if proxy else "firewall")


BOTH = ("api.example", "proxy.example")


@dataclass(frozen=True)
class Refused:
    """A certificate, and what is said of it."""

    odd: Odd
    issuer: Issued | None
    words: str
    remedy: str


CERTIFICATES = {
    "expired": Refused(Odd(ends_in_days=-0.5, names=BOTH), ROOT, "has expired, it was valid until 20", "clock"),
    "early": Refused(Odd(begins_in_days=0.5, names=BOTH), ROOT, "not yet valid, it is valid from 20", "clock"),
    "name": Refused(
        Odd(names=["a.example", "b.example"]), ROOT, "it is for a.example, b.example", "certificate is for"
    ),
    "issuer": Refused(Odd(names=BOTH), STRANGER, "its issuer is CN=Contoso Inspection CA", "http.ca_file"),
    "chain": Refused(Odd(names=BOTH), INTERMEDIATE, "its issuer is CN=Contoso Inspection CA", "http.ca_file"),
    "self-signed": Refused(Odd(names=BOTH), None, "its issuer is CN=server", "http.ca_file"),
}


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
@pytest.mark.parametrize("who", ["server", "server through a proxy", "server through an https proxy", "https proxy"])
@pytest.mark.parametrize("refused", CERTIFICATES.values(), ids=CERTIFICATES)
def test_a_certificate_that_is_refused(world: World, version: ssl.TLSVersion, who: str, refused: Refused) -> None:
    leaf = server_certificate(refused.issuer, refused.odd)
    context = serving_context(leaf, *([INTERMEDIATE] if refused.issuer is INTERMEDIATE else []))
    context.maximum_version = version
    port = world.stack.enter_context(https_server(context))
    proxy, who_is = None, "the server's certificate is not trusted: api.example (127.0.0.1 port 443): "
    world.names["api.example"] = world.names["proxy.example"] = [ipv4(port)]
    if who != "server":
        proxy = PROXY if who == "server through a proxy" else PROXY.replace("http:", "https:")
        who_is = "the proxy's certificate is not trusted: proxy.example (127.0.0.1 port 3128): "
    if "through" in who:
        own = serving_context(server_certificate(ROOT, Odd(names=BOTH))) if "https" in who else None
        url, _ = world.stack.enter_context(tunnelling_proxy(port, context=own))
        world.names["proxy.example"] = [ipv4(int(url.rpartition(":")[2]))]
        at = "through the proxy proxy.example, 127.0.0.1 port 3128"
        who_is = f"the server's certificate is not trusted: api.example ({at}): "
    error = world.ask(proxy=proxy)
    assert error.message.startswith(who_is)
    assert refused.words in error.message
    assert refused.remedy in error.remedy
    assert ("http.ca_file" in error.remedy) == (refused.remedy == "http.ca_file")


def test_a_server_without_tls_and_a_proxy_without(world: World) -> None:
    _, port = world.stack.enter_context(listening(lambda connection: connection.sendall(b"HTTP/1.1 400 Bad\r\n\r\n")))
    world.names["api.example"] = world.names["proxy.example"] = [ipv4(port)]
    error = world.ask()
    assert error.message.startswith("TLS with api.example (127.0.0.1 port 443) failed: ")
    assert remedied(error, "check which server answers at this address and port")
    error = world.ask(proxy=PROXY.replace("http:", "https:"))
    assert error.message.startswith("TLS with proxy.example (127.0.0.1 port 3128) failed: ")
    assert remedied(error, "write http:// in http.proxy_url")


def test_a_handshake_that_takes_too_long(world: World) -> None:
    with silent() as address:
        world.names["api.example"] = [address]
        error = world.ask(timeout_seconds=0.3)
    assert error.message == "no TLS handshake with api.example (127.0.0.1 port 443) within 0.3 s"
    assert isinstance(error, UpstreamTimeout)


def test_an_ipv6_address_is_named(world: World) -> None:
    with closed_port() as port:
        world.names["api.example"] = [ipv6(port)]
        assert "api.example port 443 (::1)" in world.ask().message


@given(st.binary(max_size=200), st.sampled_from([2, 9, 10, 18, 20, 62, 64]))
def test_of_a_message_that_is_no_certificate_nothing_is_said(sent: bytes, code: int) -> None:
    assert detail_of(sent, code, Redactor()) == ""


def test_of_a_certificate_without_names_it_is_said() -> None:
    leaf = server_certificate(ROOT, Odd(without=["names"]))
    der = leaf.certificate.public_bytes(Encoding.DER)
    entry = len(der).to_bytes(3, "big") + der
    message = b"\x0b" + (len(entry) + 3).to_bytes(3, "big") + len(entry).to_bytes(3, "big") + entry
    assert detail_of(message, 62, Redactor()) == ", it is for no host name"
