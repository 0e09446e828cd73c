"""Accepts connections, each in a place of its own: asyncio's own loop counts none before its handshake is over."""

import asyncio
import errno
import socket
import ssl
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial

from exporter.web.toolkit.handshake import TlsLayer
from exporter.web.toolkit.listening import BACKLOG
from exporter.web.toolkit.places import Places
from exporter.web.toolkit.protocol import BoundedProtocol

OUT_OF_DESCRIPTORS = (errno.EMFILE, errno.ENFILE)
_PAUSE_SECONDS = 1.0


@dataclass(eq=False)
class Acceptor:
    """Accepts at one listening socket from `start` to `stop`; `connection` makes what serves a client."""

    listener: socket.socket
    places: Places
    connection: Callable[[], BoundedProtocol]
    tls: ssl.SSLContext | None
    _tasks: set[asyncio.Task[None]] = field(default_factory=set, init=False)

    def start(self) -> None:
        """Accept what comes, and what has been waiting."""
        self.listener.settimeout(0)
        self.listener.listen(BACKLOG)  # systemd's sockets have another number
        self._resume()

    async def stop(self) -> None:
        """Accept no more, and wait until all that were accepted have their places; the caller closes the socket."""
        asyncio.get_running_loop().remove_reader(self.listener)
        if self._tasks:
            await asyncio.wait(self._tasks)

    def _resume(self) -> None:
        if self.listener.fileno() >= 0:
            asyncio.get_running_loop().add_reader(self.listener, self._accept)

    def _accept(self) -> None:
        for _ in range(self.places.at_once):
            if self.places.overfull:
                return
            try:
                client, _address = self.listener.accept()
            except (BlockingIOError, InterruptedError, ConnectionAbortedError):
                return
            except OSError as error:
                self._make_do(error)
                return
            self._serve(client)

    def _make_do(self, error: OSError) -> None:
        """Report what prevents an acceptance; try again once another connection has given way, or in a second."""
        loop = asyncio.get_running_loop()
        loop.call_exception_handler({"message": "can't accept a connection", "exception": error})
        if not self.places.evict():
            loop.remove_reader(self.listener)
            loop.call_later(_PAUSE_SECONDS, self._resume)

    def _serve(self, client: socket.socket) -> None:
        connection = self.connection()
        self.places.accepted(connection)
        task = asyncio.get_running_loop().create_task(self._connect(client, connection))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _connect(self, client: socket.socket, connection: BoundedProtocol) -> None:
        loop = asyncio.get_running_loop()
        try:
            await loop.connect_accepted_socket(partial(self._protocol, connection), client)
        except (OSError, ValueError):
            client.close()
            self.places.leave(connection)
            raise

    def _protocol(self, connection: BoundedProtocol) -> asyncio.BaseProtocol:
        return TlsLayer(connection, self.tls) if self.tls else connection
