"""`run`: the exporter."""

import argparse
import os
import random
import signal
import socket
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from exporter import __version__
from exporter.app import Application
from exporter.cli import DEFAULT_PORT, DONE, revision
from exporter.clock import SystemClock
from exporter.config import Config, load
from exporter.errors import ConfigurationError, Problem
from exporter.logs import Logger, get_logger, log_dying_threads
from exporter.metrics.own import OwnMetrics
from exporter.web import application as web
from exporter.web.toolkit.config_file import LiveSettings, WebSettings
from exporter.web.toolkit.guard import Guard
from exporter.web.toolkit.listening import address_of as address_of  # noqa: PLC0414  for `demo` too
from exporter.web.toolkit.listening import listen, raise_descriptor_limit, systemd_sockets
from exporter.web.toolkit.server import WebServer
from exporter.web.toolkit.tls import ReloadingTls

# In place of Python's 5 ms: while half a million rows were polled, scrapes of a million series took 16 ms and
# at most 37, in place of 27 and 324, and the poll hardly longer (benchmarks/poll.py).
_SWITCH_SECONDS = 0.0002


@dataclass(frozen=True, slots=True)
class WebOptions:
    """What the flags say of the web side; `settings` gives the newest content of --web.config.file."""

    telemetry_path: str = "/metrics"
    lifecycle: bool = False
    settings: Callable[[], WebSettings] = WebSettings


def main(arguments: argparse.Namespace) -> int:
    """Run until SIGTERM or SIGINT."""
    check_telemetry_path(arguments.telemetry_path)
    file = Path(arguments.config_file)
    config = load(file)
    web_file = arguments.web_config_file
    options = WebOptions(
        telemetry_path=arguments.telemetry_path,
        lifecycle=arguments.lifecycle,
        settings=_live_settings(Path(web_file)) if web_file else WebSettings,
    )
    leave_at_a_signal()
    serve(config, file, open_sockets(arguments, [f":{DEFAULT_PORT}"]), options, get_logger())
    return DONE


def leave_at_a_signal() -> None:
    """Let SIGTERM and SIGINT end the program with status 0 while it starts; then the server takes them."""
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda _number, _frame: sys.exit(DONE))
    signal.signal(signal.SIGHUP, signal.SIG_IGN)  # what is read now is new enough


def _live_settings(file: Path) -> LiveSettings:
    return LiveSettings(file, clock=SystemClock(), log=get_logger())


def check_telemetry_path(path: str) -> None:
    """Refuse a path that isn't one, or is taken; raises ConfigurationError."""
    is_plain = path.isprintable() and not any(c in path for c in "{}?#% ")
    if not path.startswith("/") or path.startswith("/-/") or not is_plain:
        problem = Problem(0, "--web.telemetry-path", f"{path!r} can't be used: give a path like /metrics")
        raise ConfigurationError("command line", (problem,))


def open_sockets(arguments: argparse.Namespace, default: list[str]) -> list[socket.socket]:
    """Return the listening sockets that the flags ask for; raises ListenError."""
    if getattr(arguments, "systemd_socket", False):
        return systemd_sockets(dict(os.environ), os.getpid())
    return listen(arguments.listen_addresses or default)


def serve(config: Config, file: Path, sockets: list[socket.socket], options: WebOptions, log: Logger) -> None:
    """Start everything, serve until a signal, and stop everything. Raises StateError."""
    raise_descriptor_limit()
    log_dying_threads(log)
    # A scrape waits so long for a poll that computes, and does so for every piece of a large page.
    sys.setswitchinterval(_SWITCH_SECONDS)
    clock = SystemClock()
    application = Application(
        config,
        read_config=lambda: load(file),
        own=OwnMetrics(revision=revision()),
        clock=clock,
        rng=random.Random(),  # noqa: S311  it spreads polls, it guards nothing
        log=log,
    )
    pages = web.Pages(
        facts=application,
        snapshots=application.snapshots,
        own=application.own,
        telemetry_path=options.telemetry_path,
        lifecycle=options.lifecycle,
        clock=clock,
    ).application()
    settings = options.settings
    tls = ReloadingTls(lambda: settings().tls, clock=clock, log=log) if settings().tls else None
    server = WebServer(
        Guard(pages, settings), sockets, log=log, on_reload=application.reload_in_background, tls=tls
    )

    def start() -> None:
        application.start()
        log.info(
            "exporter started",
            version=__version__,
            partners=len(config.partners),
            listening=" ".join(address_of(each) for each in sockets),
            tls=tls is not None,
            state_dir=str(config.state_dir),
        )

    server.serve_until_stopped(start)
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)  # it ends already, and nothing is to be left half done
    application.stop()
    log.info("exporter stopped")
