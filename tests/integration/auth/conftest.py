"""One partner's sign-in against a running simulator."""

import socket
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import ParamSpec, TypeVar

import pytest

from partnercenter_simulator import Simulator
from tests.support.clock import FakeClock
from tests.support.sign_in import SignInKit

P = ParamSpec("P")
T = TypeVar("T")


@pytest.fixture(autouse=True)
def only_this_machine_is_asked(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Fail a test in which MSAL, or anything else, turns to another host.

    Not by an audit hook: it stays for the whole process, and Python 3.11 can't trace two new threads at once then,
    as it must to measure coverage.
    """
    asked: set[str] = set()

    def noting(call: Callable[P, T], host: Callable[P, str]) -> Callable[P, T]:
        def noted(*args: P.args, **kwargs: P.kwargs) -> T:
            asked.add(host(*args, **kwargs))
            return call(*args, **kwargs)

        return noted

    monkeypatch.setattr(socket, "getaddrinfo", noting(socket.getaddrinfo, lambda host, *_, **__: str(host)))
    for name in ("connect", "connect_ex"):
        connect = noting(getattr(socket.socket, name), lambda _, address: str(address[0]))
        monkeypatch.setattr(socket.socket, name, connect)
    yield
    assert asked <= {"127.0.0.1", "localhost", "::1"}


@pytest.fixture
def kit(simulator: Simulator, tmp_path: Path) -> Iterator[SignInKit]:
    """On the machine's clock."""
    kit = SignInKit(simulator, tmp_path)
    yield kit
    kit.close()


@pytest.fixture
def timed(simulator: Simulator, tmp_path: Path, clock: FakeClock) -> Iterator[SignInKit]:
    """On a clock that stands still; the simulator has its own."""
    kit = SignInKit(simulator, tmp_path, clock=clock)
    yield kit
    kit.close()
