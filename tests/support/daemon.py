"""Third-party servers that run on this machine for the duration of a test."""

import socket
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import httpx

from tests.support.plain_http import NO_TLS
from tests.support.process import PATIENCE_SECONDS

LOOPBACK = "127.0.0.1"


@contextmanager
def running(command: Sequence[str], log_file: Path) -> Iterator[subprocess.Popen[bytes]]:
    """Run a program until the block ends; its output goes to the file."""
    with log_file.open("wb") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log)  # noqa: S603  Debian's own programs
        try:
            yield process
        finally:
            process.kill()
            process.wait(PATIENCE_SECONDS)


def answers(url: str) -> bool:
    """Return whether it responds with OK."""
    try:
        return httpx.get(url, trust_env=False, verify=NO_TLS, timeout=5).status_code == httpx.codes.OK
    except httpx.TransportError:
        return False


def free_port() -> int:
    """Return a free port."""
    with socket.create_server((LOOPBACK, 0)) as probe:
        port: int = probe.getsockname()[1]
    return port
