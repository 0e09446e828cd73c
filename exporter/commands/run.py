"""`run`: the exporter."""

import os

from exporter.arguments import ExitStatus, Run
from exporter.clock import Clock
from exporter.commands.auto_reload import AutoReload
from exporter.commands.configuration import read_both
from exporter.commands.serving import exit_on_signals, serve
from exporter.config import load
from exporter.config.watch import WatchedConfig
from exporter.web.toolkit.config_file import LiveSettings
from exporter.web.toolkit.listening import listen, systemd_sockets


def run(arguments: Run) -> ExitStatus:
    """Run until SIGTERM or SIGINT. Raises ConfigurationError, ListenError, StateError."""
    clock = Clock()
    # Before the file is read: what changes from then on is a change.
    auto_reload = _auto_reload(arguments, clock)
    file = arguments.web_config_file
    config, settings = read_both(
        lambda: load(arguments.config_file), lambda: LiveSettings(file, clock) if file else None
    )
    exit_on_signals()
    by_systemd = arguments.systemd_socket
    serve(
        config,
        file=arguments.config_file,
        listen=lambda: systemd_sockets(os.environ, os.getpid()) if by_systemd else listen(arguments.listen_addresses),
        lifecycle=arguments.lifecycle,
        telemetry_path=arguments.telemetry_path,
        live_settings=settings,
        auto_reload=auto_reload,
    )
    return ExitStatus.SUCCESS


def _auto_reload(arguments: Run, clock: Clock) -> AutoReload | None:
    if not arguments.auto_reload:
        return None
    watched = WatchedConfig(arguments.config_file)
    return AutoReload(watched, interval_seconds=arguments.auto_reload_seconds, clock=clock)
