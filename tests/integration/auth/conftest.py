"""One partner's sign-in against a running simulator."""

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from partnercenter_simulator import Simulator
from tests.support.clock import FakeClock
from tests.support.sign_in import SignInKit

_asked: set[str] = set()


def _note_whom_is_asked(event: str, arguments: tuple[object, ...]) -> None:
    """Note every host to which a connection is opened or whose address is looked up."""
    if event == "socket.connect" and isinstance(arguments[1], tuple):
        _asked.add(str(arguments[1][0]))
    elif event == "socket.getaddrinfo":
        _asked.add(str(arguments[0]))


sys.addaudithook(_note_whom_is_asked)


@pytest.fixture(autouse=True)
def only_this_machine_is_asked() -> Iterator[None]:
    """Fail a test in which MSAL, or anything else, turns to another host."""
    _asked.clear()
    yield
    assert _asked <= {"127.0.0.1", "localhost", "::1"}


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
