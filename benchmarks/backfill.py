"""How large the files of `backfill` are, by number of customers and detail.

`python -m benchmarks.backfill` runs the real program for one day of a simulated partner with one sample of each series,
and multiplies by the samples of a day at the default step. Of the numbers only the sizes matter, not the machine.
"""

import argparse
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

from tabulate import tabulate

from exporter.formatting import size
from partnercenter_simulator import Simulator
from partnercenter_simulator.configuration import write_configuration

_SAMPLES = 360  # of a day, at --step=4m
_TIMEOUT_SECONDS = 600.0
DETAILS: tuple[tuple[str, ...], ...] = ((), ("customer",), ("product",), ("customer", "product"))


def main(argv: Sequence[str] | None = None) -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(description="Bytes of a backfilled day.")
    parser.add_argument("--customers", type=int, nargs="+", default=[10, 80], help="how many (default: 10 80)")
    parser.add_argument("--small", action="store_true", help="10 customers only")
    chosen = parser.parse_args(argv)
    rows = [measure(count, detail) for count in ([10] if chosen.small else chosen.customers) for detail in DETAILS]
    print(
        tabulate(
            rows,
            headers=("customers", "detail", "series", "a day", "90 days"),
            colalign=("right", "left", *("right",) * 3),
        )
    )
    return 0


def measure(customers: int, detail: tuple[str, ...]) -> tuple[int, str, str, str, str]:
    """Return the row of the table for one day with this detail."""
    with tempfile.TemporaryDirectory() as name, Simulator(customers=customers) as simulator:
        folder = Path(name)
        source = {"api": "commercial", "detail": list(detail)}
        file = write_configuration(folder, simulator, sources={"usage": source, "deployment": source})
        lines = backfilled(file, folder / "past")
    samples = [line for line in lines if not line.startswith(b"#")]
    day = sum(len(line) + 1 for line in samples) * _SAMPLES
    return customers, ", ".join(detail) or "none", f"{len(samples):,}", size(day), size(90 * day)


def backfilled(file: Path, output: Path) -> Sequence[bytes]:
    """Return the lines of a day that is complete, with one sample of each series."""
    day = (datetime.now(UTC) - timedelta(days=14)).date()
    flags = (f"--config.file={file}", f"--from={day}", f"--to={day}", f"--output={output}", "--step=1d")
    labels = ("--label=job=partnercenter-exporter", "--label=instance=exporter.example:10058")
    command = [sys.executable, "-m", "exporter", "backfill", *flags, *labels]
    subprocess.run(command, check=True, capture_output=True, timeout=_TIMEOUT_SECONDS)  # noqa: S603  our own program
    return (output / f"{day}.om").read_bytes().splitlines()


if __name__ == "__main__":
    sys.exit(main())
