"""What a restart of the program keeps: data, schedule, and what is known of the last poll."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from exporter.config import Config
from exporter.model.status import Identity
from partnercenter_simulator import Fault
from tests.integration.polling.conftest import Bench
from tests.support.logs import LogStream

USAGE = {"partner": "contoso", "source": "usage"}
FORBIDDEN = Fault(kind="status", endpoint="usage", status=403)
HOUR = 3_600.0
REMEMBERED = (
    "partnercenter_up",
    "partnercenter_rows",
    "partnercenter_last_poll_timestamp_seconds",
    "partnercenter_last_success_timestamp_seconds",
    "partnercenter_last_poll_duration_seconds",
)

DAMAGED = (
    b"",
    b"\x00" * 4096,
    b"{",
    b"[]",
    b"null",
    b'{"identity": {}}',
    b"[" * 100_000,
    b'{"identity":{"cloud":"global","tenant_id":"t","client_id":"c"},"fetched_at":"x","rows":[]}',
)


def with_identity(config: Config, **changes: str) -> Config:
    """Return the configuration of another application, tenant or cloud under the same name."""
    [partner] = config.partners
    identity: Identity = replace(partner.registration.identity, **changes)
    registration = replace(partner.registration, identity=identity)
    return replace(config, partners=(replace(partner, registration=registration),))


@pytest.mark.parametrize("outcome", ["good", "failed", "failed after a good one", "without rows"])
def test_a_restart_keeps_data_and_what_is_known_of_the_last_poll(bench: Bench, outcome: str) -> None:
    if outcome != "failed":
        bench.poll()
    if outcome.startswith("failed"):
        bench.simulator.faults.add(FORBIDDEN)
        bench.poll()
    if outcome == "without rows":
        bench.simulator.faults.add(Fault(kind="empty_rows", endpoint="usage", times=1))
        bench.poll()
    before = bench.scrape()
    asked = bench.simulator.requests.count()
    bench.clock.advance(30)
    after = bench.restarted().scrape()
    assert after.data == before.data
    for name in REMEMBERED:
        assert after.value(name, **USAGE) == before.value(name, **USAGE), name
    assert bench.simulator.requests.count() == asked


def test_a_restart_remembers_why_the_last_poll_failed(bench: Bench) -> None:
    bench.simulator.faults.add(FORBIDDEN)
    failure = bench.poll().failure
    assert failure is not None
    assert bench.restarted().poller.status.failure == failure


def test_after_a_good_poll_a_restart_waits_for_the_interval(bench: Bench) -> None:
    bench.poll()
    bench.clock.advance(1_000)
    assert bench.restarted().due_in() == pytest.approx(HOUR - 1_000, abs=1)
    bench.clock.advance(5_000)
    assert bench.restarted().due_in() == 0


def test_a_successful_poll_without_rows_is_repeated_after_the_interval_too(bench: Bench) -> None:
    bench.simulator.faults.add(Fault(kind="empty_rows", endpoint="usage", times=1))
    bench.poll()
    assert bench.restarted().due_in() == pytest.approx(HOUR, abs=1)


def test_after_failed_polls_a_restart_polls_within_a_minute(bench: Bench) -> None:
    bench.simulator.faults.add(FORBIDDEN)
    for _ in range(6):
        bench.poll()
    bench.clock.advance(10)
    assert bench.restarted().due_in() == pytest.approx(50)
    bench.clock.advance(100)
    assert bench.restarted().due_in() == 0


def test_the_back_off_continues_after_a_restart(bench: Bench) -> None:
    bench.simulator.faults.add(FORBIDDEN)
    for _ in range(3):
        bench.poll()
    restarted = bench.restarted()
    restarted.poll()
    assert restarted.wait_before_next() == pytest.approx(480, rel=0.06)


def test_retry_after_applies_across_a_restart(bench: Bench) -> None:
    bench.simulator.faults.add(Fault(kind="throttled", endpoint="usage", retry_after=5_000, times=1))
    bench.poll()
    bench.clock.advance(1_000)
    restarted = bench.restarted()
    assert restarted.due_in() == pytest.approx(4_000)
    restarted.poller.poll_soon()
    assert restarted.due_in() == pytest.approx(4_000)


def test_a_clock_that_was_far_ahead_does_not_stop_polls_for_longer_than_a_day(bench: Bench) -> None:
    bench.clock.jump(30 * 86_400)
    bench.simulator.faults.add(Fault(kind="throttled", endpoint="usage", retry_after=5_000, times=1))
    bench.poll()
    bench.clock.jump(-30 * 86_400)
    assert bench.restarted().due_in() <= 86_400


@pytest.mark.parametrize(
    ("field", "number"),
    [
        ("not_before", 4e9),
        ("not_before", 1e12),
        ("last_poll_at", 1e12),
        ("failures_in_a_row", 10**18),
        ("last_duration_seconds", -1.0),
    ],
)
def test_a_schedule_with_an_impossible_number_is_ignored_and_the_source_is_polled_at_once(
    bench: Bench, log_stream: LogStream, field: str, number: float
) -> None:
    bench.poll()
    file = bench.config.state_dir / "polls" / "contoso.usage.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | {field: number}))
    assert bench.restarted().due_in() == 0
    assert len(log_stream.of("ignoring saved state")) == 1


def test_a_poll_that_was_cut_off_is_not_repeated_at_once(bench: Bench) -> None:
    bench.poll()
    record = bench.config.state_dir / "polls" / "contoso.usage.json"
    # What a crash leaves: the beginning of a poll, written before its first request.
    record.write_text(json.dumps(json.loads(record.read_text()) | {"finished": False}))
    bench.clock.advance(10)
    restarted = bench.restarted()
    assert restarted.due_in() == pytest.approx(50)
    assert restarted.scrape().data == bench.scrape().data


def test_a_first_poll_that_was_cut_off_does_not_count_as_finished_and_is_not_repeated_at_once(bench: Bench) -> None:
    after_crash: list[Bench] = []
    bench.interrupt(lambda: after_crash.append(bench.restarted()))
    bench.poll()
    [restarted] = after_crash
    assert restarted.poller.status.up is None
    assert restarted.due_in() == pytest.approx(60)


def test_data_that_became_too_old_while_it_was_down_is_not_shown_and_polled_again(
    make_bench: Callable[..., Bench],
) -> None:
    bench = make_bench(poll={"interval": "1h", "max_staleness": "2h"})
    bench.poll()
    bench.clock.advance(7_201)
    restarted = bench.restarted()
    assert restarted.scrape().data == {}
    assert restarted.due_in() == 0
    [entry] = bench.log.of("saved data too old, not shown")
    assert entry["age_seconds"] == 7_201


def test_remembered_data_keeps_ageing(make_bench: Callable[..., Bench]) -> None:
    bench = make_bench(poll={"interval": "1h", "max_staleness": "2h"})
    bench.poll()
    bench.clock.advance(7_000)
    restarted = bench.restarted()
    assert restarted.scrape().data != {}
    bench.clock.advance(201)
    restarted.poller.withdraw_if_stale()
    assert restarted.scrape().data == {}


def test_a_good_poll_whose_data_are_lost_does_not_count(bench: Bench) -> None:
    bench.poll()
    (bench.config.state_dir / "data" / "contoso.usage.json").unlink()
    bench.clock.advance(100)
    assert bench.restarted().due_in() == 0


@pytest.mark.parametrize(
    "changes",
    [
        {"tenant_id": "00000000-0000-0000-0000-000000000001"},
        {"client_id": "00000000-0000-0000-0000-000000000001"},
        {"cloud": "china"},
    ],
    ids=lambda changes: next(iter(changes)),
)
def test_state_of_another_tenant_application_or_cloud_is_not_used_and_logged(
    bench: Bench, changes: dict[str, str]
) -> None:
    bench.poll()
    other = bench.restarted(with_identity(bench.config, **changes))
    scrape = other.scrape()
    assert scrape.data == {}
    for name in REMEMBERED:
        assert scrape.value(name, **USAGE) is None, name
    assert other.due_in() == 0
    entries = bench.log.of("ignoring saved state")
    assert {entry["file"] for entry in entries} == {"polls/contoso.usage.json", "data/contoso.usage.json"}
    assert {entry["error"] for entry in entries} == {"it belongs to another application or tenant"}


def test_ids_in_another_case_are_the_same_ids(bench: Bench) -> None:
    bench.poll()
    [partner] = bench.config.partners
    identity = partner.registration.identity
    upper = with_identity(bench.config, tenant_id=identity.tenant_id.upper(), client_id=identity.client_id.upper())
    assert bench.restarted(upper).scrape().data == bench.scrape().data != {}


@pytest.mark.parametrize("name", ["polls/contoso.usage.json", "data/contoso.usage.json"])
def test_a_damaged_state_file_is_ignored_logged_and_replaced_by_the_next_poll(bench: Bench, name: str) -> None:
    bench.poll()
    restarted = bench
    for content in DAMAGED:
        known = len(bench.log.entries)
        (bench.config.state_dir / name).write_bytes(content)
        restarted = bench.restarted()
        entries = [entry for entry in bench.log.entries[known:] if entry.get("file") == name]
        assert [entry["level"] for entry in entries] == ["warn"], content[:50]
    restarted.poll()
    assert bench.restarted().scrape().data == bench.scrape().data


def test_polls_continue_without_writable_state_and_save_it_later(bench: Bench, tmp_path: Path) -> None:
    for folder in ("polls", "data"):
        (tmp_path / "state").mkdir(exist_ok=True)
        (tmp_path / "state" / folder).write_text("in the way")
    assert bench.poll().up is True
    scrape = bench.scrape()
    assert scrape.data != {}
    assert scrape.value("partnercenter_state_writable") == 0
    assert bench.log.of("state not saved")
    for folder in ("polls", "data"):
        (tmp_path / "state" / folder).unlink()
    assert bench.directory.retry() == []
    assert bench.scrape().value("partnercenter_state_writable") == 1
    assert bench.restarted().scrape().data == scrape.data


def test_state_files_are_readable_by_their_owner_only(bench: Bench) -> None:
    bench.poll()
    files = [path for path in bench.config.state_dir.rglob("*") if path.is_file()]
    assert {path.stat().st_mode & 0o777 for path in files} == {0o600}
    assert {path.parent.stat().st_mode & 0o777 for path in files} == {0o700}
