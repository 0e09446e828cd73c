"""asyncio's TLS, made to count, to say why it refuses, and to leave no garbage."""

import asyncio
import ssl
from asyncio.sslproto import SSLProtocol

from exporter.web.toolkit.places import Stage
from exporter.web.toolkit.protocol import BoundedProtocol

_PLAIN_HTTP = b"Client sent an HTTP request to an HTTPS server.\n"
_PLAIN_HTTP_ANSWER = b"HTTP/1.0 400 Bad Request\r\nContent-Length: %d\r\n\r\n%s" % (len(_PLAIN_HTTP), _PLAIN_HTTP)


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
    """

    outgoing: ssl.MemoryBIO

    def do_handshake(self) -> None:
        """Continue the handshake; raises ssl.SSLWantReadError until it is complete."""
        try:
            super().do_handshake()
        except (ssl.SSLWantReadError, ssl.SSLWantWriteError):
            raise
        except ssl.SSLError as error:
            if error.reason == "HTTP_REQUEST":
                self.outgoing.write(_PLAIN_HTTP_ANSWER)
            raise ssl.SSLWantReadError(error.errno, str(error)) from error
