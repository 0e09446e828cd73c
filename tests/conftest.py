"""Fixtures that every test may use; what they are made of is in tests/support.

Hypothesis has no deadline: the machine may be busy, and no test here is about speed. HYPOTHESIS_PROFILE=thorough
tries ten times as many examples.
"""

import os
import signal
from collections.abc import Iterator

import pytest
from hypothesis import settings

from partnercenter_simulator import Simulator
from tests.support.certificates import ClientIdentity
from tests.support.clock import FakeClock
from tests.support.logs import LogStream, recorded_logs

settings.register_profile("quick", deadline=None, max_examples=50)
settings.register_profile("thorough", deadline=None, max_examples=500)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "quick"))
_FIRST = ("reliability", "e2e")
# A shell's background jobs ignore it, and so would every program that a test starts.
signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with the folders whose files take long, so that none is left to one worker at the end."""
    items.sort(key=lambda item: _FIRST.index(name) if (name := item.path.parent.name) in _FIRST else len(_FIRST))


@pytest.fixture(autouse=True)
def no_proxies(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ask nobody but this machine, whatever the environment says."""
    for name in list(os.environ):
        if name.lower().endswith("_proxy"):
            monkeypatch.delenv(name)


@pytest.fixture
def simulator() -> Iterator[Simulator]:
    """A fresh Entra ID and Partner Center."""
    with Simulator(seed=7) as running:
        yield running


@pytest.fixture
def clock() -> FakeClock:
    """A clock that stands still."""
    return FakeClock()


@pytest.fixture
def log_stream() -> Iterator[LogStream]:
    """What is logged during the test, from level debug."""
    with recorded_logs() as stream:
        yield stream


@pytest.fixture(scope="session")
def client_identity() -> ClientIdentity:
    """A client certificate with its key. Keys are slow to make: two certificates serve all tests."""
    return ClientIdentity.new(days=30)


@pytest.fixture(scope="session")
def stranger() -> ClientIdentity:
    """Another one, which nobody has registered."""
    return ClientIdentity.new(days=60)
