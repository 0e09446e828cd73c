"""Stopping: SIGTERM and SIGINT, at any time."""

import json
import signal
import socket
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from exporter.model.rows import SourceName
from partnercenter_simulator import Fault, Simulator
from tests.e2e.conftest import NO_AUTHORITIES, Process, start
from tests.support.config import write_config
from tests.support.process import PATIENCE_SECONDS, until
from tests.support.proxy import silent_server

STOP_SIGNALS = (signal.SIGTERM, signal.SIGINT)
# Longer than a test waits for the end: an exporter that waits for the upstream fails.
STALL_SECONDS = 5 * PATIENCE_SECONDS
RETRY_AFTER_SECONDS = PATIENCE_SECONDS + 20  # less than a poll may wait


@contextmanager
def connection(process: Process, request: bytes = b"") -> Iterator[socket.socket]:
    """Connect to the exporter and send something."""
    address = urlsplit(process.url)
    assert address.hostname
    assert address.port
    with socket.create_connection((address.hostname, address.port), timeout=PATIENCE_SECONDS) as connected:
        connected.sendall(request)
        yield connected


def state_of(file: Path) -> dict[str, object]:
    """Return the content of every state file; fail on incomplete JSON or a leftover temporary file."""
    root = file.parent / "state"
    files = [path for path in root.rglob("*") if path.is_file()]
    assert not [path for path in files if path.name.endswith(".tmp")]
    return {str(path.relative_to(root)): json.loads(path.read_text()) for path in root.rglob("*.json")}


@pytest.mark.parametrize("number", STOP_SIGNALS, ids=lambda number: number.name)
def test_a_signal_ends_an_idle_exporter_with_status_0(
    simulator: Simulator, tmp_path: Path, number: signal.Signals
) -> None:
    file = write_config(tmp_path, simulator)
    with start(file) as process:
        process.wait_until_ready()
        process.wait_for_log("poll succeeded", 2)
        assert process.stop(number) == 0
        log = process.stderr
    assert f"msg=stopping signal={number.name}" in log
    assert 'msg="exporter stopped"' in log
    assert "Traceback" not in log
    state = state_of(file)
    assert set(state) == {
        "tokens/contoso.json",
        "polls/contoso.sign-in.json",
        *(f"{kind}/contoso.{source}.json" for kind in ("polls", "data") for source in SourceName),
    }


@pytest.mark.parametrize(("endpoint", "number"), [("usage", signal.SIGTERM), ("token", signal.SIGINT)])
def test_a_signal_ends_an_exporter_whose_upstream_has_stalled(
    simulator: Simulator, tmp_path: Path, endpoint: str, number: signal.Signals
) -> None:
    simulator.faults.add(Fault(kind="stall", endpoint=endpoint, seconds=STALL_SECONDS))
    file = write_config(tmp_path, simulator, poll={"timeout": f"{STALL_SECONDS:.0f}s"})
    with start(file) as process:
        assert process.url
        simulator.requests.wait_for(1, endpoint)
        assert process.stop(number) == 0
        assert "Traceback" not in process.stderr
    state_of(file)


@pytest.mark.parametrize("place", ["http proxy", "https proxy", "login host", "a full queue of connections"])
def test_a_signal_ends_an_exporter_whose_connection_comes_to_nothing(
    simulator: Simulator, tmp_path: Path, place: str
) -> None:
    full = place.startswith("a full")
    with silent_server(backlog=0 if full else 128) as listener, ExitStack() as stack:
        address = "{}:{}".format(*listener.getsockname())
        keys: dict[str, Any] = {"partner": {"authority": f"https://{address}/{simulator.tenant_id}"}}
        if place.endswith("proxy"):
            scheme = place.removesuffix(" proxy")
            keys = {"http": {"proxy_url": f"{scheme}://{address}", "ca_file": "ca.pem"}}
        file = write_config(tmp_path, simulator, poll={"timeout": f"{STALL_SECONDS:.0f}s"}, **keys)
        if full:
            stack.enter_context(socket.create_connection(listener.getsockname()))
        with start(file) as process:
            assert process.url
            until(lambda: connecting_to(listener, besides=int(full)))
            assert process.stop() == 0
            assert "Traceback" not in process.stderr
            assert "state write timed out" not in process.stderr


def connecting_to(listener: socket.socket, *, besides: int) -> bool:
    """Return whether more connections than these lead to a port of this machine, or are being made."""
    port = f":{listener.getsockname()[1]:04X}"
    rows = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
    return sum(row[2].endswith(port) for row in rows) > besides


@pytest.mark.parametrize("endpoint", ["usage", "token"])
def test_reloads_the_page_and_a_signal_wait_for_no_request(simulator: Simulator, tmp_path: Path, endpoint: str) -> None:
    simulator.faults.add(Fault(kind="stall", endpoint=endpoint, seconds=STALL_SECONDS))
    file = write_config(tmp_path, simulator, poll={"timeout": f"{STALL_SECONDS:.0f}s"})
    with start(file, "--web.enable-lifecycle") as process:
        assert process.url
        simulator.requests.wait_for(1, endpoint)
        for number in range(1, 4):
            write_config(tmp_path, simulator, poll={"timeout": f"{STALL_SECONDS + number:.0f}s"})
            assert process.ask("/-/reload", method="POST").text == "reloaded\n"
            assert process.ask("/").status_code == 200
            assert process.ask("/-/healthy").status_code == 200
        process.send(signal.SIGHUP)
        process.wait_for_log("configuration reloaded", 4)
        assert process.stop() == 0
        assert "Traceback" not in process.stderr


def test_a_signal_ends_an_exporter_that_waits_to_try_again(simulator: Simulator, tmp_path: Path) -> None:
    simulator.faults.add(Fault(kind="throttled", endpoint="usage", retry_after=RETRY_AFTER_SECONDS))
    with start(write_config(tmp_path, simulator)) as process:
        process.wait_for_log("request failed, retrying")
        assert process.stop() == 0
        assert "poll failed" not in process.stderr


def test_a_signal_does_not_wait_for_idle_connections_half_requests_and_readers_that_stall(
    simulator: Simulator, tmp_path: Path
) -> None:
    rows = [
        {
            "workloadName": f"Workload {number} {'x' * 2_000}",
            "serviceName": "o365",
            "channel": "reseller",
            "proratedLicensesUsagePercent": 1.0,
            "processedDateTime": "2026-01-01T00:00:00Z",
        }
        for number in range(4_000)
    ]
    simulator.faults.add(Fault(kind="rows", endpoint="usage", rows=rows))
    scrape = b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n"
    with start(write_config(tmp_path, simulator)) as process, ExitStack() as stack:
        process.wait_until_ready()
        for _ in range(3):
            idle = stack.enter_context(connection(process, b"GET /-/healthy HTTP/1.1\r\nHost: x\r\n\r\n"))
            assert idle.recv(1_000).startswith(b"HTTP/1.1 200")
        stack.enter_context(connection(process))
        stack.enter_context(connection(process, b"GET /metrics HTT"))
        # A response of 16 MB exceeds the socket buffers, so it stalls midway.
        stalled = stack.enter_context(connection(process, scrape))
        assert stalled.recv(10).startswith(b"HTTP/1.1")
        assert process.stop() == 0
        assert "Traceback" not in process.stderr


def test_several_signals_at_once_end_it_with_status_0(simulator: Simulator, tmp_path: Path) -> None:
    with start(write_config(tmp_path, simulator)) as process:
        process.wait_until_ready()
        for number in (*STOP_SIGNALS, signal.SIGHUP):
            process.send(number)
        assert process.stop() == 0
        assert "Traceback" not in process.stderr


@pytest.mark.parametrize("number", STOP_SIGNALS, ids=lambda number: number.name)
def test_a_signal_during_the_start_ends_it_with_status_0(
    simulator: Simulator, tmp_path: Path, number: signal.Signals
) -> None:
    file = write_config(tmp_path, simulator)
    with socket.create_server(("127.0.0.1", 0)) as probe:
        address = probe.getsockname()
    flags = (f"--config.file={file}", f"--web.listen-address={address[0]}:{address[1]}")
    with Process(*flags, env=NO_AUTHORITIES) as process:
        until(lambda: listens(address))
        assert process.stop(number) == 0
        assert "Traceback" not in process.stderr


def listens(address: tuple[str, int]) -> bool:
    """Return whether something accepts connections there."""
    with socket.socket() as probe:
        return probe.connect_ex(address) == 0
