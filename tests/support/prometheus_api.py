"""A stand-in for Prometheus' HTTP API, which answers every query as a test says."""

import json
import ssl
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

Answer = tuple[int, bytes]
Respond = Callable[[str, Mapping[str, str]], Answer]
"""Returns status and body for a query and the request's headers."""


@dataclass
class Api:
    """A running stand-in, and the paths and headers of what it was asked."""

    url: str
    asked: list[tuple[str, Mapping[str, str]]] = field(default_factory=list)


def vector(*series: tuple[dict[str, str], float], warnings: tuple[str, ...] = ()) -> Answer:
    """Return a good answer."""
    result = [{"metric": labels, "value": [1.5, str(value)]} for labels, value in series]
    content = {"status": "success", "data": {"resultType": "vector", "result": result}, "warnings": warnings}
    return 200, json.dumps(content).encode()


def refusal(status: int, kind: str, words: str) -> Answer:
    """Return an error as Prometheus sends it."""
    return status, json.dumps({"status": "error", "errorType": kind, "error": words}).encode()


@contextmanager
def prometheus_api(respond: Respond, context: ssl.SSLContext | None = None) -> Iterator[Api]:
    """Serve on a free port, with TLS if there is a context."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            parts = urlsplit(self.path)
            api.asked.append((parts.path, dict(self.headers.items())))
            status, body = respond(parse_qs(parts.query)["query"][0], dict(self.headers.items()))
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            if 300 <= status < 400:
                self.send_header("Location", "https://login.example/?secret=x")
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: Any) -> None:
            """Log nothing."""

    class Server(ThreadingHTTPServer):
        def handle_error(self, *_: Any) -> None:
            """Say nothing of a client that gives up."""

    with Server(("127.0.0.1", 0), Handler) as server:
        if context is not None:
            server.socket = context.wrap_socket(server.socket, server_side=True)
        scheme = "http" if context is None else "https"
        api = Api(f"{scheme}://localhost:{server.server_address[1]}")
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        try:
            yield api
        finally:
            server.shutdown()
