"""One HTTP connection, with the deadlines and limits that uvicorn's lacks."""

import asyncio
from dataclasses import dataclass
from itertools import chain

import h11
import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol
from uvicorn.server import ServerState


@dataclass(frozen=True, slots=True)
class Limits:
    """What a client may take, and for how long.

    A header may be twice `header_bytes` long at the most. `answer_seconds` counts from the moment that a
    client doesn't take an answer as fast as it comes, `goodbye_seconds` from the end of a connection's use.
    """

    connections: int = 512
    header_bytes: int = 16 * 1024
    header_seconds: float = 10.0
    answer_seconds: float = 60.0
    keep_alive_seconds: int = 120
    handshake_seconds: float = 3.0
    goodbye_seconds: float = 10.0


class Queues:
    """The connections of one server that could go, each kind with the longest first (dicts for their order).

    `idle` have no request under way, `slow` don't take their answers as fast as these come.
    """

    def __init__(self) -> None:
        self.idle: dict[BoundedProtocol, None] = {}
        self.slow: dict[BoundedProtocol, None] = {}

    def drop(self, connection: "BoundedProtocol") -> None:
        """Forget a connection."""
        self.idle.pop(connection, None)
        self.slow.pop(connection, None)

    def make_room(self, newest: "BoundedProtocol") -> None:
        """Close the connection that has been idle longest: a scraper's is the youngest.

        Where none is idle, the one goes that has kept its answer waiting longest.
        """
        idle = (
            each for each in self.idle if each is not newest and not each.transport.get_write_buffer_size()
        )
        going = next(chain(idle, self.slow), None)
        if going is not None:
            self.drop(going)
            going.transport.abort()


class BoundedProtocol(H11Protocol):
    """Ends a connection whose client stays silent, breaks off a header or takes no answer; and keeps the cap.

    One deadline is on at a time: for a header, for taking the answer, or for the goodbye. Between requests
    uvicorn's own keep-alive timer runs.
    """

    def __init__(self, config: uvicorn.Config, state: ServerState, *, limits: Limits, queues: Queues) -> None:
        super().__init__(config, state, {})
        self._limits = limits
        self._queues = queues
        self._deadline: asyncio.TimerHandle | None = None
        self._all_received = False

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn's own
        """Begin the wait for the first header, and make room where there are too many connections."""
        super().connection_made(transport)
        self._queues.idle[self] = None
        self._abort_in(self._limits.header_seconds)
        if len(self.connections) > self._limits.connections:
            self._queues.make_room(self)

    def data_received(self, data: bytes) -> None:
        """Parse in pieces: h11 looks at a header's length only while it is incomplete."""
        for start in range(0, len(data), self._limits.header_bytes):
            if not self.transport.is_closing():
                super().data_received(data[start : start + self._limits.header_bytes])

    def handle_events(self) -> None:
        """Handle what has been parsed. A request ends the wait for its header, a part of one begins it."""
        before = self.cycle
        super().handle_events()
        if self.transport.is_closing():
            self._abort_in(self._limits.goodbye_seconds)
        elif self.cycle is not before:
            self._queues.drop(self)
            self._let_be()
        elif not self._answering and self.timeout_keep_alive_task is None and self._deadline is None:
            self._abort_in(self._limits.header_seconds)

    def send_400_response(self, msg: str) -> None:
        """Refuse what is no HTTP. Where an answer has begun, or must have no body, nothing can be said."""
        if self._answering:
            self.cycle.disconnected = True
        unanswered = self.conn.our_state is h11.SEND_RESPONSE and self.scope["method"] != "HEAD"
        if unanswered or self.conn.our_state is h11.IDLE:
            super().send_400_response(msg)
        else:
            self.transport.close()

    def eof_received(self) -> bool:  # type: ignore[override]  # asyncio's own signature, which uvicorn narrows
        """Let a client that will say no more have its answers, as `nc -N` wants them. TLS can't do it."""
        self._all_received = True
        return self._answering and self.scheme != "https"

    def pause_writing(self) -> None:
        """Give a client that doesn't keep up a limited time for the whole answer."""
        super().pause_writing()
        self._queues.slow[self] = None
        if self._deadline is None:
            self._abort_in(self._limits.answer_seconds)

    def resume_writing(self) -> None:
        """Go on; the time for the whole answer runs on too."""
        self._queues.slow.pop(self, None)
        super().resume_writing()

    def on_response_complete(self) -> None:
        """Begin the wait for the next request, or the goodbye."""
        self._let_be()
        self._queues.idle[self] = None
        super().on_response_complete()
        if self._all_received and not self._answering:
            self.transport.close()
        if self.transport.is_closing():
            self._abort_in(self._limits.goodbye_seconds)

    def timeout_keep_alive_handler(self) -> None:
        """Say goodbye."""
        super().timeout_keep_alive_handler()
        self._abort_in(self._limits.goodbye_seconds)

    def shutdown(self) -> None:
        """Finish the answer under way; a connection without one ends at once."""
        if self._answering:
            super().shutdown()
        elif self.transport.get_write_buffer_size():
            self.transport.close()
        else:
            self.transport.abort()

    def connection_lost(self, exc: Exception | None) -> None:
        """Stop every timer: uvicorn leaves one on after a reset, and with it the connection in memory."""
        self._let_be()
        self._queues.drop(self)
        self._unset_keepalive_if_required()
        super().connection_lost(exc)

    @property
    def _answering(self) -> bool:
        return self.cycle is not None and not self.cycle.response_complete

    def _abort_in(self, seconds: float) -> None:
        self._let_be()
        self._deadline = self.loop.call_later(seconds, self.transport.abort)

    def _let_be(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None
