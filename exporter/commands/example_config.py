"""`example-config`: every key of config.yaml and its default."""

from exporter.arguments import ExitStatus
from exporter.commands.shipped import EXAMPLE, shipped_files


def run() -> ExitStatus:
    """Print the example. Raises ExporterError."""
    print(shipped_files()[EXAMPLE].decode(), end="")
    return ExitStatus.SUCCESS
