"""asyncio's TLS, made to count, to say why it refuses, and to leave no garbage."""

import asyncio
import ssl
from asyncio.sslproto import SSLProtocol
from collections.abc import Iterable, Iterator
from ipaddress import IPv6Address, ip_address
from typing import cast

from exporter.web.toolkit.places import Stage
from exporter.web.toolkit.protocol import BoundedProtocol

_PLAIN_HTTP = b"Client sent an HTTP request to an HTTPS server.\n"
_PLAIN_HTTP_ANSWER = b"HTTP/1.0 400 Bad Request\r\nContent-Length: %d\r\n\r\n%s" % (len(_PLAIN_HTTP), _PLAIN_HTTP)
# As Python names them.
_SAN_KINDS = ("DNS", "email", "IP Address", "URI")


class TlsLayer(SSLProtocol):
    """TLS between a socket and a connection, which learns of the socket before the handshake.

    Nobody waits for the handshake: asyncio's own acceptance does, and if it fails, the exception, its traceback and
    the one who waits keep each other, and all of the connection, in memory until the garbage collector runs.
    """

    # asyncio buffers 256 KiB a connection: 400 half-open ones take 26 MB instead of 121.
    max_size = 16 * 1024

    def __init__(self, connection: BoundedProtocol, context: ssl.SSLContext) -> None:
        super().__init__(
            asyncio.get_running_loop(),
            connection,
            context,
            None,  # type: ignore[arg-type]  # asyncio checks for None; typeshed doesn't know
            server_side=True,
            ssl_handshake_timeout=connection.limits.handshake_seconds,  # type: ignore[arg-type]  # a float, as documented
            ssl_shutdown_timeout=connection.limits.closing_seconds,
        )
        self._connection: BoundedProtocol | None = connection

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # it is always one
        """Begin the handshake."""
        if self._connection is not None:
            self._connection.socket_opened(transport, Stage.HANDSHAKE)
        super().connection_made(transport)

    def connection_lost(self, exc: BaseException | None) -> None:
        """Free what asyncio keeps."""
        super().connection_lost(exc)
        if self._connection is not None:
            self._connection.socket_closed()
            self._connection = None


class Handshake(ssl.SSLObject):
    """A handshake whose refusal reaches the client: asyncio would drop OpenSSL's alert.

    As long as OpenSSL "wants more", asyncio sends what is ready, until the client or the deadline closes.
    With `allowed_sans`, the connection ends unless the client's certificate, which OpenSSL has verified, has one.
    """

    outgoing: ssl.MemoryBIO
    allowed_sans: frozenset[str] = frozenset()

    def do_handshake(self) -> None:
        """Continue the handshake; raises ssl.SSLWantReadError until it is complete, ssl.SSLError if it is refused."""
        self._shake_hands()
        if self.allowed_sans and self.allowed_sans.isdisjoint(_sans_of(self)):
            message = "client certificate refused: none of its SANs is in client_allowed_sans"
            asyncio.get_running_loop().call_exception_handler({"message": message})
            raise ssl.SSLError(message)

    def _shake_hands(self) -> None:
        try:
            super().do_handshake()
        except (ssl.SSLWantReadError, ssl.SSLWantWriteError):
            raise
        except ssl.SSLError as error:
            if error.reason == "HTTP_REQUEST":
                self.outgoing.write(_PLAIN_HTTP_ANSWER)
            raise ssl.SSLWantReadError(error.errno, str(error)) from error


def canonical_san(text: str) -> str:
    """Return an IP address as Go writes it, and any other name as it is."""
    try:
        address = ip_address(text)
    except ValueError:
        return text
    return str((address.ipv4_mapped if isinstance(address, IPv6Address) else None) or address)


def _sans_of(connection: ssl.SSLObject) -> Iterator[str]:
    """Yield the client's names: DNS, email, IP and URI, as exporter-toolkit compares them, and no common name."""
    try:
        certificate = connection.getpeercert() or {}
    except ValueError:  # a name that is no text
        return
    for kind, name in cast("Iterable[tuple[str, str]]", certificate.get("subjectAltName", ())):
        if kind in _SAN_KINDS:
            yield canonical_san(name) if kind == "IP Address" else name
