"""`demo`: the whole exporter against the simulator, through the real sign-in, HTTP and TLS."""

import os
import signal
import tempfile
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

from exporter.arguments import Demo, ExitStatus
from exporter.commands.serving import exit_on_signals, serve
from exporter.commands.simulation import new_simulator, write_configuration
from exporter.config import load
from exporter.web.toolkit.listening import address_of, listen

_ENDING = (signal.SIGTERM, signal.SIGINT)


def run(arguments: Demo) -> ExitStatus:
    """Run until SIGTERM or SIGINT, and leave nothing behind. Raises ConfigurationError, ListenError."""
    with ExitStack() as opened:
        # Temporary files are created here: an interruption halfway would leave some behind.
        signal.pthread_sigmask(signal.SIG_BLOCK, _ENDING)
        try:
            folder = arguments.output or _temporary_folder(opened)
            seeds = (arguments.seed, arguments.seed + 1)
            simulators = [opened.enter_context(new_simulator(replace(arguments, seed=seed))) for seed in seeds]
            exit_on_signals()
        finally:
            signal.pthread_sigmask(signal.SIG_UNBLOCK, _ENDING)
        sockets = listen(arguments.listen_addresses)
        addresses = [address_of(listener) for listener in sockets]
        file = write_configuration(folder, simulators, api=arguments.api)
        configuration = load(file, {})
        print("\nThe exporter is running against a simulated Partner Center. Open:")
        print(*(f"  http://{address}/          status and current usage" for address in addresses), sep="\n")
        print(*(f"  http://{address}/metrics   metrics for Prometheus" for address in addresses), sep="\n")
        names = (partner.name for partner in configuration.partners)
        for name, simulator in zip(names, simulators, strict=True):
            print(f"  {simulator.base_url}/_simulator/   the simulator of {name}: inject faults")
        print("Press Ctrl+C to stop.\n", flush=True)
        # The simulator is on this machine; a proxy, as a company's desks have, would lead elsewhere.
        os.environ["no_proxy"] = "*"
        serve(configuration, file=file, listen=lambda: sockets, lifecycle=True)
    return ExitStatus.SUCCESS


def _temporary_folder(opened: ExitStack) -> Path:
    temporary = tempfile.TemporaryDirectory(prefix="partnercenter-demo-", ignore_cleanup_errors=True)
    return Path(opened.enter_context(temporary))
