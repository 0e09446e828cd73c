"""One HTTP connection, with the deadlines and limits that uvicorn's lacks."""

import asyncio
from dataclasses import dataclass, field
from itertools import chain

import h11
import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol
from uvicorn.server import ServerState


@dataclass(frozen=True, slots=True)
class Limits:
    """What a client may use, and for how long.

    A header may be at most twice `header_bytes` long. `answer_seconds` counts from the moment a client stops
    taking an answer as fast as it comes, `closing_seconds` from the moment the connection is closed.
    """

    connections: int = 512
    header_bytes: int = 16 * 1024
    header_seconds: float = 10.0
    answer_seconds: float = 60.0
    keep_alive_seconds: int = 120
    handshake_seconds: float = 3.0
    closing_seconds: float = 10.0


DEFAULT_LIMITS = Limits()
HAS_ENDED = "client_has_ended"
"""Key in the ASGI scope's `state` of a function that says whether the client has ended its side of the connection.

Most often it doesn't wait for the answer either. ASGI itself tells only of connections that broke."""


@dataclass(slots=True)
class Evictable:
    """The connections of one server that may be closed for a new one, the longest-waiting first.

    `idle` have no request in progress, `slow` don't take their answers as fast as these come. (Dicts, for order.)
    """

    idle: "dict[BoundedProtocol, None]" = field(default_factory=dict)
    slow: "dict[BoundedProtocol, None]" = field(default_factory=dict)

    def remove(self, connection: "BoundedProtocol") -> None:
        """Keep a connection from being evicted."""
        self.idle.pop(connection, None)
        self.slow.pop(connection, None)

    def make_room(self, newest: "BoundedProtocol") -> None:
        """Abort the connection that is idle longest (a scraper's is the youngest), or else the longest slow one."""
        idle = (c for c in self.idle if c is not newest and not c.transport.get_write_buffer_size())
        victim = next(chain(idle, self.slow), None)
        if victim is not None:
            self.remove(victim)
            victim.transport.abort()


class BoundedProtocol(H11Protocol):
    """Ends a connection whose client stays silent, breaks off a header or takes no answer; and keeps the cap.

    One deadline runs at a time: for a header, for taking the answer, or for closing. Between requests
    uvicorn's own keep-alive timer runs.
    """

    def __init__(self, config: uvicorn.Config, state: ServerState, *, limits: Limits, evictable: Evictable) -> None:
        self._all_received = False
        super().__init__(config, state, {HAS_ENDED: lambda: self._all_received})
        self._limits = limits
        self._evictable = evictable
        self._deadline: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn's own
        """Start the deadline for the first header, and make room if there are too many connections."""
        super().connection_made(transport)
        self._evictable.idle[self] = None
        self._abort_in(self._limits.header_seconds)
        if len(self.connections) > self._limits.connections:
            self._evictable.make_room(self)

    def data_received(self, data: bytes) -> None:
        """Parse in pieces: h11 checks a header's length only while the header is incomplete."""
        for start in range(0, len(data), self._limits.header_bytes):
            if not self.transport.is_closing():
                super().data_received(data[start : start + self._limits.header_bytes])

    def handle_events(self) -> None:
        """Handle what was parsed. A request ends the deadline for its header, a part of one starts it."""
        previous = self.cycle
        super().handle_events()
        if self.transport.is_closing():
            self._abort_in(self._limits.closing_seconds)
        elif self.cycle is not previous:
            self._evictable.remove(self)
            self._cancel_deadline()
        elif not self._answering and self.timeout_keep_alive_task is None and self._deadline is None:
            self._abort_in(self._limits.header_seconds)

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
        self._all_received = True
        return self._answering and self.scheme != "https"

    def pause_writing(self) -> None:
        """Start the deadline for the whole answer: the client can't keep up."""
        super().pause_writing()
        self._evictable.slow[self] = None
        if self._deadline is None:
            self._abort_in(self._limits.answer_seconds)

    def resume_writing(self) -> None:
        """Continue; the deadline for the whole answer stays."""
        self._evictable.slow.pop(self, None)
        super().resume_writing()

    def on_response_complete(self) -> None:
        """Wait for the next request, or close."""
        self._cancel_deadline()
        self._evictable.idle[self] = None
        super().on_response_complete()
        if self._all_received and not self._answering:
            self.transport.close()
        if self.transport.is_closing():
            self._abort_in(self._limits.closing_seconds)

    def timeout_keep_alive_handler(self) -> None:
        """Close a connection that was idle for too long."""
        super().timeout_keep_alive_handler()
        self._abort_in(self._limits.closing_seconds)

    def shutdown(self) -> None:
        """Finish the answer in progress; a connection without one ends at once."""
        if self._answering:
            super().shutdown()
        elif self.transport.get_write_buffer_size():
            self.transport.close()
        else:
            self.transport.abort()

    def connection_lost(self, exc: Exception | None) -> None:
        """Stop every timer: uvicorn leaves one running after a reset, and so the connection in memory."""
        self._cancel_deadline()
        self._evictable.remove(self)
        self._unset_keepalive_if_required()
        super().connection_lost(exc)

    @property
    def _answering(self) -> bool:
        return self.cycle is not None and not self.cycle.response_complete

    def _abort_in(self, seconds: float) -> None:
        self._cancel_deadline()
        self._deadline = self.loop.call_later(seconds, self.transport.abort)

    def _cancel_deadline(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None
