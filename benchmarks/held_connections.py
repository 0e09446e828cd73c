"""How fast a scrape is answered while others hold connections that they don't use.

`python -m benchmarks.held_connections` starts the real program against the simulator, without and with TLS.
It holds idle connections and, with TLS, half-open handshakes (opened again whenever the exporter has closed
them), scrapes meanwhile, and prints the times beside the target. It asserts nothing.
"""

import argparse
import http.client
import multiprocessing
import signal
import socket
import ssl
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import cache
from multiprocessing.synchronize import Event
from pathlib import Path
from typing import Self

import trustme
from tabulate import tabulate

from partnercenter_simulator import Simulator, write_demo_configuration

_TIMEOUT_SECONDS = 60.0
_CHECK_INTERVAL_SECONDS = 0.05
# What the exporter has closed is opened again: up to 500 connections a second.
_REOPENED_AT_ONCE = 25


@dataclass(frozen=True, slots=True)
class Target:
    """A running exporter; `ca_file` is who signed its certificate, None for plain HTTP."""

    port: int
    ca_file: Path | None

    def context(self) -> ssl.SSLContext | None:
        """Return how a client speaks to it."""
        return _context(self.ca_file) if self.ca_file else None


@dataclass(frozen=True, slots=True)
class Figures:
    """The seconds of each scrape, over a connection of its own and over one that is kept."""

    name: str
    new: list[float]
    kept: list[float]


class Holder:
    """Holds connections, in a process of its own so that it takes no time from the scrapes' measurement."""

    def __init__(self, target: Target, *, idle: int, half_open: int) -> None:
        spawning = multiprocessing.get_context("spawn")
        self._full, self._stop = spawning.Event(), spawning.Event()
        arguments = (target.port, target.ca_file, idle, half_open, self._full, self._stop)
        self._process = spawning.Process(target=hold, args=arguments, daemon=True)

    def __enter__(self) -> Self:
        self._process.start()
        self._full.wait(_TIMEOUT_SECONDS)
        return self

    def __exit__(self, *_error: object) -> None:
        self._stop.set()
        self._process.join(_TIMEOUT_SECONDS)


def hold(port: int, ca_file: Path | None, idle: int, half_open: int, full: Event, stop: Event) -> None:
    """Hold so many connections, opened again where the exporter has closed them."""
    connections: dict[socket.socket, bool] = {}
    target = Target(port, ca_file)
    while not stop.wait(_CHECK_INTERVAL_SECONDS):
        for client in _closed(connections):
            del connections[client]
            client.close()
        for shaken, wanted in ((True, idle), (False, half_open)):
            missing = wanted - sum(kind is shaken for kind in connections.values())
            for _ in range(min(missing, _REOPENED_AT_ONCE) if full.is_set() else missing):
                with suppress(OSError):
                    connections[_open(target, shake_hands=shaken)] = shaken
        full.set()


def _open(target: Target, *, shake_hands: bool) -> socket.socket:
    client = socket.create_connection(("127.0.0.1", target.port), timeout=_TIMEOUT_SECONDS)
    context = target.context() if shake_hands else None
    return context.wrap_socket(client, server_hostname="localhost") if context else client


def _closed(connections: Iterable[socket.socket]) -> list[socket.socket]:
    """Return what the exporter has closed: on a silent connection nothing but its end can be read."""
    ended = []
    for client in connections:
        client.settimeout(0)
        try:
            ended += [client] if client.recv(1) == b"" else []
        except (BlockingIOError, ssl.SSLWantReadError):
            continue
        except OSError:
            ended.append(client)
    return ended


def main(argv: Sequence[str] | None = None) -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(description="Time of a scrape while others hold connections.")
    parser.add_argument("--idle", type=int, default=1_000, help="idle connections (default: 1000)")
    parser.add_argument("--half-open", type=int, default=200, help="half-open TLS handshakes (default: 200)")
    parser.add_argument("--scrapes", type=int, default=100, help="scrapes of each kind (default: 100)")
    flags = parser.parse_args(argv)
    figures = []
    with tempfile.TemporaryDirectory() as folder, Simulator() as simulator:
        file = write_demo_configuration(Path(folder), [simulator])
        for name, ca_file in (("HTTP", None), ("HTTPS", _write_web_configuration(Path(folder)))):
            with _exporter(file, ca_file) as target:
                figures.append(measure(f"{name}, nothing held", target, flags.scrapes))
                half_open = flags.half_open if ca_file else 0
                label = f"{name}, {flags.idle} idle" + (f" and {half_open} half-open held" if ca_file else " held")
                with Holder(target, idle=flags.idle, half_open=half_open):
                    figures.append(measure(label, target, flags.scrapes))
    print(table(figures))
    return 0


def measure(name: str, target: Target, scrapes: int) -> Figures:
    """Scrape one after the other."""
    kept = _connect(target)
    _scrape(kept)  # not counted: the exporter first takes up the connections that wait
    figures = Figures(name, [], [])
    for _ in range(scrapes):
        figures.kept.append(_scrape(kept))
        began = time.perf_counter()
        connection = _connect(target)
        _scrape(connection)
        figures.new.append(time.perf_counter() - began)
        connection.close()
    kept.close()
    return figures


def table(figures: Sequence[Figures]) -> str:
    """Return medians and extremes in milliseconds, beside the target."""
    rows = [
        (
            figure.name,
            kind,
            len(seconds),
            f"{statistics.median(seconds) * 1e3:.1f}",
            f"{max(seconds) * 1e3:.1f}",
            "under 100",
        )
        for figure in figures
        for kind, seconds in (("new", figure.new), ("keep-alive", figure.kept))
    ]
    return tabulate(rows, headers=("load", "connection", "scrapes", "median ms", "max ms", "target"))


@cache
def _context(ca_file: Path) -> ssl.SSLContext:
    return ssl.create_default_context(cafile=str(ca_file))


def _connect(target: Target) -> http.client.HTTPConnection:
    context = target.context()
    if context is None:
        return http.client.HTTPConnection("127.0.0.1", target.port, timeout=_TIMEOUT_SECONDS)
    return http.client.HTTPSConnection("127.0.0.1", target.port, timeout=_TIMEOUT_SECONDS, context=context)


def _scrape(connection: http.client.HTTPConnection) -> float:
    """Return the seconds that a scrape took; a kept connection may have been closed: then it opens again."""
    began = time.perf_counter()
    try:
        connection.request("GET", "/metrics", headers={"Accept-Encoding": "gzip"})
        response = connection.getresponse()
    except (ConnectionError, http.client.RemoteDisconnected):
        connection.close()
        connection.request("GET", "/metrics", headers={"Accept-Encoding": "gzip"})
        response = connection.getresponse()
    response.read()
    if response.status != http.HTTPStatus.OK:
        raise RuntimeError(f"a scrape was answered with {response.status}")
    return time.perf_counter() - began


def _write_web_configuration(folder: Path) -> Path:
    """Write a web configuration with TLS into the folder; return its CA's file."""
    authority = trustme.CA()
    leaf = authority.issue_cert("localhost", "127.0.0.1")
    (folder / "server.pem").write_bytes(leaf.cert_chain_pems[0].bytes())
    (folder / "server.key").write_bytes(leaf.private_key_pem.bytes())
    (folder / "web.yml").write_text("tls_server_config: {cert_file: server.pem, key_file: server.key}\n")
    authority.cert_pem.write_to_path(str(folder / "web-ca.pem"))
    return folder / "web-ca.pem"


@contextmanager
def _exporter(file: Path, ca_file: Path | None) -> Iterator[Target]:
    """Run the exporter until the measurement is over."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port: int = listener.getsockname()[1]
    command = [sys.executable, "-m", "exporter", "--log.level=warn", f"--config.file={file}"]
    command += [f"--web.listen-address=127.0.0.1:{port}"]
    command += [f"--web.config.file={file.parent / 'web.yml'}"] if ca_file else []
    process = subprocess.Popen(command)  # noqa: S603  our own program
    target = Target(port, ca_file)
    try:
        _wait_for_data(target)
        yield target
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(_TIMEOUT_SECONDS)


def _wait_for_data(target: Target) -> None:
    deadline = time.monotonic() + _TIMEOUT_SECONDS
    pause = threading.Event()
    while time.monotonic() < deadline:
        with suppress(OSError):
            connection = _connect(target)
            connection.request("GET", "/-/ready")
            status = connection.getresponse().status
            connection.close()
            if status == http.HTTPStatus.OK:
                return
        pause.wait(_CHECK_INTERVAL_SECONDS)
    raise RuntimeError("the exporter was never ready")


if __name__ == "__main__":
    sys.exit(main())
