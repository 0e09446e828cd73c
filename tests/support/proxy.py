"""An HTTP proxy that rejects everyone, and servers with which a connection comes to nothing."""

import contextlib
import socket
import socketserver
import threading
from collections.abc import Iterator

_ANSWER = b"HTTP/1.1 407 Proxy Authentication Required\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"


class _Refuse(socketserver.BaseRequestHandler):
    def handle(self) -> None:
        self.request.recv(65_536)
        self.request.sendall(_ANSWER)


@contextlib.contextmanager
def refusing_proxy() -> Iterator[str]:
    """Serve a proxy that requires a password from everyone; yield its URL."""
    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), _Refuse) as server:
        server.daemon_threads = True
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
        try:
            yield f"http://127.0.0.1:{server.server_address[1]}"
        finally:
            server.shutdown()


@contextlib.contextmanager
def closed_port() -> Iterator[int]:
    """Yield a port of 127.0.0.1 that refuses connections until the block ends."""
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        yield bound.getsockname()[1]


@contextlib.contextmanager
def silent_server(*, backlog: int = 128) -> Iterator[socket.socket]:
    """Yield a listening socket of 127.0.0.1 whose connections nobody accepts, reads or answers."""
    with socket.socket() as listener:
        # Small, so that even a short request doesn't fit: who sends more waits.
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1)
        listener.bind(("127.0.0.1", 0))
        listener.listen(backlog)
        yield listener
