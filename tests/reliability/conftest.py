"""The exporter on a clock that leaps, against a simulator whose time is the world's."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from partnercenter_simulator import Simulator
from tests.reliability.rig import Rig
from tests.support.clock import LeapingClock
from tests.support.config import write_config
from tests.support.logs import LogStream

# What a failed comparison had on both sides is shown for test files only, unless asked for.
pytest.register_assert_rewrite("tests.reliability.checks")


@pytest.fixture
def clock() -> LeapingClock:
    """Time that leaps; the supervisor looks once a minute."""
    return LeapingClock(at_least={"supervisor": 60.0})


@pytest.fixture(autouse=True)
def no_authorities(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Trust nobody but http.ca_file: the system's hundred authorities take a tenth of a second to read."""
    (tmp_path / "authorities.pem").touch()
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "authorities.pem"))


@pytest.fixture
def simulator(clock: LeapingClock) -> Iterator[Simulator]:
    """A Partner Center whose figures change every five minutes."""
    with Simulator(seed=7, speed=288.0, now=clock.true_time) as running:
        yield running


MakeRig = Callable[..., Rig]


@pytest.fixture
def make_rig(
    tmp_path: Path,
    simulator: Simulator,
    clock: LeapingClock,
    log_stream: LogStream,  # noqa: ARG001  everything is logged
) -> Iterator[MakeRig]:
    """Return a function that sets up an exporter, not started; keywords are those of write_config."""
    rigs: list[Rig] = []

    def make(**keys: Any) -> Rig:
        rigs.append(Rig(write_config(tmp_path, simulator, **keys), clock, simulator))
        return rigs[-1]

    yield make
    for rig in rigs:
        rig.stop()
