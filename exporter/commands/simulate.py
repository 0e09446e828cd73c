"""`simulate`: the simulated Entra ID and Partner Center alone, for compose files and faults by hand."""

import argparse
import math
import os
import signal
import threading
from datetime import UTC, datetime, timedelta
from pathlib import Path

import yaml

from exporter.cli import DONE
from exporter.errors import ConfigurationError, ExporterError, ListenError, Problem
from exporter.web.toolkit.listening import split_address
from partnercenter_simulator import MOST_CUSTOMERS, Simulator

_FASTEST = 10_000_000.0
_SECRET_DAYS = 180


def main(arguments: argparse.Namespace) -> int:
    """Run until SIGTERM or SIGINT."""
    check_speed(arguments.speed)
    check_customers(arguments.customers)
    host, port = split_address((arguments.listen_addresses or ["127.0.0.1:10443"])[0])
    stopped = _stop_at_a_signal()
    try:
        simulator = Simulator(
            seed=arguments.seed,
            speed=arguments.speed,
            customers=arguments.customers,
            host=host or "0.0.0.0",  # noqa: S104  every interface was asked for
            port=port,
        )
        simulator.start()
    except OSError as error:
        raise ListenError(
            f"can't listen on {host}:{port}: {os.strerror(error.errno) if error.errno else error}",
            remedy="stop what listens there, or choose another with --web.listen-address",
        ) from error
    try:
        if arguments.output:
            print(f"configuration: {_written(simulator, Path(arguments.output))}")
        print(f"simulator: {simulator.base_url}/_simulator/  (Ctrl+C stops it)", flush=True)
        stopped.wait()
    finally:
        simulator.stop()
    return DONE


def check_speed(speed: float) -> None:
    """Refuse what is no speed; raises ConfigurationError."""
    if not (math.isfinite(speed) and 0 < speed <= _FASTEST):
        problem = Problem(
            0, "--speed", f"{speed} is no speed: give a number above 0, at most {_FASTEST:,.0f}"
        )
        raise ConfigurationError("command line", (problem,))


def check_customers(customers: int) -> None:
    """Refuse a partner of a size that can't be simulated; raises ConfigurationError."""
    if not 1 <= customers <= MOST_CUSTOMERS:
        problem = Problem(0, "--customers", f"a simulated partner has 1 to {MOST_CUSTOMERS:,} customers")
        raise ConfigurationError("command line", (problem,))


def _written(simulator: Simulator, folder: Path) -> Path:
    """Write the configuration; raises ExporterError where the folder can't be written."""
    try:
        return write_configuration(simulator, folder)
    except OSError as error:
        raise ExporterError(
            f"can't write to {folder}: {error.strerror}", remedy="give another folder with --output"
        ) from error


def write_configuration(simulator: Simulator, folder: Path) -> Path:
    """Write config.yaml and what it points to: a partner that can sign in at once."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "ca.pem").write_bytes(simulator.ca_pem)
    _write_secret(folder / "client-secret", simulator.client_secret)
    _write_secret(folder / "refresh-token", simulator.entra.issue_refresh_token())
    content = {
        "partners": [
            {
                "name": "contoso",
                "tenant_id": simulator.tenant_id,
                "client_id": simulator.client_id,
                "client_secret_file": "client-secret",
                "client_secret_expires": (
                    datetime.now(UTC).date() + timedelta(days=_SECRET_DAYS)
                ).isoformat(),
                "refresh_token_file": "refresh-token",
                "authority": simulator.authority,
                "api_url": simulator.base_url,
            }
        ],
        "sources": {name: {"api": "commercial"} for name in ("usage", "deployment")},
        "poll": {"interval": "1m"},
        "targets": [{"ratio": 0.5}, {"ratio": 0.8, "workload": "Exchange"}],
        "http": {"ca_file": "ca.pem"},
        "state_dir": "state",
    }
    file = folder / "config.yaml"
    file.write_text(yaml.safe_dump(content, sort_keys=False), "utf-8")
    return file


def _write_secret(file: Path, secret: str) -> None:
    with os.fdopen(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as handle:
        handle.write(f"{secret}\n")


def _stop_at_a_signal() -> threading.Event:
    """Return an event that SIGTERM and SIGINT set."""
    stopped = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda _number, _frame: stopped.set())
    return stopped
