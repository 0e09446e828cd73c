"""A TLS server in a thread, which can be stopped immediately, whatever its clients are doing."""

import asyncio
import contextlib
import socket
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from functools import partial
from typing import cast

from starlette.types import ASGIApp
from uvicorn.config import Config
from uvicorn.server import ServerState

from partnercenter_simulator.delivery import SimulatorProtocol
from partnercenter_simulator.faults import Fault
from partnercenter_simulator.handshake import Certificates, break_handshake

_HANDSHAKE_SECONDS = 5
_KEEP_ALIVE_SECONDS = 75
_START_SECONDS = 10
_STOP_SECONDS = 5
_LOOP_TURNS_TO_CLOSE = 5  # an aborted TLS transport needs two turns of the event loop to close


class ServingThread:
    """Serves an ASGI application on listening sockets, with uvicorn's protocol in its own event loop.

    It replaces uvicorn's server, which logs, wakes up regularly and waits for its clients, and asyncio's,
    which cannot abort a handshake in progress. `next_fault` returns the fault of the next connection to a port, if any.
    """

    def __init__(
        self,
        app: ASGIApp,
        listeners: Sequence[socket.socket],
        certificates: Certificates,
        next_fault: Callable[[int], Fault | None],
    ) -> None:
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
        self._listeners = listeners
        self._certificates = certificates
        self._next_fault = next_fault
        self._state = ServerState()
        self._handshakes: dict[asyncio.Task[None], socket.socket] = {}
        started: Future[asyncio.Event] = Future()
        name = f"simulator-{listeners[0].getsockname()[1]}"
        self._thread = threading.Thread(target=lambda: asyncio.run(self._serve(started)), name=name, daemon=True)
        self._thread.start()
        self._stopping = started.result(_START_SECONDS)

    def stop(self) -> None:
        """Close every connection; return once the thread has ended."""
        self._loop.call_soon_threadsafe(self._stopping.set)
        self._thread.join(_STOP_SECONDS)

    def hang_up(self) -> None:
        """Close every open connection; return once they are closed."""
        asyncio.run_coroutine_threadsafe(self._abort_all(), self._loop).result(_STOP_SECONDS)

    async def _serve(self, started: "Future[asyncio.Event]") -> None:
        loop = self._loop = asyncio.get_running_loop()
        # Clients that abort a handshake are expected: the simulator logs nothing.
        loop.set_exception_handler(lambda _loop, _context: None)
        stopping = asyncio.Event()
        for listener in self._listeners:
            loop.add_reader(listener, self._accept, listener)
        started.set_result(stopping)
        await stopping.wait()
        for listener in self._listeners:
            loop.remove_reader(listener)
        await self._close_all()

    def _accept(self, listener: socket.socket) -> None:
        try:
            connection, _ = listener.accept()
        except OSError:  # the client has already disconnected
            return
        connection.settimeout(0)
        # asyncio sets this only on sockets with an explicit protocol number; without it responses take 40 ms.
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        task = self._loop.create_task(self._handshake(connection, listener.getsockname()[1]))
        self._handshakes[task] = connection
        task.add_done_callback(self._handshakes.pop)

    async def _handshake(self, connection: socket.socket, port: int) -> None:
        fault = self._next_fault(port)
        context = self._certificates.context_for(fault)
        if fault is not None and context is None:
            await break_handshake(connection, fault)
            return
        protocol = partial(SimulatorProtocol, self._config, self._state, {})
        with contextlib.suppress(OSError):  # asyncio has already closed the socket
            await self._loop.connect_accepted_socket(
                protocol, connection, ssl=context, ssl_handshake_timeout=_HANDSHAKE_SECONDS
            )

    async def _close_all(self) -> None:
        # A cancelled handshake leaves its socket open; one that reaches the end of its input does not.
        for connection in self._handshakes.values():
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
        await asyncio.gather(*self._handshakes, return_exceptions=True)
        await self._abort_all()
        for task in self._state.tasks:
            task.cancel()
        await asyncio.gather(*self._state.tasks, return_exceptions=True)
        await _let_transports_close()

    async def _abort_all(self) -> None:
        for protocol in list(self._state.connections):
            cast("SimulatorProtocol", protocol).transport.abort()
        await _let_transports_close()


async def _let_transports_close() -> None:
    for _ in range(_LOOP_TURNS_TO_CLOSE):
        await asyncio.sleep(0)
