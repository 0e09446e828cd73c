"""The exporter's connections in this process: it leaves them open until the process ends, tests must not."""

from collections.abc import Iterator
from contextlib import contextmanager

import httpx
import pytest

from exporter import builder
from exporter.clock import Clock
from exporter.upstream.transport import HttpTransport


@contextmanager
def closed_at_the_end() -> Iterator[list[httpx.Client]]:
    """Close every HTTP client that the exporter opens meanwhile; its threads must have ended by then."""
    opened: list[httpx.Client] = []

    class Noted(HttpTransport):
        """Notes what it opens."""

        def __init__(self, client: httpx.Client, *, clock: Clock, timeout_seconds: float) -> None:
            opened.append(client)
            super().__init__(client, clock=clock, timeout_seconds=timeout_seconds)

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(builder, "HttpTransport", Noted)
        yield opened
    for client in opened:
        client.close()
