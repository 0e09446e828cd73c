"""`run`: the exporter."""

import os

from exporter.arguments import ExitStatus, Run
from exporter.clock import Clock
from exporter.commands.serving import exit_on_signals, serve
from exporter.config import load
from exporter.web.toolkit.config_file import LiveSettings
from exporter.web.toolkit.listening import listen, systemd_sockets


def run(arguments: Run) -> ExitStatus:
    """Run until SIGTERM or SIGINT. Raises ConfigurationError, ListenError, StateError."""
    config = load(arguments.config_file)
    file = arguments.web_config_file
    settings = LiveSettings(file, Clock()) if file else None
    exit_on_signals()
    by_systemd = arguments.systemd_socket
    serve(
        config,
        file=arguments.config_file,
        sockets=systemd_sockets(os.environ, os.getpid()) if by_systemd else listen(arguments.listen_addresses),
        lifecycle=arguments.lifecycle,
        telemetry_path=arguments.telemetry_path,
        live_settings=settings,
    )
    return ExitStatus.SUCCESS
