"""The exporter's connections in this process: it leaves them open until the process ends, tests must not."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

from exporter import builder
from exporter.upstream.transport import open_client


@contextmanager
def closed_at_the_end() -> Iterator[list[httpx.Client]]:
    """Close every HTTP client that the exporter opens meanwhile; its threads must have ended by then."""
    opened: list[httpx.Client] = []

    def open_and_note(
        *, timeout_seconds: float, ca_file: Path | None = None, proxy_url: str | None = None
    ) -> httpx.Client:
        opened.append(open_client(timeout_seconds=timeout_seconds, ca_file=ca_file, proxy_url=proxy_url))
        return opened[-1]

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(builder, "open_client", open_and_note)
        yield opened
    for client in opened:
        client.close()
