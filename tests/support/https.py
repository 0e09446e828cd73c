"""Small HTTPS servers and proxies on loopback, each with what it was asked."""

import contextlib
import socket
import socketserver
import ssl
import threading
from collections.abc import Callable, Iterator

_OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}"
_TUNNEL = b"HTTP/1.1 200 OK\r\n\r\n"


@contextlib.contextmanager
def listening(
    talk: Callable[[socket.socket], None], *, address: tuple[str, int] = ("127.0.0.1", 0)
) -> Iterator[tuple[str, int]]:
    """Let `talk` have each connection, on a thread of its own; yield the address."""

    class Handler(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            with contextlib.suppress(OSError):
                talk(self.request)

    class Server(socketserver.ThreadingTCPServer):
        daemon_threads = True
        allow_reuse_address = True
        request_queue_size = 512
        address_family = socket.AF_INET6 if ":" in address[0] else socket.AF_INET

    with Server(address, Handler) as server:
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
        try:
            yield address[0], server.server_address[1]
        finally:
            server.shutdown()


@contextlib.contextmanager
def https_server(context: ssl.SSLContext, *, address: tuple[str, int] = ("127.0.0.1", 0)) -> Iterator[int]:
    """Answer every request with an empty JSON object; yield the port."""

    def answer(connection: socket.socket) -> None:
        with context.wrap_socket(connection, server_side=True) as secure:
            while secure.recv(65_536):
                secure.sendall(_OK)

    with listening(answer, address=address) as (_, port):
        yield port


@contextlib.contextmanager
def tunnelling_proxy(port: int, *, context: ssl.SSLContext | None = None) -> Iterator[tuple[str, list[bytes]]]:
    """Lead every tunnel to a port of this machine; yield the URL, and the first lines of what it is sent.

    With a context, the proxy speaks TLS itself; the URL says http anyway.
    """
    asked: list[bytes] = []

    def tunnel(connection: socket.socket) -> None:
        asked.append(connection.recv(65_536).partition(b"\r\n")[0])
        connection.sendall(_TUNNEL)
        with socket.create_connection(("127.0.0.1", port)) as upstream:
            back = threading.Thread(target=_copy, args=(upstream, connection), daemon=True)
            back.start()
            _copy(connection, upstream)
            back.join()

    def secure(connection: socket.socket) -> None:
        if context is None:
            tunnel(connection)
            return
        with context.wrap_socket(connection, server_side=True) as wrapped:
            tunnel(wrapped)

    with listening(secure) as (_, own):
        yield f"http://127.0.0.1:{own}", asked


def _copy(source: socket.socket, target: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while data := source.recv(65_536):
            target.sendall(data)
    with contextlib.suppress(OSError):
        target.shutdown(socket.SHUT_WR)
