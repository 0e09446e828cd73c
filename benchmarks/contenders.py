"""Who is measured beside the exporter: each serves the same series in a process of its own.

- `prometheus_client`: labelled gauges behind its own `start_http_server`;
- `client_golang`: the same in Go (benchmarks/go), built where `go` is installed;
- `nginx`: the exporter's own bytes as static files, which is the limit of any server.
"""

import json
import os
import shutil
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from prometheus_client.parser import text_string_to_metric_families

_TIMEOUT_SECONDS = 300.0
_GO_SOURCES = Path(__file__).parent / "go"
_PYTHON_PROGRAM = """
import json, sys, threading
from prometheus_client import Gauge, start_http_server
families = {}
for line in open(sys.argv[1], encoding="utf-8"):
    name, labels, value = json.loads(line)
    if name not in families:
        families[name] = Gauge(name, "Same series as the exporter.", sorted(labels))
    families[name].labels(**labels).set(value)
start_http_server(int(sys.argv[2]), "127.0.0.1")
threading.Event().wait()
"""


@dataclass(frozen=True, slots=True)
class Contender:
    """A server of /metrics on 127.0.0.1, and its process."""

    name: str
    port: int
    process_id: int


def write_series(exposition: str, file: Path) -> int:
    """Write the data series of an exposition, a JSON line each; return how many there are."""
    # Only what was polled: the live metrics of the exporter are no part of the comparison.
    data = (
        sample
        for family in text_string_to_metric_families(exposition)
        if family.name.startswith(("partnercenter_license", "partnercenter_customer", "partnercenter_product"))
        for sample in family.samples
    )
    with file.open("w", encoding="utf-8") as lines:
        return sum(lines.write(json.dumps([sample.name, sample.labels, sample.value]) + "\n") > 0 for sample in data)


@contextmanager
def prometheus_client(series: Path) -> Iterator[Contender]:
    """Serve the series with prometheus_client."""
    port = free_port()
    with _running([sys.executable, "-c", _PYTHON_PROGRAM, str(series), str(port)], port) as process:
        yield Contender("prometheus_client", port, process.pid)


def build_go(folder: Path) -> Path | None:
    """Return the Go program, built; None, with a word why, where it can't be had."""
    go = shutil.which("go")
    if go is None:
        print("client_golang is left out: go is not installed", file=sys.stderr)
        return None
    program = folder / "client_golang"
    built = subprocess.run(  # noqa: S603  Go's own compiler
        [go, "build", "-o", str(program), "."], cwd=_GO_SOURCES, capture_output=True, text=True, check=False
    )
    if built.returncode:
        print(f"client_golang is left out: {built.stderr.strip()}", file=sys.stderr)
        return None
    return program


@contextmanager
def client_golang(program: Path, series: Path) -> Iterator[Contender]:
    """Serve the series with the Go program."""
    port = free_port()
    with _running([str(program), str(series), f"127.0.0.1:{port}"], port) as process:
        yield Contender("client_golang", port, process.pid)


@contextmanager
def nginx(plain: bytes, gzipped: bytes, folder: Path) -> Iterator[Contender]:
    """Serve pre-rendered bytes with nginx; raises FileNotFoundError where it isn't installed."""
    program = shutil.which("nginx", path=f"{os.environ.get('PATH', '')}:/usr/sbin")
    if program is None:
        raise FileNotFoundError("nginx is not installed: apt-get install nginx-light")
    root = folder / "nginx"
    root.mkdir(exist_ok=True)
    # A worker of nginx that was started as root is another user.
    folder.chmod(0o755)
    (root / "metrics").write_bytes(plain)
    (root / "metrics.gz").write_bytes(gzipped)
    port = free_port()
    configuration = folder / "nginx.conf"
    configuration.write_text(
        f"""daemon off; master_process off; error_log stderr crit; pid {folder}/nginx.pid;
        events {{}}
        http {{
            access_log off; sendfile on; tcp_nopush on; default_type text/plain; gzip_static on;
            client_body_temp_path {folder}; proxy_temp_path {folder}; fastcgi_temp_path {folder};
            uwsgi_temp_path {folder}; scgi_temp_path {folder};
            server {{ listen 127.0.0.1:{port}; root {root}; }}
        }}"""
    )
    with _running([program, "-c", str(configuration), "-p", str(folder)], port) as process:
        yield Contender("nginx", port, process.pid)


def free_port() -> int:
    """Return a port of 127.0.0.1 that nobody listens at."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port: int = listener.getsockname()[1]
        return port


@contextmanager
def _running(command: Sequence[str], port: int) -> Iterator[subprocess.Popen[bytes]]:
    """Run a server until the end of the block; raises RuntimeError where it never listens."""
    with subprocess.Popen(command) as process:  # noqa: S603  the contenders named above
        try:
            _wait_for(port, process)
            yield process
        finally:
            process.kill()


def _wait_for(port: int, process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + _TIMEOUT_SECONDS
    pause = threading.Event()
    while True:
        try:
            socket.create_connection(("127.0.0.1", port)).close()
        except ConnectionRefusedError:
            if process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"{process.args!r} does not listen") from None
            pause.wait(0.05)
        else:
            return
