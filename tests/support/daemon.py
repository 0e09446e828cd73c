"""Programs of others that serve on this machine until a test has seen enough."""

import socket
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import httpx

LOOPBACK = "127.0.0.1"


@contextmanager
def running(command: Sequence[str], log_file: Path) -> Iterator[subprocess.Popen[bytes]]:
    """Run a program until the block ends; what it prints goes to the file."""
    with log_file.open("wb") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log)  # noqa: S603  Debian's own programs
        try:
            yield process
        finally:
            process.kill()
            process.wait(10)


def answers(url: str) -> bool:
    """Return whether it says OK."""
    try:
        return httpx.get(url, trust_env=False, timeout=5).status_code == httpx.codes.OK
    except httpx.TransportError:
        return False


def free_port() -> int:
    """Return a port that nobody listens on."""
    with socket.create_server((LOOPBACK, 0)) as probe:
        port: int = probe.getsockname()[1]
    return port
