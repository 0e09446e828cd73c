"""The exporter and its web server, as `run` and `demo` serve them until a signal."""

import os
import signal
import socket
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path

from exporter import __version__
from exporter.app import Application
from exporter.arguments import ExitStatus
from exporter.commands.auto_reload import AutoReload
from exporter.commands.partners import patient_builder, warn_of_directory_of_root
from exporter.config import Config, load_again
from exporter.instance_lock import InstanceLock
from exporter.local_text import local_text
from exporter.logs import log_dying_threads
from exporter.service_manager import ServiceManager
from exporter.web import application as web
from exporter.web.toolkit.config_file import LiveSettings, WebSettings
from exporter.web.toolkit.guard import Guard
from exporter.web.toolkit.listening import address_of, raise_descriptor_limit
from exporter.web.toolkit.request_target import OriginForm
from exporter.web.toolkit.server import WebServer
from exporter.web.toolkit.tls import ReloadingTls


def exit_on_signals() -> None:
    """Let SIGTERM and SIGINT end the program successfully during start; later the server handles them."""
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda _number, _frame: sys.exit(ExitStatus.SUCCESS))
    signal.signal(signal.SIGHUP, signal.SIG_IGN)  # the configuration is being read anyway


def serve(  # noqa: PLR0913  most are flags
    config: Config,
    *,
    file: Path,
    listen: Callable[[], list[socket.socket]],
    lifecycle: bool,
    telemetry_path: str = "/metrics",
    live_settings: LiveSettings | None = None,
    auto_reload: AutoReload | None = None,
) -> None:
    """Start everything, serve until a signal, and stop everything. Raises ListenError, StateError.

    `listen` opens the sockets, once no other exporter uses the state directory. `file` is read again at a reload;
    `live_settings` are those of --web.config.file.
    """
    read_again = auto_reload.config.read if auto_reload else partial(load_again, file)
    builder = patient_builder(config)
    warn_of_directory_of_root(builder.directory)
    log, clock = builder.log, builder.clock
    with InstanceLock(builder.directory, clock, log) as lock:
        raise_descriptor_limit()
        sockets = listen()
        log_dying_threads(log)
        _switch_threads_often()
        settings: Callable[[], WebSettings] = live_settings or WebSettings
        tls = ReloadingTls(lambda: settings().tls, clock) if settings().tls else None
        problem = partial(_problem, live_settings, tls)
        application = Application(config, builder, read_again, web_problem=problem, lock=lock)
        pages = web.Pages(
            state=application,
            snapshots=builder.snapshots,
            metrics=builder.metrics,
            telemetry_path=telemetry_path,
            lifecycle=lifecycle,
            clock=clock,
        )

        def start() -> None:
            pages.prepare()
            application.start()
            if auto_reload:
                auto_reload.start(application)
            log.info(
                "exporter started",
                version=local_text(__version__),
                partners=len(config.partners),
                listening=local_text(" ".join(map(address_of, sockets))),
                tls=tls is not None,
                state_dir=config.state_dir,
            )

        manager = ServiceManager.of(os.environ, os.getpid())
        guarded = OriginForm(Guard(pages.application(), settings))
        server = WebServer(
            guarded,
            on_start=start,
            on_reload=application.reload_in_background,
            on_beat=lambda: manager.beat(healthy=not application.unhealthy()),
            beat_seconds=manager.beat_seconds,
            urgent_paths=pages.urgent_paths,
            tls=tls,
        )
        server.run(sockets)
        manager.stopping()
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            signal.signal(number, signal.SIG_IGN)  # a second signal must not interrupt the shutdown
        if auto_reload:
            auto_reload.stop()
        application.stop()
        log.info("exporter stopped")


def _problem(settings: LiveSettings | None, tls: ReloadingTls | None) -> str:
    """Return why the newest --web.config.file, or a file that it names, isn't in use, or nothing."""
    return (settings.problem if settings else "") or (tls.problem if tls else "")


def _switch_threads_often() -> None:
    """Let a scrape wait 0.2 ms instead of Python's 5 for a poll that computes, once for every piece of a large page.

    While half a million rows were polled, scrapes of a million series took 16 ms and at most 37, instead of 27
    and 324, and the poll hardly longer (benchmarks/poll.py).
    """
    sys.setswitchinterval(0.0002)
