"""One deadline for everything that a request waits for: connecting, CONNECT, TLS, the head and the body.

httpx's time-outs begin again with every byte, so that a response sent slowly enough never ends. Here the sockets
themselves know when their thread's request must be over, also those below TLS and below TLS within TLS.
"""

import base64
import math
import socket
import ssl
import threading
import time
from collections.abc import Iterable, Iterator
from typing import Any

import httpcore
import httpx
from httpcore._backends.sync import SyncStream  # its own backend returns it, and there is no public name

from exporter.redaction import Secret
from exporter.upstream.connecting import Resolver, connect_to_first

_this_thread = threading.local()


def start_request(timeout_seconds: float) -> None:
    """Give this thread's request until then; whatever waits longer raises TimeoutError."""
    _this_thread.request_ends_at = time.monotonic() + timeout_seconds


def _time_left() -> float:
    """Return the seconds until this thread's request must be over; raises TimeoutError if it is."""
    left: float = getattr(_this_thread, "request_ends_at", math.inf) - time.monotonic()
    if left <= 0:
        raise TimeoutError
    return left


class _Socket(socket.socket):
    """A socket whose time-outs end with the request at the latest."""

    def settimeout(self, value: float | None) -> None:
        """Set the time-out of the next operations, which httpcore does before almost each."""
        left = _time_left()
        super().settimeout(left if left < (math.inf if value is None else value) else value)

    def recv(self, buflen: int, flags: int = 0) -> bytes:
        """Read as usual."""
        self.settimeout(self.gettimeout())
        return super().recv(buflen, flags)

    def send(self, data: Any, flags: int = 0) -> int:
        """Write as usual."""
        self.settimeout(self.gettimeout())
        return super().send(data, flags)


class TlsSocket(_Socket, ssl.SSLSocket):  # type: ignore[misc]  # the two differ in a default
    """The same with TLS."""


class Backend(httpcore.NetworkBackend):
    """Connects as httpcore's own, with these sockets, and one deadline for name resolution and all addresses."""

    def __init__(self, resolver: Resolver) -> None:
        self._resolver = resolver

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,  # noqa: ARG002  the request's deadline comes sooner
        local_address: str | None = None,  # noqa: ARG002  never given here
        socket_options: Iterable[Any] | None = None,  # noqa: ARG002  likewise
    ) -> httpcore.NetworkStream:
        """Return a connection to the first address of a host that answers."""
        try:
            addresses = self._resolver.addresses(host, port, _time_left)
            connection = connect_to_first(addresses, _Socket, _time_left)
        except TimeoutError as error:
            raise httpcore.ConnectTimeout from error
        except OSError as error:
            raise httpcore.ConnectError(str(error)) from error
        connection.setblocking(True)  # noqa: FBT003  the standard library's signature
        return SyncStream(connection)


def bind_to_deadlines(client: httpx.Client, context: ssl.SSLContext, resolver: Resolver) -> tuple[Secret, ...]:
    """Let a client's connections, direct and through proxies, obey the deadline, and TLS with proxies trust `context`.

    Return what the proxies are sent as credentials. httpx has no way to pass in the one or to read the other.
    """
    context.sslsocket_class = TlsSocket
    credentials: list[Secret] = []
    for transport in (client._transport, *client._mounts.values()):  # noqa: SLF001
        if isinstance(transport, httpx.HTTPTransport):
            pool = transport._pool  # noqa: SLF001
            pool._network_backend = Backend(resolver)  # noqa: SLF001
            if isinstance(pool, httpcore.HTTPProxy):
                credentials += _credentials(pool)
                if pool._proxy_url.scheme == b"https":  # noqa: SLF001
                    pool._proxy_ssl_context = context  # noqa: SLF001
    return tuple(credentials)


def _credentials(pool: httpcore.HTTPProxy) -> Iterator[Secret]:
    """Yield the password of a proxy, and the header that it is sent in."""
    for name, value in pool._proxy_headers:  # noqa: SLF001
        if name.lower() == b"proxy-authorization":
            _, _, encoded = value.partition(b" ")
            yield Secret(encoded.decode("ascii"))
            yield Secret(base64.b64decode(encoded).partition(b":")[2].decode("utf-8", "replace"))
