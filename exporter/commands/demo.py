"""`demo`: the whole exporter against the embedded simulator, through the real sign-in, HTTP and TLS."""

import argparse
import signal
import tempfile
from pathlib import Path

from exporter.cli import DEFAULT_PORT, DONE
from exporter.commands.run import WebOptions, address_of, leave_at_a_signal, open_sockets, serve
from exporter.commands.simulate import check_customers, check_speed, write_configuration
from exporter.config import load
from exporter.logs import get_logger
from partnercenter_simulator import Simulator


def main(arguments: argparse.Namespace) -> int:
    """Run until SIGTERM or SIGINT; nothing is left behind."""
    check_speed(arguments.speed)
    check_customers(arguments.customers)
    leave_at_a_signal()
    sockets = open_sockets(arguments, [f"127.0.0.1:{DEFAULT_PORT}"])
    with (
        _folder() as folder,
        Simulator(seed=arguments.seed, speed=arguments.speed, customers=arguments.customers) as simulator,
    ):
        file = write_configuration(simulator, Path(folder))
        _print_addresses([address_of(each) for each in sockets], simulator.base_url)
        serve(load(file, {}), file, sockets, WebOptions(lifecycle=True), get_logger())
    return DONE


def _folder() -> tempfile.TemporaryDirectory[str]:
    """Return a folder that goes when the program does; a signal waits until that is arranged."""
    signals = signal.pthread_sigmask(signal.SIG_BLOCK, (signal.SIGTERM, signal.SIGINT))
    try:
        return tempfile.TemporaryDirectory(prefix="partnercenter-demo-", ignore_cleanup_errors=True)
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, signals)


def _print_addresses(addresses: list[str], simulator: str) -> None:
    lines = [
        "",
        "The exporter runs against a simulated Partner Center. Open:",
        *(f"  http://{address}/          is it working, and what is the usage" for address in addresses),
        *(f"  http://{address}/metrics   what Prometheus scrapes" for address in addresses),
        f"  {simulator}/_simulator/   the simulator: try out faults",
        "Stop with Ctrl+C.",
        "",
    ]
    print("\n".join(lines), flush=True)
