"""The simulator's certificates, and all the ways in which a TLS handshake can fail."""

import asyncio
import contextlib
import socket
import ssl
import struct
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import Any

import trustme

from partnercenter_simulator.faults import Fault

_ENOUGH = 64 * 1024
_SILENT_SECONDS = 60.0
# A TLS alert, fatal, protocol_version (RFC 8446, 6): what an old server answers a client that is too new.
_TOO_OLD = b"\x15\x03\x01\x00\x02\x02\x46"
_PLAIN_HTTP = b"HTTP/1.1 400 Bad Request\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"
_SPOKEN: Mapping[str, bytes] = {
    "tls_too_old": _TOO_OLD,
    "plain_http": _PLAIN_HTTP,
    "handshake_cut": b"",
    "handshake_reset": b"",
}


class Certificates:
    """An authority, and the server contexts that its certificates and worse ones make."""

    def __init__(self, host: str) -> None:
        self._names = tuple(
            dict.fromkeys(["127.0.0.1", "::1", "localhost", *([host] if host else [])]),
        )
        self._authority = trustme.CA(organization_name="Partner Center simulator")
        self.authority_pem: bytes = self._authority.cert_pem.bytes()
        self.good = _context(self._authority, *self._names)
        self._spoilt: Mapping[str, Callable[[], ssl.SSLContext]] = {
            "tls_untrusted": cache(lambda: _context(trustme.CA(organization_name="Nobody"), *self._names)),
            "tls_expired": cache(lambda: self._dated(-timedelta(days=2), -timedelta(days=1))),
            "tls_not_yet_valid": cache(lambda: self._dated(timedelta(days=1), timedelta(days=2))),
            "tls_wrong_name": cache(lambda: _context(self._authority, "elsewhere.example")),
            "tls_client_certificate": cache(self._demanding),
        }

    def for_fault(self, fault: Fault | None) -> ssl.SSLContext | None:
        """Return the context to shake hands with; None where the fault leaves nothing to shake."""
        if fault is None:
            return self.good
        spoilt = self._spoilt.get(fault.kind)
        return spoilt() if spoilt else None

    def _dated(self, begin: timedelta, end: timedelta) -> ssl.SSLContext:
        now = datetime.now(UTC)
        return _context(self._authority, *self._names, not_before=now + begin, not_after=now + end)

    def _demanding(self) -> ssl.SSLContext:
        context = _context(self._authority, *self._names)
        context.verify_mode = ssl.CERT_REQUIRED
        self._authority.configure_trust(context)
        return context


async def spoil(connection: socket.socket, fault: Fault) -> None:
    """Do to a connection what the fault says in place of a handshake, and close it."""
    loop = asyncio.get_running_loop()
    with connection, contextlib.suppress(OSError):
        await loop.sock_recv(connection, _ENOUGH)
        if fault.kind == "handshake_silent":
            seconds = _SILENT_SECONDS if fault.seconds is None else fault.seconds
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(loop.sock_recv(connection, _ENOUGH), seconds)
            return
        await loop.sock_sendall(connection, _SPOKEN[fault.kind])
        if fault.kind == "handshake_reset":
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


def _context(authority: trustme.CA, *names: str, **validity: Any) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert(*names, **validity).configure_cert(context)
    return context
