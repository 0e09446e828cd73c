"""The simulator's certificates, and the TLS handshakes that fail."""

import asyncio
import contextlib
import socket
import ssl
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import Any

import trustme

from partnercenter_simulator.delivery import reset_on_close
from partnercenter_simulator.faults import Fault

_RECEIVE_BYTES = 64 * 1024
_SILENT_SECONDS = 60.0
_BYTES_SENT: Mapping[str, bytes] = {
    # A fatal TLS alert, protocol_version (RFC 8446, 6): an old server's answer to a client that is too new.
    "tls_too_old": b"\x15\x03\x01\x00\x02\x02\x46",
    "plain_http": b"HTTP/1.1 400 Bad Request\r\nConnection: close\r\nContent-Length: 0\r\n\r\n",
    "handshake_cut": b"",
    "handshake_reset": b"",
}


class Certificates:
    """A certificate authority, and the server's TLS contexts: the good one and one for each TLS fault."""

    def __init__(self, host: str) -> None:
        self._names = tuple(dict.fromkeys(["127.0.0.1", "::1", "localhost", *([host] if host else [])]))
        self._authority = trustme.CA(organization_name="Partner Center simulator")
        self.authority_pem: bytes = self._authority.cert_pem.bytes()
        self._good = _context(self._authority, *self._names)
        self._bad: Mapping[str, Callable[[], ssl.SSLContext]] = {
            "tls_untrusted": cache(lambda: _context(trustme.CA(organization_name="Nobody"), *self._names)),
            "tls_expired": cache(lambda: self._valid(-2, -1)),
            "tls_not_yet_valid": cache(lambda: self._valid(1, 2)),
            "tls_wrong_name": cache(lambda: _context(self._authority, "elsewhere.example")),
            "tls_client_certificate": cache(self._requiring_client_certificate),
        }

    def context_for(self, fault: Fault | None) -> ssl.SSLContext | None:
        """Return the TLS context for the handshake; None if the fault prevents one: `break_handshake`."""
        if fault is None:
            return self._good
        bad = self._bad.get(fault.kind)
        return bad() if bad else None

    def _valid(self, from_days: int, to_days: int) -> ssl.SSLContext:
        now = datetime.now(UTC)
        start, end = now + timedelta(days=from_days), now + timedelta(days=to_days)
        return _context(self._authority, *self._names, not_before=start, not_after=end)

    def _requiring_client_certificate(self) -> ssl.SSLContext:
        context = _context(self._authority, *self._names)
        context.verify_mode = ssl.CERT_REQUIRED
        self._authority.configure_trust(context)
        return context


async def break_handshake(connection: socket.socket, fault: Fault) -> None:
    """Do what the fault says instead of a handshake, and close the connection."""
    loop = asyncio.get_running_loop()
    with connection, contextlib.suppress(OSError):
        await loop.sock_recv(connection, _RECEIVE_BYTES)
        if fault.kind == "handshake_silent":
            seconds = _SILENT_SECONDS if fault.seconds is None else fault.seconds
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(loop.sock_recv(connection, _RECEIVE_BYTES), seconds)
            return
        await loop.sock_sendall(connection, _BYTES_SENT[fault.kind])
        if fault.kind == "handshake_reset":
            reset_on_close(connection)


def _context(authority: trustme.CA, *names: str, **validity: Any) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert(*names, **validity).configure_cert(context)
    return context
