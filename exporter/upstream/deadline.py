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
from typing import Any

import httpcore
from httpcore._backends.sync import SyncStream  # its own backend returns it, and there is no public name

from exporter.upstream.connecting import Resolver, UselessAddresses, connect_to_first

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

    def __init__(self, connection: _Socket, useless: UselessAddresses) -> None:
        super().__init__(connection)
        self._place = connection.place
        self._useless = useless

    def start_tls(
        self, ssl_context: ssl.SSLContext, server_hostname: str | None = None, timeout: float | None = None
    ) -> httpcore.NetworkStream:
        """Return a connection with TLS."""
        try:
            stream = super().start_tls(ssl_context, server_hostname, timeout)
        except (httpcore.ConnectError, httpcore.ConnectTimeout):
            self._useless.note(self._place, useless=True)
            raise
        self._useless.note(self._place, useless=False)
        return stream


class Backend(httpcore.NetworkBackend):
    """Connects as httpcore's own, with these sockets, and one deadline for name resolution and all addresses."""

    def __init__(self, resolver: Resolver) -> None:
        self._resolver = resolver
        self._useless = UselessAddresses()

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
            connection = connect_to_first(addresses, _Socket, _time_left, last=self._useless)
        except TimeoutError as error:
            raise httpcore.ConnectTimeout from error
        except OSError as error:
            raise httpcore.ConnectError(str(error)) from error
        connection.setblocking(True)  # noqa: FBT003  the standard library's signature
        return _Stream(connection, self._useless)
