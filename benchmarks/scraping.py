"""One scrape, as Prometheus does it: a kept connection, the body read to its end and thrown away."""

import http.client
import time
from dataclasses import dataclass, field

_PIECE_BYTES = 1 << 20


@dataclass(slots=True)
class Scraper:
    """A client that keeps its connection."""

    port: int
    timeout_seconds: float = 300.0
    _connection: http.client.HTTPConnection | None = field(default=None, init=False)

    def seconds(self, *, gzip: bool) -> float:
        """Scrape once; return the time from the request to the last byte."""
        connection = self._connected()
        headers = {"Accept": "text/plain;version=0.0.4", "Accept-Encoding": "gzip" if gzip else "identity"}
        began = time.perf_counter()
        connection.request("GET", "/metrics", headers=headers)
        reply = connection.getresponse()
        while reply.read(_PIECE_BYTES):
            pass
        taken = time.perf_counter() - began
        encoding = reply.headers.get("Content-Encoding", "identity")
        if reply.status != http.client.OK or encoding != headers["Accept-Encoding"]:
            raise RuntimeError(f"answered with {reply.status}, {encoding}")
        return taken

    def body(self, *, gzip: bool) -> bytes:
        """Scrape once; return the body as it came."""
        connection = self._connected()
        connection.request("GET", "/metrics", headers={"Accept-Encoding": "gzip" if gzip else "identity"})
        return connection.getresponse().read()

    def close(self) -> None:
        """Close the connection."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _connected(self) -> http.client.HTTPConnection:
        if self._connection is None:
            self._connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=self.timeout_seconds)
        return self._connection
