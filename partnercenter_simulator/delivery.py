"""Sends replies over a connection, and breaks the connection where a fault asks for it."""

import asyncio
import contextlib
import logging
import socket
import struct
from collections.abc import Callable
from email.utils import formatdate
from typing import Any

from starlette.types import Receive, Scope, Send
from uvicorn.config import Config
from uvicorn.protocols.http.h11_impl import H11Protocol
from uvicorn.server import ServerState

from partnercenter_simulator.exchange import Reply

_TRANSPORT = "simulator.transport"
_CHUNK_BYTES = 64 * 1024
_NULL_LOGGER = logging.Logger("simulator")  # noqa: LOG001 -- outside the logger tree, so the host program logs none of it
_NULL_LOGGER.addHandler(logging.NullHandler())


class SimulatorProtocol(H11Protocol):
    """uvicorn's h11 protocol without logging, and with its transport in the request's scope."""

    def __init__(
        self,
        config: Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
    ) -> None:
        super().__init__(config, server_state, app_state, _loop)
        self.logger = _NULL_LOGGER
        self.access_log = False
        app = self.app

        async def with_transport(scope: Any, receive: Any, send: Any) -> None:
            scope["extensions"] = {_TRANSPORT: self.transport}
            await app(scope, receive, send)

        self.app = with_transport


async def deliver(reply: Reply, scope: Scope, receive: Receive, send: Send, *, now: Callable[[], float]) -> None:
    """Send a reply, dated `now`; return when it is sent or the client has disconnected."""
    transport: asyncio.Transport = scope["extensions"][_TRANSPORT]
    delivery = reply.delivery
    transport.write(delivery.raw)
    if reply.status and not await _disconnects_within(delivery.first_byte_seconds, receive):
        await send({"type": "http.response.start", "status": reply.status, "headers": _headers(reply, now())})
        if not (delivery.cut or delivery.stall_seconds):
            await _send_padding(delivery.padding_bytes, send)
            await _send_chunks(reply, receive, send)
            return
        await _send_half(reply, receive, send)
    if delivery.drip_seconds:
        await _drip_headers(transport, delivery.drip_seconds, receive)
    if delivery.reset:
        reset_on_close(transport.get_extra_info("socket"))
        transport.abort()
    else:
        transport.close()
    await _disconnected(receive)


def reset_on_close(connection: socket.socket) -> None:
    """Make the kernel send RST instead of FIN: with a linger time of 0 it discards unsent data."""
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


async def _drip_headers(transport: asyncio.Transport, seconds: float, receive: Receive) -> None:
    transport.write(b"HTTP/1.1 200 OK\r\n")
    while not await _disconnects_within(seconds, receive):
        transport.write(b"X-Drip: 1\r\n")


async def _send_half(reply: Reply, receive: Receive, send: Send) -> None:
    half = reply.body[: len(reply.body) // 2]
    await send({"type": "http.response.body", "body": half, "more_body": True})
    await _disconnects_within(reply.delivery.stall_seconds, receive)


async def _send_padding(size: int, send: Send) -> None:
    for start in range(0, size, _CHUNK_BYTES):
        spaces = b" " * min(_CHUNK_BYTES, size - start)
        await send({"type": "http.response.body", "body": spaces, "more_body": True})


async def _send_chunks(reply: Reply, receive: Receive, send: Send) -> None:
    body, delivery = reply.body, reply.delivery
    step = max(1, -(-len(body) // delivery.chunks))
    for start in range(0, len(body), step):
        if await _disconnects_within(delivery.chunk_seconds, receive):
            return
        await send({"type": "http.response.body", "body": body[start : start + step], "more_body": True})
    await send({"type": "http.response.body", "body": b"", "more_body": False})


async def _disconnects_within(seconds: float, receive: Receive) -> bool:
    """Wait, at most until the client disconnects; return whether it did."""
    if seconds <= 0:
        return False
    with contextlib.suppress(TimeoutError):
        await asyncio.wait_for(_disconnected(receive), seconds)
        return True
    return False


async def _disconnected(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


def _headers(reply: Reply, now: float) -> list[tuple[bytes, bytes]]:
    headers = {"Date": formatdate(now, usegmt=True), **reply.headers}
    if reply.status != 204:  # noqa: PLR2004 -- No Content: no body, so no length
        headers["Content-Type"] = reply.content_type
        if not reply.delivery.padding_bytes:
            headers["Content-Length"] = str(len(reply.body))
    return [(name.encode("latin-1"), value.encode("latin-1")) for name, value in headers.items()]
