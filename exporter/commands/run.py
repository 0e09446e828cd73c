"""`run`: the exporter."""

import argparse
import os
import random
import socket
from pathlib import Path

from exporter import __version__
from exporter.app import Application
from exporter.cli import DEFAULT_PORT, DONE, revision
from exporter.clock import SystemClock
from exporter.config import Config, load
from exporter.errors import ConfigurationError, Problem
from exporter.logs import Logger, get_logger
from exporter.metrics.own import OwnMetrics
from exporter.web import application as web
from exporter.web.server import WebServer, listen, raise_descriptor_limit, systemd_sockets


def main(arguments: argparse.Namespace) -> int:
    """Run until SIGTERM or SIGINT."""
    check_telemetry_path(arguments.telemetry_path)
    file = Path(arguments.config_file)
    config = load(file)
    sockets = open_sockets(arguments, [f":{DEFAULT_PORT}"])
    serve(
        config,
        file,
        sockets,
        telemetry_path=arguments.telemetry_path,
        lifecycle=arguments.lifecycle,
        log=get_logger(),
    )
    return DONE


def check_telemetry_path(path: str) -> None:
    """Refuse a path that isn't one, or is taken; raises ConfigurationError."""
    if not path.startswith("/") or path.startswith("/-/") or any(c in path for c in "{}?# "):
        problem = Problem(0, "--web.telemetry-path", f"{path!r} can't be used: give a path like /metrics")
        raise ConfigurationError("command line", (problem,))


def open_sockets(arguments: argparse.Namespace, default: list[str]) -> list[socket.socket]:
    """Return the listening sockets that the flags ask for; raises ListenError."""
    if getattr(arguments, "systemd_socket", False):
        return systemd_sockets(dict(os.environ), os.getpid())
    addresses = arguments.listen_addresses or default
    return [each for address in addresses for each in listen(address)]


def serve(
    config: Config,
    file: Path,
    sockets: list[socket.socket],
    *,
    telemetry_path: str,
    lifecycle: bool,
    log: Logger,
) -> None:
    """Start everything, serve until a signal, and stop everything. Raises StateError."""
    raise_descriptor_limit()
    application = Application(
        config,
        read_config=lambda: load(file),
        own=OwnMetrics(revision=revision()),
        clock=SystemClock(),
        rng=random.Random(),  # noqa: S311  it spreads polls, it guards nothing
        log=log,
    )
    pages = web.build(
        application,
        snapshots=application.snapshots,
        own=application.own,
        telemetry_path=telemetry_path,
        lifecycle=lifecycle,
    )
    server = WebServer(pages, sockets, log=log, on_reload=application.reload_in_background)
    application.start()
    log.info(
        "exporter started",
        version=__version__,
        partners=len(config.partners),
        listening=" ".join(address_of(each) for each in sockets),
        state_dir=str(config.state_dir),
    )
    server.serve_until_stopped()
    application.stop()
    log.info("exporter stopped")


def address_of(listener: socket.socket) -> str:
    """Return host:port of a listening socket."""
    host, port = listener.getsockname()[:2]
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
