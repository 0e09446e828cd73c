"""One HTTP connection, with the deadlines and limits that uvicorn's lacks."""

import asyncio
from dataclasses import dataclass

import h11
import uvicorn
from uvicorn.protocols.http.flow_control import CLOSE_HEADER
from uvicorn.protocols.http.h11_impl import H11Protocol
from uvicorn.server import ServerState

from exporter.web.toolkit.framing import StrictConnection, has_body
from exporter.web.toolkit.places import Places, Stage
from exporter.web.toolkit.surplus import BUSY, Surplus


@dataclass(frozen=True, slots=True)
class Limits:
    """What a client may use, and for how long.

    A header may be at most twice `header_bytes` long. `answer_seconds` counts from the moment a client stops
    taking an answer as fast as it comes, `closing_seconds` from the moment the connection is closed.
    `requests_per_second` counts those that are not urgent, of all clients, while connections crowd.
    """

    connections: int = 512
    header_bytes: int = 16 * 1024
    header_seconds: float = 10.0
    answer_seconds: float = 60.0
    keep_alive_seconds: int = 120
    handshake_seconds: float = 3.0
    closing_seconds: float = 10.0
    requests_per_second: int = 50


DEFAULT_LIMITS = Limits()
HAS_ENDED = "client_has_ended"
"""Key in the ASGI scope's `state` of a function that says whether the client has ended its side of the connection.

Most often it doesn't wait for the answer either. ASGI itself tells only of connections that broke."""


class BoundedProtocol(H11Protocol):
    """Ends a connection whose client stays silent, breaks off a header or takes no answer. It has a place to its end.

    One deadline runs at a time: for a header, for taking the answer, or for closing. Between requests
    uvicorn's own keep-alive timer runs.
    """

    def __init__(
        self, config: uvicorn.Config, state: ServerState, *, limits: Limits, places: Places, surplus: Surplus
    ) -> None:
        self._all_received = asyncio.Event()  # not a function of this object: both would hold each other
        super().__init__(config, state, {HAS_ENDED: self._all_received.is_set})
        self.conn = StrictConnection(h11.SERVER, limits.header_bytes)
        self.limits = limits
        self._places = places
        self._surplus = surplus
        self._socket: asyncio.Transport | None = None
        self._deadline: asyncio.TimerHandle | None = None

    def socket_opened(self, transport: asyncio.Transport, stage: Stage) -> None:
        """Take a place, before a handshake too."""
        self._socket = transport
        self._places.take(self, stage)

    def socket_closed(self) -> None:
        """Free the place, and the memory: asyncio's transport holds its own methods, a cycle."""
        self._places.leave(self)
        for name in ("_read_ready_cb", "_write_ready"):  # the second from Python 3.12 on
            vars(self._socket).pop(name, None)

    def abort(self) -> None:
        """Close the socket at once, in whatever stage; nothing more is sent."""
        if self._answering:
            self.cycle.disconnected = True
        if self._socket is not None:
            self._socket.abort()

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn's own
        """Start the deadline for the first header."""
        super().connection_made(transport)
        if self._socket is None:
            self.socket_opened(transport, Stage.IDLE)
        self._places.move(self, Stage.IDLE)
        self._abort_in(self.limits.header_seconds)

    def data_received(self, data: bytes) -> None:
        """Parse in pieces: h11 checks a header's length only while the header is incomplete."""
        if self._begins_request and self._places.crowded and self._surplus.takes(data, self.loop.time()):
            self.transport.write(BUSY)
            self.transport.close()
            self._abort_in(self.limits.closing_seconds)
            return
        for start in range(0, len(data), self.limits.header_bytes):
            if not self.transport.is_closing():
                super().data_received(data[start : start + self.limits.header_bytes])

    def handle_events(self) -> None:
        """Handle what was parsed. A request ends the deadline for its header, a part of one starts it."""
        previous = self.cycle
        super().handle_events()
        if self.transport.is_closing():
            self._abort_in(self.limits.closing_seconds)
        elif self.cycle is not previous:
            self._places.move(self, Stage.WAITING)
            self._cancel_deadline()
            if has_body(self.headers) or (self._places.crowded and self.conn.trailing_data[0]):
                # Nobody here uses a body, and its end may be a lie: nothing behind it is taken for a request.
                # Where many wait, nobody gets several answers in a row: who pipelines asks again (RFC 9112 9.3.2).
                self.headers.append(CLOSE_HEADER)
        elif not self._answering and self.timeout_keep_alive_task is None and self._deadline is None:
            self._abort_in(self.limits.header_seconds)

    def send_400_response(self, msg: str) -> None:
        """Refuse what is not HTTP. If an answer has begun, or must have no body, only close."""
        if self._answering:
            self.cycle.disconnected = True
        unanswered = self.conn.our_state is h11.SEND_RESPONSE and self.scope["method"] != "HEAD"
        if unanswered or self.conn.our_state is h11.IDLE:
            super().send_400_response(msg)
        else:
            self.transport.close()

    def eof_received(self) -> bool:  # type: ignore[override]  # asyncio's own signature, which uvicorn narrows
        """Answer a client that has finished sending, as `nc -N` does. TLS can't do it."""
        self._all_received.set()
        return self._answering and self.scheme != "https"

    def pause_writing(self) -> None:
        """Start the deadline for the whole answer: the client can't keep up."""
        super().pause_writing()
        self._places.move(self, Stage.SLOW)
        if self._deadline is None:
            self._abort_in(self.limits.answer_seconds)

    def resume_writing(self) -> None:
        """Continue; the deadline for the whole answer stays."""
        self._places.move(self, Stage.WAITING if self._answering else Stage.IDLE)
        super().resume_writing()

    def on_response_complete(self) -> None:
        """Wait for the next request, or close."""
        self._cancel_deadline()
        self._places.move(self, Stage.SLOW if self._unsent else Stage.IDLE)
        super().on_response_complete()
        if self._all_received.is_set() and not self._answering:
            self.transport.close()
        if self.transport.is_closing():
            self._abort_in(self.limits.closing_seconds)

    def timeout_keep_alive_handler(self) -> None:
        """Close a connection that was idle for too long."""
        super().timeout_keep_alive_handler()
        self._abort_in(self.limits.closing_seconds)

    def shutdown(self) -> None:
        """Finish the answer in progress; a connection without one ends at once."""
        if self._answering:
            super().shutdown()
        elif self._unsent:
            self.transport.close()
        else:
            self.abort()

    def connection_lost(self, exc: Exception | None) -> None:
        """Stop every timer: uvicorn leaves one running after a reset, and so the connection in memory."""
        self._cancel_deadline()
        self._unset_keepalive_if_required()
        super().connection_lost(exc)
        self.socket_closed()

    @property
    def _unsent(self) -> int:
        """How many bytes wait for the client. TLS keeps some only while the socket does."""
        return self._socket.get_write_buffer_size() if self._socket else 0

    @property
    def _begins_request(self) -> bool:
        return not self._answering and not self.conn.trailing_data[0]

    @property
    def _answering(self) -> bool:
        return self.cycle is not None and not self.cycle.response_complete

    def _abort_in(self, seconds: float) -> None:
        self._cancel_deadline()
        self._deadline = self.loop.call_later(seconds, self.abort)

    def _cancel_deadline(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None
