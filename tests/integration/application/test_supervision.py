"""Who looks after the poll threads, the age of the data, and new tokens on disk."""

import threading
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

import pytest

from partnercenter_simulator import Fault, Simulator
from tests.integration.application.conftest import Exporter, Start, running
from tests.support.clock import LeapingClock
from tests.support.config import write_config
from tests.support.files import UNUSABLE
from tests.support.logs import LogStream
from tests.support.process import PATIENCE_SECONDS, until

RESTARTS = "partnercenter_poll_thread_restarts_total"
USAGE = {"partner": "contoso", "source": "usage"}

# pytest takes a thread that dies for a mistake of the test.
on_a_dying_thread = pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")


@on_a_dying_thread
def test_a_dead_poll_thread_is_started_again_and_counted(exporter: Exporter, simulator: Simulator) -> None:
    before = exporter.scrape()
    assert before.value(RESTARTS, **USAGE) == 0
    exporter.clock.end_thread("poll-contoso-usage")
    assert exporter.app.unhealthy() == ["the poll thread of contoso usage is dead"]
    exporter.tick()
    exporter.settle()
    after = exporter.scrape()
    assert after.value(RESTARTS, **USAGE) == 1
    assert after.value(RESTARTS, partner="contoso", source="deployment") == 0
    assert exporter.app.unhealthy() == []
    assert after.data == before.data
    [entry] = exporter.log.of("poll thread died, restarted")
    assert (entry["level"], entry["partner"], entry["source"]) == ("error", "contoso", "usage")
    # It goes on with the schedule where it stood.
    assert simulator.requests.count("usage") == 1
    exporter.pass_time(3_700)
    assert simulator.requests.count("usage") == 2


def test_a_stopped_poll_thread_that_is_still_listed_makes_the_exporter_unhealthy(exporter: Exporter) -> None:
    exporter.settle()
    exporter.stop()
    assert exporter.app.unhealthy() == [
        f"the poll thread of contoso {status.source} is dead" for status in exporter.app.statuses()
    ]


@pytest.mark.parametrize("damage", UNUSABLE)
def test_authorities_that_can_not_be_read_any_more_delay_no_poll(
    exporter: Exporter, simulator: Simulator, damage: str
) -> None:
    folder = exporter.file.parent
    (folder / "ca.pem").unlink()
    with suppress(OSError):  # no file at all where the name is too long for a link
        (folder / "ca.pem").symlink_to(UNUSABLE[damage](folder))
    exporter.pass_time(3_700)
    assert simulator.requests.count("usage") == 2
    assert all(status.up for status in exporter.app.statuses())


@on_a_dying_thread
def test_a_thread_that_keeps_dying_is_restarted_after_longer_and_longer_pauses(exporter: Exporter) -> None:
    for restarts in range(1, 4):
        exporter.clock.end_thread("poll-contoso-usage")
        waited = 0
        while exporter.scrape().value(RESTARTS, **USAGE) != restarts:
            exporter.tick()
            waited += 1
            assert waited < 20
        exporter.settle()
        if restarts > 1:
            assert waited >= 2 ** (restarts - 2)


def test_a_poll_that_makes_no_progress_makes_the_exporter_unhealthy_until_it_does(
    start: Start, simulator: Simulator
) -> None:
    simulator.faults.add(Fault(kind="slow_first_byte", endpoint="usage", seconds=60, times=1))
    exporter = start()
    simulator.requests.wait_for(1, "usage")
    exporter.advance(200, sleeping=["supervisor", "poll-contoso-deployment"])
    assert exporter.app.unhealthy() == []
    exporter.advance(100, sleeping=["supervisor"])
    assert exporter.app.unhealthy() == ["the poll thread of contoso usage is stuck"]
    simulator.stop()
    until(lambda: exporter.app.unhealthy() == [])


def test_a_poll_that_is_due_and_does_not_begin_makes_the_exporter_unhealthy(
    tmp_path: Path, simulator: Simulator, log_stream: LogStream
) -> None:
    clock = LeapingClock(stands_still=True, at_least={"poll-contoso-usage": 10_000.0})
    with running(write_config(tmp_path, simulator), clock, log_stream) as exporter:
        exporter.settle()
        exporter.pass_time(3_700)
        assert exporter.app.unhealthy() == []
        exporter.pass_time(300)
        assert exporter.app.unhealthy() == ["the poll thread of contoso usage is stuck"]
        exporter.pass_time(10_000)
        assert exporter.app.unhealthy() == []


def unhealthy_after(seconds: float, exporter: Exporter) -> Sequence[str]:
    exporter.clock.advance(seconds)
    return exporter.app.unhealthy()


def test_a_supervisor_that_hangs_makes_the_exporter_unhealthy_until_it_goes_on(exporter: Exporter) -> None:
    (exporter.file.parent / "state" / "polls").rename(exporter.file.parent / "aside")
    (exporter.file.parent / "state" / "polls").write_text("in the way")
    exporter.pass_time(3_700)
    hanging, go_on = threading.Event(), threading.Event()

    def hang() -> None:
        hanging.set()
        go_on.wait(PATIENCE_SECONDS)

    writer = threading.Thread(target=exporter.app.builder.directory.update, args=("data/other", hang))
    writer.start()
    assert hanging.wait(PATIENCE_SECONDS)
    exporter.advance(31, sleeping=["supervisor"])
    until(lambda: unhealthy_after(601, exporter))
    assert exporter.app.unhealthy() == ["the supervisor thread is stuck"]
    go_on.set()
    writer.join(PATIENCE_SECONDS)
    until(lambda: exporter.app.unhealthy() == [])


def test_no_failure_of_the_upstream_makes_the_exporter_unhealthy(start: Start, simulator: Simulator) -> None:
    simulator.faults.add(Fault(kind="status", status=403))
    exporter = start()
    exporter.settle()
    assert exporter.status().up is False
    assert exporter.app.unhealthy() == []


def test_the_exporter_is_ready_once_every_source_has_finished_a_poll_good_or_bad(
    start: Start, simulator: Simulator
) -> None:
    simulator.faults.add(
        Fault(kind="status", endpoint="usage", status=403),
        Fault(kind="slow_first_byte", endpoint="deployment", seconds=60, times=1),
    )
    exporter = start()
    simulator.requests.wait_for(1, "deployment")
    until(lambda: exporter.status("usage").up is False)
    assert exporter.app.not_ready() == ["contoso deployment has not been polled yet"]
    simulator.stop()
    exporter.wait_until_asleep("poll-contoso-deployment")
    # The retries wait on the test's clock.
    for _ in range(5):
        exporter.pass_time(60)
    assert exporter.status("deployment").up is False
    assert not exporter.app.not_ready()


def test_once_ready_it_stays_ready_when_a_reload_adds_a_partner(exporter: Exporter, simulator: Simulator) -> None:
    assert not exporter.app.not_ready()
    [partner] = exporter.partners()
    exporter.change(partners=[partner, partner | {"name": "fabrikam", "refresh_token_file": "none"}])
    simulator.faults.add(Fault(kind="status", endpoint="token", status=503))
    exporter.app.reload()
    assert not exporter.app.not_ready()


def test_old_data_are_withdrawn_while_polls_fail(start: Start, simulator: Simulator) -> None:
    exporter = start(poll={"interval": "1h", "max_staleness": "2h"})
    exporter.settle()
    simulator.faults.add(Fault(kind="status", status=403))
    exporter.pass_time(3_700)
    assert exporter.scrape().data != {}
    exporter.pass_time(3_600)
    scrape = exporter.scrape()
    assert scrape.data == {}
    assert scrape.value("partnercenter_up", **USAGE) == 0
    assert exporter.status().stale


@pytest.mark.parametrize("where", ["seed", "store"])
def test_a_new_token_is_noticed_and_polled_with_at_once(start: Start, simulator: Simulator, where: str) -> None:
    exporter = start(refresh_token="revoked")
    exporter.settle()
    for _ in range(4):
        exporter.pass_time(1_000)
    assert exporter.status().up is False
    assert exporter.due_in() > 60
    failure = exporter.status().failure
    assert failure is not None
    assert "login --partner contoso" in failure.remedy
    folder = exporter.file.parent
    if where == "seed":
        (folder / "refresh-token").write_text(simulator.entra.issue_refresh_token())
    else:
        store_a_token(folder, simulator)
    exporter.tick()
    exporter.settle()
    assert exporter.status().up is True
    assert exporter.status("deployment").up is True


def store_a_token(folder: Path, simulator: Simulator) -> None:
    """Store a token as `login` does."""
    tokens = folder / "state" / "tokens"
    tokens.mkdir(mode=0o700, parents=True, exist_ok=True)
    identity = f'{{"cloud":"global","tenant_id":"{simulator.tenant_id}","client_id":"{simulator.client_id}"}}'
    token = simulator.entra.issue_refresh_token()
    file = tokens / "contoso.json"
    file.touch(0o600)
    file.write_text(f'{{"identity":{identity},"refresh_token":"{token}","issued_at":1800000000,"version":1}}')


def test_stored_tokens_of_partners_that_are_not_configured_are_named_at_the_start(start: Start, tmp_path: Path) -> None:
    tokens = tmp_path / "state" / "tokens"
    tokens.mkdir(parents=True)
    for name in ("contoso.json", "fabrikam.json", "tailspin.json", ".lock"):
        (tokens / name).touch(0o600)
    exporter = start()
    exporter.settle()
    entries = exporter.log.of("token of a partner that is not configured")
    assert [entry["file"] for entry in entries] == [str(tokens / f"{name}.json") for name in ("fabrikam", "tailspin")]


def test_state_that_could_not_be_written_is_tried_again(exporter: Exporter) -> None:
    state = exporter.file.parent / "state"
    (state / "polls").rename(state / "aside")
    (state / "polls").write_text("in the way")
    exporter.pass_time(3_700)
    assert exporter.scrape().value("partnercenter_state_writable") == 0
    assert any("is not writable" in notice for notice in exporter.app.notices())
    (state / "polls").unlink()
    exporter.pass_time(31)
    assert exporter.scrape().value("partnercenter_state_writable") == 1
    assert exporter.app.notices() == []
    assert (state / "polls" / "contoso.usage.json").exists()


def test_targets_that_match_nothing_are_named_once_every_usage_source_has_data(
    start: Start, simulator: Simulator
) -> None:
    simulator.faults.add(Fault(kind="status", endpoint="usage", status=403, times=1))
    exporter = start(targets=[{"ratio": 0.5}, {"ratio": 0.7, "workload": "Exchnage"}])
    exporter.settle()
    assert exporter.app.notices() == []
    exporter.pass_time(70)
    assert exporter.app.notices() == ["target 0.7 for workload='Exchnage' matches no series: check its spelling"]
