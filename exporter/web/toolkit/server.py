"""uvicorn's server with deadlines, a cap on connections and a clean exit: see the package's docstring."""

import asyncio
import logging
import math
import resource
import signal
import socket
import ssl
import threading
from collections.abc import Callable, Collection, Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from typing import Any

import uvicorn
from starlette.types import ASGIApp

from exporter.local_text import local_text
from exporter.logs import get_logger, place_of
from exporter.messages import class_name, line
from exporter.web.toolkit.accepting import OUT_OF_DESCRIPTORS, Acceptor
from exporter.web.toolkit.places import Places, Stage
from exporter.web.toolkit.protocol import DEFAULT_LIMITS, BoundedProtocol, Limits
from exporter.web.toolkit.surplus import Surplus

# At shutdown, how long answers in progress may take; soon after, uvicorn gives up.
_LAST_ANSWERS_SECONDS = 0.8
_GIVE_UP_SECONDS = 1
_LOG_INTERVAL_SECONDS = 10.0
_SIGNAL_CHECK_SECONDS = 0.1
# Of the descriptors, half and at least so many are left for listening, files and polls, whatever clients do.
_RESERVED_DESCRIPTORS = 48
_FEWEST_CONNECTIONS = 4


class WebServer(uvicorn.Server):
    """Serves an application until `should_exit` or a signal; `run` takes sockets that are already bound.

    Signals are handled from before `on_start`, and connections accepted after it. Those who ask for `urgent_paths`
    are served in whatever flood of other requests. `on_beat` is called once connections are accepted, and every
    `beat_seconds` from then on while the event loop works.
    """

    def __init__(  # noqa: PLR0913  what the caller may choose
        self,
        application: ASGIApp,
        *,
        on_start: Callable[[], None],
        on_reload: Callable[[], None],
        on_beat: Callable[[], None] = lambda: None,
        beat_seconds: float | None = None,
        urgent_paths: Collection[str] = (),
        tls: ssl.SSLContext | None = None,
        limits: Limits = DEFAULT_LIMITS,
    ) -> None:
        config = uvicorn.Config(
            application,
            loop="asyncio",
            http=BoundedProtocol,
            ws="none",
            lifespan="off",
            log_config=None,
            access_log=False,
            proxy_headers=False,  # a client could choose its address
            server_header=False,
            timeout_keep_alive=limits.keep_alive_seconds,
            timeout_graceful_shutdown=_GIVE_UP_SECONDS,
            h11_max_incomplete_event_size=limits.header_bytes,
        )
        # A client that sends garbage must not fill the log.
        logging.getLogger("uvicorn.error").setLevel(logging.ERROR)
        super().__init__(config)
        self._limits = limits
        self._places = Places(_affordable(limits.connections))
        self._surplus = Surplus(limits.requests_per_second, urgent_paths)
        self._acceptors: list[Acceptor] = []
        self._on_start = on_start
        self._on_reload = on_reload
        self._on_beat = on_beat
        self._beat_seconds = beat_seconds
        self._tls = tls
        self._logged_at: dict[tuple[str, int | None], float] = {}

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Start to accept."""
        loop = asyncio.get_running_loop()
        loop.set_exception_handler(self._log_error)
        await self._begin()
        if self.should_exit:
            return
        self.servers = []  # of asyncio: uvicorn would close these, and wait for handshakes that never end
        self._acceptors = [Acceptor(listener, self._places, self._connection, self._tls) for listener in sockets or ()]
        for acceptor in self._acceptors:
            acceptor.start()
        self.started = True
        self._beat()

    def _beat(self) -> None:
        self._on_beat()
        if self._beat_seconds is not None and not self.should_exit:
            asyncio.get_running_loop().call_later(self._beat_seconds, self._beat)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Accept no more connections, finish the answers in progress, and abort what takes too long."""
        asyncio.get_running_loop().call_later(_LAST_ANSWERS_SECONDS, self._places.abort, *Stage)
        for acceptor in self._acceptors:
            await acceptor.stop()
        self._places.abort(Stage.HANDSHAKE)
        await super().shutdown(sockets)

    async def _begin(self) -> None:
        """Call `on_start` on a thread: a signal ends the program even while it hangs. Raises what it raises."""
        begun = Future[None]()

        def begin() -> None:
            try:
                begun.set_result(self._on_start())
            except BaseException as error:  # noqa: BLE001  whoever waits for it raises it
                begun.set_exception(error)

        threading.Thread(target=begin, name="start", daemon=True).start()
        waiting = asyncio.wrap_future(begun)
        while not begun.done() and not self.should_exit:
            await asyncio.wait([waiting], timeout=_SIGNAL_CHECK_SECONDS)
        if begun.done():
            begun.result()

    def _connection(self) -> BoundedProtocol:
        return BoundedProtocol(
            self.config, self.server_state, limits=self._limits, places=self._places, surplus=self._surplus
        )

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Handle SIGTERM, SIGINT and SIGHUP between two steps of the event loop, where logging is safe.

        uvicorn would raise the signal again at its end: the exit status would be 143, and polls wouldn't be stopped.
        The loop removes the handlers when it closes.
        """
        loop = asyncio.get_running_loop()
        loop.add_signal_handler(signal.SIGTERM, self._stop, "SIGTERM")
        loop.add_signal_handler(signal.SIGINT, self._stop, "SIGINT")
        loop.add_signal_handler(signal.SIGHUP, self._on_reload)
        yield

    def _stop(self, name: str) -> None:
        self.should_exit = True
        get_logger().info("stopping", signal=local_text(name))

    def _log_error(self, loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        """Log an error that asyncio can't raise anywhere, like a failed accept; each kind once in ten seconds."""
        error = context.get("exception")
        number = getattr(error, "errno", None)
        kind = (type(error).__name__, number)
        if loop.time() - self._logged_at.get(kind, -math.inf) < _LOG_INTERVAL_SECONDS:
            return
        self._logged_at[kind] = loop.time()
        get_logger().warning(
            "server error",
            what=local_text(str(context.get("message"))),
            error=error if isinstance(error, OSError) else class_name(error) if error else None,
            where=place_of(error) if isinstance(error, Exception) else None,
            remedy=line("raise the open file limit") if number in OUT_OF_DESCRIPTORS else None,
        )


def _affordable(wanted: int) -> int:
    """Return how many connections the process can have."""
    descriptors, _hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if descriptors < 0:
        return wanted
    left = min(descriptors // 2, descriptors - _RESERVED_DESCRIPTORS)
    return min(wanted, max(left, _FEWEST_CONNECTIONS))
