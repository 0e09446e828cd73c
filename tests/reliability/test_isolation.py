"""What goes wrong for one partner or one source is no other's business; and what this machine runs out of."""

import os
import resource
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from itertools import pairwise

import pytest

from exporter.errors import StateError
from exporter.model.rows import SourceName
from partnercenter_simulator import Fault, Simulator
from tests.reliability.conftest import MakeRig
from tests.reliability.rig import add_partner
from tests.support.clock import LeapingClock
from tests.support.process import PATIENCE_SECONDS

HOUR = 3_600.0


@pytest.fixture
def neighbour(clock: LeapingClock) -> Iterator[Simulator]:
    """The Entra ID and Partner Center of a second partner."""
    with Simulator(seed=8, speed=288.0, now=clock.true_time) as running:
        yield running


@pytest.mark.parametrize(
    "fault",
    [
        Fault(kind="throttled", retry_after=20_000),
        Fault(kind="reset"),
        Fault(kind="slow_first_byte", seconds=30, times=8),
        Fault(kind="entra_error", endpoint="token", code=50173),
    ],
    ids=lambda fault: fault.kind,
)
def test_a_failing_partner_does_not_delay_the_others(make_rig: MakeRig, neighbour: Simulator, fault: Fault) -> None:
    rig = make_rig(poll={"timeout": "500ms" if fault.seconds else "20s"})
    add_partner(rig.file, neighbour)
    rig.simulator.faults.add(fault)
    rig.start()
    rig.settle()
    begin = rig.clock.true_time()
    rig.run_until(lambda: rig.clock.true_time() > begin + 5 * HOUR)
    rig.settle()
    for source in SourceName:
        asked = [request.time for request in neighbour.requests.of(source)]
        # Every hour, a little later each time, and never a second time.
        assert len(asked) == 5
        assert all(HOUR - 1 <= later - earlier <= HOUR + 60 + PATIENCE_SECONDS for earlier, later in pairwise(asked))
    scrape = rig.see().scrape
    failures = scrape.select("partnercenter_poll_failures_total", partner="contoso", source="usage")
    assert sum(failures.values()) > 0
    assert scrape.value("partnercenter_up", partner="fabrikam", source="usage") == 1
    assert scrape.value("partnercenter_auth_up", partner="fabrikam") == 1


@pytest.mark.parametrize("kind", ["throttled", "reset", "mfa_required"])
def test_a_failing_source_does_not_delay_the_other(make_rig: MakeRig, kind: str) -> None:
    rig = make_rig()
    rig.simulator.faults.add(Fault(kind=kind, endpoint="usage"))
    rig.start()
    rig.settle()
    rig.next_poll("deployment")
    seen = rig.see("deployment")
    assert seen.of_source("up") == 1
    assert seen.api_requests == 2
    assert seen.scrape.value("partnercenter_up", partner="contoso", source="usage") == 0


def test_a_state_dir_that_can_not_be_written_at_start_is_an_error(make_rig: MakeRig) -> None:
    rig = make_rig()
    (rig.file.parent / "state").write_text("in the way")
    with pytest.raises(StateError) as raised:
        rig.start()
    assert "state_dir must be a directory that this user can write" in raised.value.remedy
    assert rig.simulator.requests.count() == 0


@contextmanager
def no_descriptors() -> Iterator[None]:
    """Let this process open nothing more."""
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    highest = max(int(name) for name in os.listdir("/proc/self/fd"))  # noqa: PTH208  names, not paths
    fillers: list[int] = []
    resource.setrlimit(resource.RLIMIT_NOFILE, (highest + 1, limits[1]))
    try:
        with suppress(OSError):
            while True:
                fillers.append(os.dup(0))
        yield
    finally:
        for filler in fillers:
            os.close(filler)
        resource.setrlimit(resource.RLIMIT_NOFILE, limits)


def test_without_file_descriptors_the_data_stays_and_polls_recover_later(make_rig: MakeRig) -> None:
    rig = make_rig()
    rig.start()
    rig.settle()
    before = rig.see()
    rig.simulator.hang_up()
    with no_descriptors():
        rig.next_poll()
        [status] = [s for s in rig.app.statuses() if s.source == "usage"]
    assert status.up is False
    assert status.failure is not None
    assert "Too many open files" in status.failure.message
    assert rig.app.unhealthy() == []
    seen = rig.see()
    assert seen.scrape.data == before.scrape.data
    assert seen.value("state_writable") == 0
    rig.next_poll()
    rig.run_until(lambda: rig.see().value("state_writable") == 1)
    recovered = rig.see()
    assert recovered.of_source("up") == 1
    assert recovered.refresh_token == rig.simulator.entra.issued_refresh_tokens[-1]
