"""`simulate`: the simulated Entra ID and Partner Center alone, for compose files and tests by hand."""

import os
import signal
import threading

from exporter.arguments import ExitStatus, Simulate
from exporter.commands.simulation import new_simulator, write_configuration
from exporter.errors import ListenError
from exporter.local_text import local_text
from exporter.messages import line
from exporter.web.toolkit.listening import remedy_for, split_address


def run(arguments: Simulate) -> ExitStatus:
    """Run until SIGTERM or SIGINT. Raises ConfigurationError, ListenError, ExporterError."""
    host, port = split_address(arguments.listen_addresses[0])
    stopped = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda _number, _frame: stopped.set())
    try:
        everywhere = "0.0.0.0"  # noqa: S104 -- `:port` means every interface
        simulator = new_simulator(arguments, host=host or everywhere, port=port, files_port=arguments.files_port)
    except OSError as error:
        ports = f"{port} or {arguments.files_port}" if arguments.files_port else str(port)
        raise ListenError(
            line("can't listen on {}:{}: {}", local_text(host), local_text(ports), _reason(error)),
            remedy=remedy_for(error),
        ) from error
    with simulator:
        if folder := arguments.output:
            print(f"configuration: {write_configuration(folder, [simulator])}")
        print(f"simulator: {simulator.base_url}/_simulator/  (press Ctrl+C to stop)", flush=True)
        stopped.wait()
    return ExitStatus.SUCCESS


def _reason(error: OSError) -> OSError:
    """Return the error without what asyncio adds to the system's words."""
    return OSError(error.errno, os.strerror(error.errno)) if error.errno else error
