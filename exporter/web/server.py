"""uvicorn with the deadlines, the cap on connections and the clean end that it lacks.

Stock uvicorn never closes a silent client, half a header or a half-open TLS handshake, keeps a slow reader
for ever, and answers every scrape with 503 once idle connections fill its limit.
"""

import asyncio
import resource
import signal
import socket
import ssl
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

import uvicorn
from starlette.types import ASGIApp
from uvicorn.protocols.http.h11_impl import H11Protocol

from exporter.errors import ListenError
from exporter.logs import Logger
from exporter.web.address import split_address

# asyncio tries to accept this often at one go: out of descriptors, each try is an error.
_BACKLOG = 128
_HEADER_SECONDS = 10.0
_KEEP_ALIVE_SECONDS = 120
_STALLED_READER_SECONDS = 30.0
_HANDSHAKE_SECONDS = 3.0
_GOODBYE_SECONDS = 0.5
_MOST_CONNECTIONS = 512
_MOST_HEADER_BYTES = 16 * 1024
_COMPLAIN_EVERY_SECONDS = 10.0


def raise_descriptor_limit() -> None:
    """Allow as many open files as the system grants this process."""
    _soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def listen(address: str) -> list[socket.socket]:
    """Return sockets that listen at `host:port` or, for `:port`, everywhere; raises ListenError."""
    host, port = split_address(address)
    try:
        if not host:
            return [_listen_everywhere(port)]
        infos = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
        return [_bind(family, where) for family, _, _, _, where in dict.fromkeys(infos)]
    except OSError as error:
        raise ListenError(
            f"can't listen on {address}: {error.strerror or error}",
            remedy="stop what listens there, or choose another with --web.listen-address",
        ) from error


def systemd_sockets(environment: dict[str, str], process_id: int) -> list[socket.socket]:
    """Return the sockets that systemd passed (sd_listen_fds); raises ListenError where it passed none."""
    count = environment.get("LISTEN_FDS", "")
    if environment.get("LISTEN_PID") != str(process_id) or not count.isdecimal() or int(count) < 1:
        raise ListenError(
            "systemd passed no socket", remedy="start the service through its .socket unit (Sockets=)"
        )
    return [socket.socket(fileno=3 + index) for index in range(int(count))]


def _listen_everywhere(port: int) -> socket.socket:
    """Listen on IPv6 and IPv4 with one socket, or on IPv4 where the machine has no IPv6."""
    try:
        return _bind(socket.AF_INET6, ("::", port), dual=True)
    except OSError as error:
        if socket.has_ipv6 and error.errno not in _NO_IPV6:
            raise
        return _bind(socket.AF_INET, ("0.0.0.0", port))  # noqa: S104  every interface was asked for


_NO_IPV6 = (97, 99)  # EAFNOSUPPORT, EADDRNOTAVAIL


def _bind(family: int, where: Any, *, dual: bool = False) -> socket.socket:
    # asyncio switches Nagle's delay off only where the protocol is named.
    listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0 if dual else 1)
        listener.bind(where)
        listener.listen(_BACKLOG)
    except OSError:
        listener.close()
        raise
    return listener


class BoundedProtocol(H11Protocol):
    """One connection: a deadline for each request's header, one for a reader that stalls, and the cap."""

    _deadline: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn's own
        """Begin the wait for the first header, and make room where there are too many connections."""
        super().connection_made(transport)
        self.idle_since = self.loop.time()
        self._close_in(_HEADER_SECONDS)
        if len(self.connections) > _MOST_CONNECTIONS:
            self._evict()

    def data_received(self, data: bytes) -> None:
        """Parse; between requests the rest of a header must come in time."""
        super().data_received(data)
        if self.idle and self.timeout_keep_alive_task is None:
            if self._deadline is None:
                self._close_in(_HEADER_SECONDS)
        else:
            self._let_be()

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget the deadline."""
        self._let_be()
        super().connection_lost(exc)

    def on_response_complete(self) -> None:
        """Count the idle time from here."""
        self.idle_since = self.loop.time()
        super().on_response_complete()

    def pause_writing(self) -> None:
        """Give a reader that takes nothing a limited time."""
        super().pause_writing()
        self._close_in(_STALLED_READER_SECONDS)

    def resume_writing(self) -> None:
        """Let the reader be: it takes data again."""
        self._let_be()
        super().resume_writing()

    @property
    def idle(self) -> bool:
        """Whether no request is being answered."""
        return self.cycle is None or self.cycle.response_complete

    def _close_in(self, seconds: float) -> None:
        self._let_be()
        self._deadline = self.loop.call_later(seconds, self.transport.abort)

    def _let_be(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None

    def _evict(self) -> None:
        """Close the connection that has been idle longest: a scraper's is the youngest."""
        idle = [each for each in self.connections if isinstance(each, BoundedProtocol) and each.idle]
        if idle:
            min(idle, key=lambda each: each.idle_since).transport.abort()


class WebServer(uvicorn.Server):
    """Serves an application on sockets that are bound already, until `should_exit` or a signal."""

    def __init__(
        self,
        application: ASGIApp,
        sockets: list[socket.socket],
        *,
        log: Logger,
        on_reload: Callable[[], None],
        tls: ssl.SSLContext | None = None,
    ) -> None:
        config = uvicorn.Config(
            application,
            http=BoundedProtocol,
            ws="none",
            lifespan="off",
            log_config=None,
            access_log=False,
            server_header=False,
            timeout_keep_alive=_KEEP_ALIVE_SECONDS,
            timeout_graceful_shutdown=1,
            h11_max_incomplete_event_size=_MOST_HEADER_BYTES,
        )
        super().__init__(config)
        self._sockets = sockets
        self._log = log
        self._on_reload = on_reload
        self._tls = tls
        self._complained_at = -_COMPLAIN_EVERY_SECONDS

    def serve_until_stopped(self) -> None:
        """Serve; returns after SIGTERM, SIGINT or `should_exit`."""
        asyncio.run(self.serve(self._sockets))

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Take up the sockets. uvicorn's own start knows no limit for TLS handshakes."""
        loop = asyncio.get_running_loop()
        loop.set_exception_handler(self._complain)
        self.servers = [
            await loop.create_server(
                self._new_connection,
                sock=each,
                ssl=self._tls,
                backlog=_BACKLOG,
                ssl_handshake_timeout=_HANDSHAKE_SECONDS if self._tls else None,
                ssl_shutdown_timeout=_GOODBYE_SECONDS if self._tls else None,
            )
            for each in sockets or ()
        ]
        self.started = True

    def _new_connection(self) -> asyncio.Protocol:
        return BoundedProtocol(self.config, self.server_state, self.lifespan.state)

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Handle signals; unlike uvicorn, without raising them again: the exit status is ours to choose."""
        handlers = {
            signal.SIGTERM: self._stop,
            signal.SIGINT: self._stop,
            signal.SIGHUP: lambda _number, _frame: self._on_reload(),
        }
        before = {number: signal.signal(number, handler) for number, handler in handlers.items()}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    def _stop(self, number: int, _frame: FrameType | None) -> None:
        self._log.info("stopping", signal=signal.Signals(number).name)
        self.should_exit = True

    def _complain(self, loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        """Log what asyncio can't hand to anyone, a line every ten seconds at most."""
        if loop.time() - self._complained_at < _COMPLAIN_EVERY_SECONDS:
            return
        self._complained_at = loop.time()
        self._log.warning(
            "server trouble", what=context.get("message"), error=str(context.get("exception") or "")
        )
