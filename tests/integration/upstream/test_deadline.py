"""A request ends in time, whoever sends slowly, the server or a proxy: in the clear, within TLS, within TLS in TLS."""

import contextlib
import socket
import socketserver
import ssl
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import trustme

from exporter.clock import Clock
from exporter.errors import UpstreamTimeout
from exporter.redaction import Redactor
from exporter.upstream.transport import HttpTransport

TIMEOUT_SECONDS = 0.5
DRIPS, DRIP_SECONDS = 400, 0.02
TUNNEL = b"HTTP/1.1 200 OK\r\n\r\n"
# A TLS record that promises 16 KiB of handshake.
RECORD = b"\x16\x03\x03\x40\x00"

Talk = Callable[[socket.socket, "Material"], None]


class Material:
    """The authority that both trust, and the server's side of TLS."""

    def __init__(self, folder: Path) -> None:
        authority = trustme.CA()
        self.ca_file = folder / "ca.pem"
        authority.cert_pem.write_to_path(str(self.ca_file))
        self.context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        authority.issue_cert("localhost", "127.0.0.1", "api.example").configure_cert(self.context)
        self.over = threading.Event()
        self.opened = contextlib.ExitStack()

    def tls(self, connection: socket.socket) -> ssl.SSLSocket:
        """Do the server's handshake."""
        return self.opened.enter_context(self.context.wrap_socket(connection, server_side=True))

    def drip(self, connection: socket.socket, *, start: bytes = b"", again: bytes = b"x") -> None:
        """Send a byte now and then, for far longer than a request may take, then close."""
        connection.sendall(start)
        for _ in range(DRIPS):
            if self.over.wait(DRIP_SECONDS):
                return
            connection.sendall(again)


@pytest.fixture
def material(tmp_path: Path) -> Iterator[Material]:
    """Fresh certificates."""
    material = Material(tmp_path)
    with material.opened:
        yield material


@contextlib.contextmanager
def serving(talk: Talk, material: Material) -> Iterator[int]:
    """Talk to each connection like this; yield the port."""

    class Handler(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            with contextlib.suppress(OSError):
                talk(self.request, material)

    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Handler) as server:
        server.daemon_threads = True
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
        try:
            yield server.server_address[1]
        finally:
            material.over.set()
            server.shutdown()


def connect_drips(connection: socket.socket, material: Material) -> None:
    """A proxy's response to CONNECT never ends."""
    connection.recv(65_536)
    material.drip(connection, start=b"HTTP/1.1 200 OK\r\nX: ")


def handshake_drips(connection: socket.socket, material: Material) -> None:
    """The server's first handshake record never ends."""
    connection.recv(65_536)
    material.drip(connection, start=RECORD)


def head_drips(connection: socket.socket, material: Material) -> None:
    """A response head within TLS never ends."""
    secure = material.tls(connection)
    secure.recv(65_536)
    material.drip(secure, start=b"HTTP/1.1 200 OK\r\nX: ")


def record_drips(connection: socket.socket, material: Material) -> None:
    """One TLS record after the handshake never ends."""
    secure = material.tls(connection)
    secure.recv(65_536)
    raw = material.opened.enter_context(socket.socket(fileno=secure.detach()))
    material.drip(raw, start=b"\x17\x03\x03\x40\x00")


def body_drips(connection: socket.socket, material: Material) -> None:
    """A body within TLS never ends."""
    secure = material.tls(connection)
    secure.recv(65_536)
    material.drip(secure, start=b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", again=b"1\r\nx\r\n")


def interim_drips(connection: socket.socket, material: Material) -> None:
    """Interim responses never end."""
    secure = material.tls(connection)
    secure.recv(65_536)
    material.drip(secure, again=b"HTTP/1.1 103 Early Hints\r\n\r\n")


def silent(connection: socket.socket, material: Material) -> None:
    """Nothing is ever answered."""
    connection.recv(65_536)
    material.over.wait(DRIPS * DRIP_SECONDS)


def through(talk: Talk, *, secure: bool = False) -> Talk:
    """Be a proxy, with TLS of its own if `secure`, whose tunnel leads to a server like this."""

    def tunnel(connection: socket.socket, material: Material) -> None:
        outer = material.tls(connection) if secure else connection
        outer.recv(65_536)
        outer.sendall(TUNNEL)
        talk(outer, material)

    return tunnel


def within_tls(talk: Talk) -> Talk:
    """Do this once the proxy's own TLS is there."""
    return lambda connection, material: talk(material.tls(connection), material)


DIRECT: tuple[Talk, ...] = (silent, handshake_drips, head_drips, record_drips, body_drips, interim_drips)
PROXIED: dict[str, tuple[str, Talk]] = {
    "CONNECT": ("http", connect_drips),
    "silent CONNECT": ("http", silent),
    "handshake in the tunnel": ("http", through(handshake_drips)),
    "head in the tunnel": ("http", through(head_drips)),
    "record in the tunnel": ("http", through(record_drips)),
    "proxy's handshake": ("https", handshake_drips),
    "CONNECT over TLS": ("https", within_tls(connect_drips)),
    "TLS in TLS": ("https", through(handshake_drips, secure=True)),
}


def is_in_time(material: Material, url: str, proxy_url: str | None = None) -> bool:
    transport = HttpTransport.open(
        clock=Clock(), timeout_seconds=TIMEOUT_SECONDS, ca_file=material.ca_file, proxy_url=proxy_url
    )
    try:
        with pytest.raises(UpstreamTimeout):
            transport.send("GET", url, headers={}, max_bytes=1_000, redactor=Redactor())
    finally:
        transport.close()
    # What is slow ends by itself too, much later, and differently.
    return not material.over.is_set()


@pytest.mark.parametrize("talk", DIRECT, ids=lambda talk: talk.__name__)
def test_a_server_that_sends_slowly_does_not_outlast_the_deadline(talk: Talk, material: Material) -> None:
    with serving(talk, material) as port:
        assert is_in_time(material, f"https://localhost:{port}/")


@pytest.mark.parametrize("name", PROXIED)
def test_a_proxy_that_sends_slowly_does_not_outlast_the_deadline(name: str, material: Material) -> None:
    scheme, talk = PROXIED[name]
    with serving(talk, material) as port:
        assert is_in_time(material, "https://api.example/", f"{scheme}://localhost:{port}")


@pytest.mark.parametrize("variable", ["HTTPS_PROXY", "all_proxy"])
def test_a_proxy_of_the_environment_obeys_the_deadline_too(
    variable: str, material: Material, monkeypatch: pytest.MonkeyPatch
) -> None:
    with serving(connect_drips, material) as port:
        monkeypatch.setenv(variable, f"http://127.0.0.1:{port}")
        assert is_in_time(material, "https://api.example/")
