"""From an answer to bytes on a connection, with all the ways in which a connection can fail."""

import asyncio
import contextlib
import logging
import socket
import struct
from email.utils import formatdate
from typing import Any

from starlette.types import Receive, Scope, Send
from uvicorn.config import Config
from uvicorn.protocols.http.h11_impl import H11Protocol
from uvicorn.server import ServerState

from partnercenter_simulator.exchange import Reply

_TRANSPORT = "simulator.transport"
_CHUNK = 64 * 1024
_QUIET = logging.Logger("simulator")  # noqa: LOG001 -- deliberately outside the tree: whatever the host program logs, this is not part of it
_QUIET.addHandler(logging.NullHandler())


class SimulatorProtocol(H11Protocol):
    """uvicorn's h11 protocol, mute, and with its transport in the request's scope."""

    def __init__(
        self,
        config: Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
    ) -> None:
        super().__init__(config, server_state, app_state, _loop)
        self.logger = _QUIET
        self.access_log = False
        app = self.app

        async def with_transport(scope: Any, receive: Any, send: Any) -> None:
            scope["extensions"] = {_TRANSPORT: self.transport}
            await app(scope, receive, send)

        self.app = with_transport


async def deliver(reply: Reply, scope: Scope, receive: Receive, send: Send) -> None:
    """Send an answer at its pace; return when it is out or when the client has gone."""
    transport: asyncio.Transport = scope["extensions"][_TRANSPORT]
    pace = reply.pace
    transport.write(pace.raw)
    if reply.status and not await _is_gone_within(pace.first_byte_seconds, receive):
        await send({"type": "http.response.start", "status": reply.status, "headers": _headers(reply)})
        if not (pace.cut or pace.stall_seconds):
            await _padding(pace.padding_bytes, send)
            await _pieces(reply, receive, send)
            return
        await _half(reply, receive, send)
    if pace.drip_seconds:
        await _drip(transport, pace.drip_seconds, receive)
    if pace.reset:
        _reset(transport)
    else:
        transport.close()
    await _gone(receive)


async def _drip(transport: asyncio.Transport, seconds: float, receive: Receive) -> None:
    transport.write(b"HTTP/1.1 200 OK\r\n")
    while not await _is_gone_within(seconds, receive):
        transport.write(b"X-Drip: 1\r\n")


async def _half(reply: Reply, receive: Receive, send: Send) -> None:
    half = reply.body[: len(reply.body) // 2]
    await send({"type": "http.response.body", "body": half, "more_body": True})
    await _is_gone_within(reply.pace.stall_seconds, receive)


async def _padding(size: int, send: Send) -> None:
    for start in range(0, size, _CHUNK):
        blanks = b" " * min(_CHUNK, size - start)
        await send({"type": "http.response.body", "body": blanks, "more_body": True})


async def _pieces(reply: Reply, receive: Receive, send: Send) -> None:
    body, pace = reply.body, reply.pace
    step = max(1, -(-len(body) // pace.pieces))
    for start in range(0, len(body), step):
        if await _is_gone_within(pace.piece_seconds, receive):
            return
        await send({"type": "http.response.body", "body": body[start : start + step], "more_body": True})
    await send({"type": "http.response.body", "body": b"", "more_body": False})


async def _is_gone_within(seconds: float, receive: Receive) -> bool:
    """Wait, but not for a client that has gone; say whether it has."""
    if seconds <= 0:
        return False
    with contextlib.suppress(TimeoutError):
        await asyncio.wait_for(_gone(receive), seconds)
        return True
    return False


async def _gone(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


def _reset(transport: asyncio.Transport) -> None:
    # With no time to linger the kernel drops what is unsent and answers RST in place of FIN.
    linger = struct.pack("ii", 1, 0)
    transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
    transport.abort()


def _headers(reply: Reply) -> list[tuple[bytes, bytes]]:
    headers = {"Date": formatdate(usegmt=True), **reply.headers}
    if reply.status != 204:  # noqa: PLR2004 -- HTTP's own number: it has no body, hence no length
        headers["Content-Type"] = reply.content_type
        if not reply.pace.padding_bytes:
            headers["Content-Length"] = str(len(reply.body))
    return [(name.encode("latin-1"), value.encode("latin-1")) for name, value in headers.items()]
