"""How soon the exporter answers after its start, and how much memory it holds.

`python -m benchmarks.start` starts the real program against the simulator, several times, each with an empty
state, and prints the medians beside the targets, then what was imported until the first data came and what
each package's own modules took. It asserts nothing: a busy machine is no regression.
"""

import argparse
import http.client
import re
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from tabulate import tabulate

from exporter.model.rows import SourceName
from partnercenter_simulator import Simulator, write_demo_configuration

_TIMEOUT_SECONDS = 60.0
_CHECK_INTERVAL_SECONDS = 0.005
_SETTLE_SECONDS = 1.0
_MAX_PACKAGES = 25
_IMPORTED = re.compile(r"import time:\s+(?P<own>\d+) \|\s+\d+ \|\s+(?P<package>\w+)")


@dataclass(frozen=True, slots=True)
class Start:
    """One start of the program: seconds since the process began, and bytes."""

    first_answer_seconds: float
    first_data_seconds: float
    resident_bytes: float


def main(argv: Sequence[str] | None = None) -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(description="Time from start to the first answer, and resident memory.")
    parser.add_argument("--runs", type=int, default=7, help="how many starts (default: 7)")
    runs = parser.parse_args(argv).runs
    with tempfile.TemporaryDirectory() as folder, Simulator() as simulator:
        file = write_demo_configuration(Path(folder), [simulator])
        measure(file)  # not counted: it may have to compile and to warm the file cache
        starts = [measure(file) for _ in range(max(runs, 1))]
        imported = imports(file)
    print(table(starts))
    print()
    print(import_table(imported))
    return 0


def measure(config_file: Path) -> Start:
    """Start the exporter with an empty state, wait for its data, and stop it."""
    return _watch(config_file)


def imports(config_file: Path) -> dict[str, tuple[int, float]]:
    """Return for each package how many of its modules one start imports, and their seconds."""
    with tempfile.TemporaryFile("w+") as report:
        _watch(config_file, python=("-X", "importtime"), report=report)
        report.seek(0)
        found: dict[str, tuple[int, float]] = {}
        for line in report:
            if match := _IMPORTED.match(line):
                count, seconds = found.get(match["package"], (0, 0.0))
                found[match["package"]] = (count + 1, seconds + int(match["own"]) / 1e6)
    return found


def _watch(config_file: Path, *, python: Sequence[str] = (), report: IO[str] | None = None) -> Start:
    shutil.rmtree(config_file.parent / "state", ignore_errors=True)
    port = _free_port()
    command = [sys.executable, *python, "-m", "exporter", "--log.level=warn", f"--config.file={config_file}"]
    began = time.perf_counter()
    process = subprocess.Popen(  # noqa: S603  our own program
        [*command, f"--web.listen-address=127.0.0.1:{port}"], stderr=report
    )
    try:
        first_answer = _seconds_until(lambda: bool(_page(port)), process, began)
        first_data = _seconds_until(
            lambda: _page(port).count("\npartnercenter_rows{") == len(SourceName), process, began
        )
        threading.Event().wait(_SETTLE_SECONDS)
        resident = _resident_bytes(process.pid)
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(_TIMEOUT_SECONDS)
    return Start(first_answer, first_data, resident)


def table(starts: Sequence[Start]) -> str:
    """Return the medians and extremes beside the targets."""
    lines: list[tuple[str, Sequence[float], str, str]] = [
        ("first answer of /metrics", [start.first_answer_seconds for start in starts], "s", "under 1"),
        ("first data in it", [start.first_data_seconds for start in starts], "s", ""),
        ("resident memory", [start.resident_bytes / 1e6 for start in starts], "MB", "under 72"),
    ]
    rows = [
        (name, f"{statistics.median(values):.2f}", f"{min(values):.2f}", f"{max(values):.2f}", unit, target)
        for name, values, unit, target in lines
    ]
    return tabulate(rows, headers=(f"of {len(starts)} starts", "median", "min", "max", "unit", "target"))


def import_table(imported: dict[str, tuple[int, float]]) -> str:
    """Return the packages that took longest, and all others in one line."""
    longest = sorted(imported.items(), key=lambda item: -item[1][1])
    rows = [(name, count, f"{seconds * 1000:.0f}") for name, (count, seconds) in longest[:_MAX_PACKAGES]]
    rest = [figures for _, figures in longest[_MAX_PACKAGES:]]
    rows.append((f"{len(rest)} others", sum(n for n, _ in rest), f"{sum(s for _, s in rest) * 1000:.0f}"))
    return tabulate(rows, headers=("imported until the first data", "modules", "ms, measured one by one"))


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port: int = listener.getsockname()[1]
        return port


def _seconds_until(condition: Callable[[], bool], process: subprocess.Popen[bytes], began: float) -> float:
    """Return the seconds from `began` until the condition holds; raises RuntimeError where it never does."""
    pause = threading.Event()
    while not condition():
        if process.poll() is not None or time.perf_counter() - began > _TIMEOUT_SECONDS:
            raise RuntimeError(f"no response from the exporter (exit status {process.returncode})")
        pause.wait(_CHECK_INTERVAL_SECONDS)
    return time.perf_counter() - began


def _page(port: int) -> str:
    """Return /metrics, or nothing where nobody answers yet."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=_TIMEOUT_SECONDS)
    try:
        connection.request("GET", "/metrics")
        return connection.getresponse().read().decode()
    except ConnectionError:
        return ""
    finally:
        connection.close()


def _resident_bytes(process_id: int) -> float:
    """Return the process' resident memory, as Linux counts it."""
    status = Path(f"/proc/{process_id}/status").read_text("ascii", "replace")
    line = next(line for line in status.splitlines() if line.startswith("VmRSS:"))
    return float(line.split()[1]) * 1024


if __name__ == "__main__":
    sys.exit(main())
