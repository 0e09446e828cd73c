"""`demo`: the whole exporter against the simulator, through the real sign-in, HTTP and TLS."""

import signal
import tempfile
from pathlib import Path

from exporter.arguments import Demo, ExitStatus
from exporter.commands.serving import exit_on_signals, serve
from exporter.commands.simulation import new_simulator, write_demo_configuration
from exporter.config import load
from exporter.web.toolkit.listening import address_of, listen


def run(arguments: Demo) -> ExitStatus:
    """Run until SIGTERM or SIGINT, and leave nothing behind. Raises ConfigurationError, ListenError."""
    exit_on_signals()
    with _temporary_folder() as folder, new_simulator(arguments) as simulator:
        sockets = listen(arguments.listen_addresses)
        addresses = [address_of(listener) for listener in sockets]
        file = write_demo_configuration(Path(folder), simulator)
        print("\nThe exporter is running against a simulated Partner Center. Open:")
        print(*(f"  http://{address}/          status and current usage" for address in addresses), sep="\n")
        print(*(f"  http://{address}/metrics   metrics for Prometheus" for address in addresses), sep="\n")
        print(f"  {simulator.base_url}/_simulator/   the simulator: inject faults\nPress Ctrl+C to stop.\n", flush=True)
        serve(load(file, {}), file=file, sockets=sockets, lifecycle=True)
    return ExitStatus.SUCCESS


def _temporary_folder() -> tempfile.TemporaryDirectory[str]:
    """Return a folder that is removed at exit; signals are held back until that is arranged."""
    signals = signal.pthread_sigmask(signal.SIG_BLOCK, (signal.SIGTERM, signal.SIGINT))
    try:
        return tempfile.TemporaryDirectory(prefix="partnercenter-demo-", ignore_cleanup_errors=True)
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, signals)
