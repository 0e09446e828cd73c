"""systemd is told when the exporter is ready, that it is alive, and that it stops."""

import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from exporter.service_manager import ServiceManager
from partnercenter_simulator import Simulator
from tests.e2e.conftest import start
from tests.support.config import write_config
from tests.support.process import PATIENCE_SECONDS

OURS = 4711


@pytest.fixture
def manager(tmp_path: Path) -> Iterator[socket.socket]:
    """The socket that a service manager listens on."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listening:
        listening.bind(str(tmp_path / "notify"))
        listening.settimeout(PATIENCE_SECONDS)
        yield listening


def told(manager: socket.socket) -> list[str]:
    return manager.recv(1_000).decode().split("\n")


def test_the_exporter_is_ready_once_it_listens_then_alive_and_at_the_end_stopping(
    simulator: Simulator, tmp_path: Path, manager: socket.socket
) -> None:
    file = write_config(tmp_path, simulator)
    # It watches any process, as WATCHDOG_PID isn't known before the start.
    env = {"NOTIFY_SOCKET": str(manager.getsockname()), "WATCHDOG_USEC": "100000"}
    with start(file, **env) as exporter:
        assert told(manager) == ["READY=1", "WATCHDOG=1"]
        assert exporter.ask("/-/healthy").status_code == 200
        for _ in range(3):
            assert told(manager) == ["WATCHDOG=1"]
        assert exporter.stop() == 0
        last = list(iter(lambda: told(manager), ["STOPPING=1"]))
    assert all(states == ["WATCHDOG=1"] for states in last)


def service(manager: socket.socket, **env: str) -> ServiceManager:
    address = str(manager.getsockname())
    return ServiceManager.of({"NOTIFY_SOCKET": address, "WATCHDOG_USEC": "120000000", **env}, OURS)


def test_one_that_is_not_healthy_is_ready_but_not_alive(manager: socket.socket) -> None:
    ours = service(manager, WATCHDOG_PID=str(OURS))
    assert ours.beat_seconds == 60.0
    ours.beat(healthy=False)
    ours.beat(healthy=False)
    ours.beat(healthy=True)
    assert (told(manager), told(manager)) == (["READY=1"], ["WATCHDOG=1"])


@pytest.mark.parametrize(
    "env", [{"WATCHDOG_PID": "1"}, {"WATCHDOG_USEC": ""}, {"WATCHDOG_USEC": "0"}, {"WATCHDOG_USEC": "soon"}], ids=str
)
def test_where_nobody_watches_it_only_says_that_it_is_ready(manager: socket.socket, env: dict[str, str]) -> None:
    ours = service(manager, **env)
    assert ours.beat_seconds is None
    ours.beat(healthy=True)
    ours.beat(healthy=True)
    ours.stopping()
    assert (told(manager), told(manager)) == (["READY=1"], ["STOPPING=1"])


@pytest.mark.parametrize("address", ["", "/nowhere", "@nobody", "/dev/null", "x" * 200, "\0"])
def test_a_manager_that_does_not_listen_stops_nothing(address: str) -> None:
    ours = ServiceManager.of({"NOTIFY_SOCKET": address, "WATCHDOG_USEC": "1000000"}, OURS)
    ours.beat(healthy=True)
    ours.stopping()


def test_a_socket_may_be_in_the_abstract_namespace() -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listening:
        listening.bind("")  # the system chooses a name there
        name = listening.getsockname()[1:].decode()
        ServiceManager.of({"NOTIFY_SOCKET": f"@{name}"}, OURS).beat(healthy=True)
        assert told(listening) == ["READY=1"]
