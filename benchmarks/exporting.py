"""The real exporter with so many series, polled from a simulated partner of the fitting size."""

import http.client
import os
import ssl
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import httpx
import yaml

from benchmarks.contenders import free_port

_TIMEOUT_SECONDS = 600.0
# Label sets that the simulated partner has for each customer, at least; a label set has two counts.
_LABEL_SETS_FOR_A_CUSTOMER = 76
_COUNTS = 2
_MAX_CUSTOMERS = 20_000
_FEW = 100
LEGACY: dict[str, Any] = {"api": "legacy"}
DETAILED: dict[str, Any] = {"api": "commercial", "detail": ["customer", "product"]}
_TICKS = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True, slots=True)
class Exporter:
    """A running exporter on 127.0.0.1."""

    port: int
    process_id: int
    log: list[str]

    @property
    def polls(self) -> int:
        """How many polls have ended well so far."""
        return sum("poll succeeded" in line for line in tuple(self.log))

    @property
    def resident_bytes(self) -> int:
        """The resident memory now, as Linux counts it."""
        return memory_bytes(self.process_id, "VmRSS")

    @property
    def peak_bytes(self) -> int:
        """The most resident memory so far."""
        return memory_bytes(self.process_id, "VmHWM")

    @property
    def cpu_seconds(self) -> float:
        """The CPU time so far, of all threads."""
        fields = Path(f"/proc/{self.process_id}/stat").read_text("ascii").rpartition(") ")[2].split()
        return (int(fields[11]) + int(fields[12])) / _TICKS

    def answers(self, path: str) -> bool:
        """Whether a path is answered with 200."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=_TIMEOUT_SECONDS)
        try:
            connection.request("GET", path)
            return connection.getresponse().status == http.client.OK
        except ConnectionError:
            return False
        finally:
            connection.close()


def memory_bytes(process_id: int, name: str) -> int:
    """Return a figure of a process' memory as Linux counts it: VmRSS, VmHWM."""
    status = Path(f"/proc/{process_id}/status").read_text("ascii", "replace")
    line = next(line for line in status.splitlines() if line.startswith(name))
    return int(line.split()[1]) * 1024


@contextmanager
def exporting(series: int) -> Iterator[Exporter]:
    """Run an exporter that has polled about so many series, until the end of the block."""
    label_sets = max(series // _COUNTS, 1)
    usage = LEGACY if series < _FEW else DETAILED
    with upstream(usage, label_sets=label_sets) as file, started(file) as exporter:
        wait_until(lambda: exporter.polls > 0)
        yield exporter


@contextmanager
def upstream(usage: dict[str, Any], *, label_sets: int, **quirks: object) -> Iterator[Path]:
    """Run a simulated partner with so many label sets; yield the configuration for an exporter.

    It is a process of its own, so that neither the exporter nor who scrapes it waits for its work.
    """
    customers = min(label_sets // _LABEL_SETS_FOR_A_CUSTOMER + 10, _MAX_CUSTOMERS)
    with tempfile.TemporaryDirectory() as name:
        folder, address = Path(name), f"127.0.0.1:{free_port()}"
        command = [sys.executable, "-m", "exporter", "simulate", f"--customers={customers}"]
        flags = [f"--web.listen-address={address}", f"--output={folder}"]
        with _process([*command, *flags], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL):
            wait_until((folder / "config.yaml").exists)
            context = ssl.create_default_context(cafile=folder / "ca.pem")
            httpx.put(f"https://{address}/_simulator/commercial", json=quirks, verify=context, trust_env=False)
            yield _configured(folder / "config.yaml", usage, label_sets)


def _configured(file: Path, usage: dict[str, Any], label_sets: int) -> Path:
    content: dict[str, Any] = yaml.safe_load(file.read_text("utf-8"))
    content["sources"] = {"usage": usage, "deployment": {"enabled": False}}
    content["poll"] = {"interval": "1m", "max_series": label_sets}
    content.pop("targets", None)
    file.write_text(yaml.safe_dump(content, sort_keys=False), "utf-8")
    return file


@contextmanager
def started(file: Path) -> Iterator[Exporter]:
    """Start the exporter; the first poll may still be under way when it is yielded."""
    port = free_port()
    command = [sys.executable, "-m", "exporter", f"--config.file={file}"]
    flags = [f"--web.listen-address=127.0.0.1:{port}"]
    with _process([*command, *flags], stderr=subprocess.PIPE, text=True) as process:
        log: list[str] = []
        exporter = Exporter(port, process.pid, log)
        threading.Thread(target=_collect, args=(process.stderr, log), daemon=True).start()
        wait_until(lambda: exporter.answers("/-/healthy"))
        yield exporter


@contextmanager
def _process(command: Sequence[str], **options: Any) -> Iterator[subprocess.Popen[Any]]:
    process = subprocess.Popen(command, **options)  # noqa: S603  our own program
    try:
        yield process
    finally:
        process.terminate()
        process.wait(_TIMEOUT_SECONDS)


def _collect(stream: IO[str], lines: list[str]) -> None:
    with suppress(ValueError):  # closed at the end, maybe in the middle of a read
        for line in stream:
            lines.append(line)  # noqa: PERF402  each as it comes: others look at the list meanwhile


def wait_until(condition: Callable[[], bool]) -> None:
    """Wait until a condition holds; raises TimeoutError where it never does."""
    deadline = time.monotonic() + _TIMEOUT_SECONDS
    pause = threading.Event()
    while not condition():
        if time.monotonic() > deadline:
            raise TimeoutError("timed out waiting for the exporter")
        pause.wait(0.02)
