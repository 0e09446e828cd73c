"""A TLS server in a thread that can be stopped at once, whatever its clients are doing."""

import asyncio
import contextlib
import socket
import ssl
import threading
from concurrent.futures import Future
from functools import partial
from typing import Any, cast

from uvicorn.config import Config
from uvicorn.server import ServerState

from exporter.simulator.delivery import SimulatorProtocol

_HANDSHAKE_SECONDS = 5
_KEEP_ALIVE_SECONDS = 75
_START_SECONDS = 10
_STOP_SECONDS = 5
_ROUNDS_TO_CLOSE = 5  # an aborted TLS transport is closed two rounds of the loop later


class ServingThread:
    """Serves an ASGI application on a listening socket, with uvicorn's protocol and an event loop of its own.

    uvicorn's own server logs, ticks, and waits for its clients; asyncio's can't end a handshake that is
    under way. Here both are done without.
    """

    def __init__(self, app: Any, listener: socket.socket, tls: ssl.SSLContext) -> None:
        self._config = Config(
            app,
            log_config=None,
            ws="none",
            lifespan="off",
            interface="asgi3",
            http=SimulatorProtocol,
            timeout_keep_alive=_KEEP_ALIVE_SECONDS,
            proxy_headers=False,
        )
        self._config.load()
        self._listener = listener
        self._tls = tls
        self._state = ServerState()
        self._handshakes: dict[asyncio.Task[None], socket.socket] = {}
        started: Future[partial[asyncio.Handle]] = Future()
        self._thread = threading.Thread(
            target=lambda: asyncio.run(self._serve(started)), name="simulator", daemon=True
        )
        self._thread.start()
        self._stop = started.result(_START_SECONDS)

    def stop(self) -> None:
        """Close every connection; return when the thread has ended."""
        self._stop()
        self._thread.join(_STOP_SECONDS)

    async def _serve(self, started: "Future[partial[asyncio.Handle]]") -> None:
        loop = asyncio.get_running_loop()
        # A client that breaks off a handshake is no news: nothing of the simulator's goes to the log.
        loop.set_exception_handler(lambda _loop, _context: None)
        stopping = asyncio.Event()
        loop.add_reader(self._listener, self._accept)
        started.set_result(partial(loop.call_soon_threadsafe, stopping.set))
        await stopping.wait()
        loop.remove_reader(self._listener)
        await self._close_all()

    def _accept(self) -> None:
        try:
            connection, _ = self._listener.accept()
        except OSError:  # a client that left at once
            return
        connection.settimeout(0)
        # asyncio sets this only on sockets with an explicit protocol number; without it answers take 40 ms.
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        task = asyncio.get_running_loop().create_task(self._shake_hands(connection))
        self._handshakes[task] = connection
        task.add_done_callback(self._handshakes.pop)

    async def _shake_hands(self, connection: socket.socket) -> None:
        protocol = partial(SimulatorProtocol, self._config, self._state, {})
        with contextlib.suppress(OSError):  # asyncio has closed the socket
            await asyncio.get_running_loop().connect_accepted_socket(
                protocol, connection, ssl=self._tls, ssl_handshake_timeout=_HANDSHAKE_SECONDS
            )

    async def _close_all(self) -> None:
        # A handshake that is cancelled leaves its socket open; one that meets the end of its input does not.
        for connection in self._handshakes.values():
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
        await asyncio.gather(*self._handshakes, return_exceptions=True)
        for protocol in list(self._state.connections):
            cast("SimulatorProtocol", protocol).transport.abort()
        for task in self._state.tasks:
            task.cancel()
        await asyncio.gather(*self._state.tasks, return_exceptions=True)
        for _ in range(_ROUNDS_TO_CLOSE):
            await asyncio.sleep(0)
