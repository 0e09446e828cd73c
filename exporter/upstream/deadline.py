"""One deadline for everything that a request waits for: connecting, CONNECT, TLS, the head and the body.

httpx's time-outs begin again with every byte, so that a response sent slowly enough never ends. Here the sockets
themselves know when their thread's request must be over, also those below TLS and below TLS within TLS.
"""

import math
import socket
import ssl
import threading
import time
from collections.abc import Iterable
from dataclasses import replace
from typing import Any

import httpcore
from httpcore._backends.sync import SyncStream  # its own backend returns it, and there is no public name

from exporter.upstream.connecting import NotConnectedError, Resolver, UselessAddresses, connect_to_first
from exporter.upstream.failures import Peer, TlsFailed, Unconnected, Unresolved, for_httpx

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


_CERTIFICATE = 11  # RFC 8446, 4: a HandshakeType


def note_certificate(_connection: Any, direction: str, _version: Any, _kind: Any, message: int, data: bytes) -> None:
    """Keep the Certificate message of this thread's handshake: one that is refused can't be asked for later."""
    if message == _CERTIFICATE and direction == "read":
        _this_thread.certificate = data


class _Socket(socket.socket):
    """A socket whose time-outs end with the request at the latest. `place` is what it was to connect to."""

    place: Any = None

    def connect_ex(self, address: Any) -> int:
        """Connect as usual."""
        self.place = address
        return super().connect_ex(address)

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


class _Stream(SyncStream):
    """A connection that notes whether its address is of use: for this request it is too late to try another."""

    def __init__(self, connection: _Socket, place: Any, peer: Peer, useless: UselessAddresses) -> None:
        super().__init__(connection)
        self._place = place
        self._peer = peer
        self._useless = useless

    def start_tls(
        self, ssl_context: ssl.SSLContext, server_hostname: str | None = None, timeout: float | None = None
    ) -> httpcore.NetworkStream:
        """Return a connection with TLS."""
        _this_thread.certificate = b""
        try:
            stream = super().start_tls(ssl_context, server_hostname, timeout)
        except (httpcore.ConnectError, httpcore.ConnectTimeout) as error:
            self._useless.note(self._place, useless=True)
            cause, sent = error.__cause__ or error, _this_thread.certificate
            host = server_hostname or self._peer.host
            raise for_httpx(TlsFailed(self._peer, cause, host, self._place, sent)) from error
        self._useless.note(self._place, useless=False)
        if not self._peer.speaks_tls:
            return stream
        # What comes next is the server's TLS within the proxy's.
        within = replace(self._peer, speaks_tls=False)
        return _Stream(stream.get_extra_info("socket"), self._place, within, self._useless)


class Backend(httpcore.NetworkBackend):
    """Connects as httpcore's own, with these sockets, and one deadline for name resolution and all addresses.

    `proxy_speaks_tls` is None where it connects to servers themselves.
    """

    def __init__(self, resolver: Resolver, useless: UselessAddresses, *, proxy_speaks_tls: bool | None = None) -> None:
        self._resolver = resolver
        self._useless = useless
        self._proxy_speaks_tls = proxy_speaks_tls

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,  # noqa: ARG002  the request's deadline comes sooner
        local_address: str | None = None,  # noqa: ARG002  never given here
        socket_options: Iterable[Any] | None = None,  # noqa: ARG002  likewise
    ) -> httpcore.NetworkStream:
        """Return a connection to the first address of a host that answers."""
        peer = Peer(host, port, self._proxy_speaks_tls is not None, bool(self._proxy_speaks_tls))
        try:
            addresses = self._resolver.addresses(host, port, _time_left)
        except (OSError, UnicodeError) as error:
            raise for_httpx(Unresolved(peer, error)) from error
        try:
            connection = connect_to_first(addresses, _Socket, _time_left, last=self._useless)
        except NotConnectedError as error:
            raise for_httpx(Unconnected(peer, error, error.tried)) from error
        connection.setblocking(True)  # noqa: FBT003  the standard library's signature
        return _Stream(connection, connection.place, peer, self._useless)
