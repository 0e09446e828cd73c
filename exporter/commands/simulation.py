"""The simulator, which is an extra: where it is not installed, importing this module raises ExporterError."""

from collections.abc import Sequence
from pathlib import Path

from exporter.arguments import Simulated
from exporter.errors import ExporterError
from exporter.flags import usage_error
from exporter.local_text import local_text
from exporter.messages import line

try:
    from partnercenter_simulator import MAX_CUSTOMERS, Simulator, write_demo_configuration
except ModuleNotFoundError as error:
    raise ExporterError(
        line("the simulator is not installed: {}", local_text(str(error))),
        remedy=line("add [simulator] to what was installed: '.[simulator]' in a checkout, or 'FILE.whl[simulator]'"),
    ) from error

__all__ = ["Simulator", "new_simulator", "write_configuration"]


def new_simulator(flags: Simulated, *, host: str = "127.0.0.1", port: int = 0, files_port: int = 0) -> Simulator:
    """Return the simulator, not started yet; raises ConfigurationError, and OSError if it can't listen."""
    if not 1 <= flags.customers <= MAX_CUSTOMERS:
        raise usage_error("--customers", f"give a number from 1 to {MAX_CUSTOMERS:,}")
    return Simulator(
        seed=flags.seed, customers=flags.customers, speed=flags.speed, host=host, port=port, files_port=files_port
    )


def write_configuration(folder: Path, simulators: Sequence[Simulator], *, api: str = "commercial") -> Path:
    """Write the demo's configuration for these simulators, and return its path; raises ExporterError."""
    try:
        return write_demo_configuration(folder, simulators, api=api)
    except OSError as error:
        message = line("can't write to {}: {}", folder, error)
        raise ExporterError(message, remedy=line("choose another directory with --output")) from error
