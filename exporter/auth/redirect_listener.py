"""Takes the browser's redirect at the end of a sign-in, on localhost.

Any program or web page on this machine can connect: one thread serves them all, with limits on how many there are, how
long each stays and how much each sends, and nothing that they send is shown.
"""

import asyncio
import errno
import html
import socket
import threading
from collections import deque
from collections.abc import Callable, Mapping
from contextlib import suppress
from http import HTTPStatus
from urllib.parse import parse_qsl, urlsplit

from exporter.errors import ListenError
from exporter.messages import line
from exporter.redaction import Redactor

_PORTS = 65_536
_MAX_HEAD_BYTES = 65_536
_MAX_CONNECTIONS = 32
_CONNECTION_SECONDS = 10.0
_CLOSING_SECONDS = 2.0
_MAX_ERROR_LENGTH = 100


def parameters_of(address: str) -> dict[str, str]:
    """Return an address's query; nothing if it is not a valid address."""
    try:
        return dict(parse_qsl(urlsplit(address.strip()).query))
    except ValueError:
        return {}


class RedirectListener:
    """Listens on a port of localhost from the start, and answers once `serve` is called. Port 0 takes any free one."""

    def __init__(self, port: int) -> None:
        """Raise ListenError."""
        try:
            # create_server would leave a socket open.
            self._socket = socket.create_server(("127.0.0.1", _port(port)))
        except OSError as error:
            raise ListenError(
                line("can't listen on localhost:{} for the browser's redirect: {}", port, error),
                remedy=line("choose another port with --redirect-port"),
            ) from error
        self.port: int = self._socket.getsockname()[1]
        self._loop = asyncio.new_event_loop()
        # A client's end is nothing to tell the user, in whichever of asyncio's callbacks it is noticed.
        self._loop.set_exception_handler(lambda _loop, _context: None)
        self._connections: deque[asyncio.Task[None]] = deque()
        self._server: asyncio.Server | None = None
        self._thread: threading.Thread | None = None
        self._received: Callable[[Mapping[str, str]], object] = lambda _: None

    def serve(self, received: Callable[[Mapping[str, str]], object]) -> None:
        """Answer from now on, on a thread; pass on the parameters of each address that could end a sign-in."""
        self._received = received
        starting = asyncio.start_server(self._connected, sock=self._socket, limit=_MAX_HEAD_BYTES)
        self._server = self._loop.run_until_complete(starting)
        self._thread = threading.Thread(target=self._run, name="redirect", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Listen no longer, and hang up on whoever is connected."""
        if self._thread:
            with suppress(RuntimeError):  # it has ended already
                self._loop.call_soon_threadsafe(self._loop.stop)
            with suppress(RuntimeError):  # Ctrl+C came just before it began
                self._thread.join(_CLOSING_SECONDS)
        self._socket.close()
        if not self._loop.is_running():
            self._loop.close()

    def _run(self) -> None:
        with suppress(RuntimeError):  # closed before this thread began
            self._loop.run_forever()
        if not self._loop.is_closed():
            self._loop.run_until_complete(self._hang_up())

    async def _hang_up(self) -> None:
        if self._server:
            self._server.close()
        connections = asyncio.all_tasks() - {asyncio.current_task()}
        for task in connections:
            task.cancel()
        if connections:
            await asyncio.wait(connections, timeout=_CLOSING_SECONDS)
        await asyncio.sleep(0)  # transports close in the loop's next turn

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None  # noqa: S101  a coroutine always runs in one
        self._connections.append(task)
        if len(self._connections) > _MAX_CONNECTIONS:
            # The oldest: a browser sends its request as soon as it is connected.
            self._connections.popleft().cancel()
        try:
            async with asyncio.timeout(_CONNECTION_SECONDS):
                head = await reader.readuntil(b"\r\n\r\n")
                writer.write(self._answer(head))
                await writer.drain()
        except (OSError, EOFError, asyncio.LimitOverrunError, asyncio.CancelledError):
            writer.transport.abort()  # reset, cut off, too late, too long, or one too many
        finally:
            writer.close()
            with suppress(ValueError):
                self._connections.remove(task)

    def _answer(self, head: bytes) -> bytes:
        """Return the response to a request; pass on what it says of the sign-in."""
        method, _, rest = head.decode("latin-1").partition(" ")
        query = parameters_of(rest.partition(" ")[0])
        if method != "GET" or "state" not in query:
            return _response(HTTPStatus.NOT_FOUND, "There is nothing here.")
        self._received(query)
        text = "Return to the terminal to see how the sign-in ended."
        if "error" in query:
            text = f"The sign-in was refused ({Redactor().quote(query['error'], limit=_MAX_ERROR_LENGTH)}). {text}"
        return _response(HTTPStatus.OK, text)


def _port(number: int) -> int:
    if number not in range(_PORTS):
        raise OSError(errno.EINVAL, "there is no such port")
    return number


def _response(status: HTTPStatus, text: str) -> bytes:
    body = f"<!DOCTYPE html><meta charset=utf-8><title>Sign-in</title><p>{html.escape(text)}</p>".encode()
    head = (
        f"HTTP/1.1 {status.value} {status.phrase}",
        "Content-Type: text/html; charset=utf-8",
        f"Content-Length: {len(body)}",
        "Content-Security-Policy: default-src 'none'",
        "Connection: close",
    )
    return "\r\n".join((*head, "", "")).encode() + body
