"""Reading the configuration anew while running."""

import threading
from collections.abc import Sequence
from typing import Any

import pytest

from exporter.config import Config
from exporter.metrics.snapshot import SnapshotStore
from partnercenter_simulator import Fault, Simulator
from tests.integration.application.conftest import Exporter, Start
from tests.support.process import PATIENCE_SECONDS, until

COUNTERS = ("partnercenter_polls_total", "partnercenter_api_requests_total")
USAGE = {"partner": "contoso", "source": "usage"}
TARGET = "partnercenter_license_usage_target_ratio"


def second(exporter: Exporter, simulator: Simulator, name: str = "fabrikam", **keys: Any) -> dict[str, Any]:
    """Return another partner of the same tenant, with a token of its own."""
    seed = exporter.file.parent / f"refresh-token-{name}"
    seed.write_text(simulator.entra.issue_refresh_token())
    return exporter.partners()[0] | {"name": name, "refresh_token_file": seed.name} | keys


def test_a_reload_without_changes_keeps_data_counters_and_schedule(exporter: Exporter, simulator: Simulator) -> None:
    before = exporter.scrape()
    asked = simulator.requests.count()
    exporter.pass_time(100)
    assert exporter.app.reload() == ""
    exporter.settle()
    after = exporter.scrape()
    assert after.data == before.data != {}
    own = ("partnercenter_poll", "partnercenter_rows", "partnercenter_api", "partnercenter_up")
    times = ("partnercenter_next", "partnercenter_last_poll", "partnercenter_last_success")
    assert after.named(*own, *times) == before.named(*own, *times)
    assert simulator.requests.count() == asked
    assert after.value("partnercenter_config_last_reload_successful") == 1
    assert after.value("partnercenter_config_last_reload_success_timestamp_seconds") == exporter.clock.time()
    [entry] = exporter.log.of("configuration reloaded")
    assert entry["partners"] == 1


def test_changed_targets_relabel_the_data_without_a_poll(exporter: Exporter, simulator: Simulator) -> None:
    assert exporter.scrape().select(TARGET) == {}
    asked = simulator.requests.count()
    exporter.change(targets=[{"ratio": 0.5}, {"ratio": 0.9, "workload": "Exchange"}])
    assert exporter.app.reload() == ""
    scrape = exporter.scrape()
    assert set(scrape.select(TARGET, workload="Exchange").values()) == {0.9}
    assert set(scrape.select(TARGET, workload="Yammer").values()) == {0.5}
    assert len(scrape.select(TARGET)) == len(scrape.select("partnercenter_license_usage_ratio"))
    assert simulator.requests.count() == asked
    exporter.change(targets=None)
    exporter.app.reload()
    assert exporter.scrape().select(TARGET) == {}


def test_changed_targets_apply_to_the_next_poll_too(exporter: Exporter, simulator: Simulator) -> None:
    exporter.change(targets=[{"ratio": 0.25}])
    exporter.app.reload()
    exporter.pass_time(3_700)
    assert simulator.requests.count("usage") == 2
    assert set(exporter.scrape().select(TARGET).values()) == {0.25}


def test_an_added_partner_is_polled_at_once_and_leaves_the_others_alone(
    exporter: Exporter, simulator: Simulator
) -> None:
    before = exporter.scrape()
    exporter.change(partners=[*exporter.partners(), second(exporter, simulator)])
    assert exporter.app.reload() == ""
    exporter.settle()
    after = exporter.scrape()
    assert after.value("partnercenter_up", partner="fabrikam", source="usage") == 1
    assert len(after.select("partnercenter_license_usage_ratio", partner="fabrikam")) == 24
    for name in COUNTERS:
        assert after.select(name, partner="contoso") == before.select(name, partner="contoso")
    assert simulator.requests.count("usage") == 2


def test_a_removed_partner_leaves_no_series_and_is_not_polled_again(exporter: Exporter, simulator: Simulator) -> None:
    both = exporter.partners()
    exporter.change(partners=[*both, second(exporter, simulator)])
    exporter.app.reload()
    exporter.settle()
    exporter.change(partners=both)
    assert exporter.app.reload() == ""
    exporter.settle()
    assert not [series for series in exporter.scrape().samples if ("partner", "fabrikam") in series[1]]
    asked = simulator.requests.count("usage")
    exporter.pass_time(3_700)
    assert simulator.requests.count("usage") == asked + 1
    # Its token stays valid for weeks: it is named with what to do about it, once.
    exporter.app.reload()
    [entry] = exporter.log.of("token of a partner that is not configured")
    assert (entry["level"], entry["partner"]) == ("warn", "fabrikam")
    assert entry["file"] == str(exporter.file.parent / "state" / "tokens" / "fabrikam.json")
    assert "revoke" in entry["remedy"]


def test_a_partner_removed_in_the_middle_of_its_poll_leaves_no_series(start: Start, simulator: Simulator) -> None:
    exporter = start()
    exporter.settle()
    both = exporter.partners()
    simulator.faults.add(Fault(kind="stall", endpoint="usage", seconds=60, times=1))
    exporter.change(partners=[*both, second(exporter, simulator)])
    exporter.app.reload()
    simulator.requests.wait_for(2, "usage")
    exporter.change(partners=both)
    exporter.app.reload()
    # The answer that the removed partner waited for breaks off.
    simulator.stop()
    exporter.settle()
    assert not [series for series in exporter.scrape().samples if ("partner", "fabrikam") in series[1]]


def test_a_removed_and_added_again_partner_takes_up_its_remembered_data(
    exporter: Exporter, simulator: Simulator
) -> None:
    before = exporter.scrape()
    contoso = exporter.partners()
    exporter.change(partners=[second(exporter, simulator)])
    exporter.app.reload()
    exporter.settle()
    asked = simulator.requests.count("usage")
    exporter.change(partners=contoso)
    exporter.app.reload()
    exporter.settle()
    after = exporter.scrape()
    assert after.data == before.data
    assert simulator.requests.count("usage") == asked


def test_a_changed_partner_keeps_its_data_counters_and_the_time_of_its_last_poll(
    exporter: Exporter, simulator: Simulator
) -> None:
    before = exporter.scrape()
    asked = simulator.requests.count()
    [partner] = exporter.partners()
    exporter.change(partners=[partner | {"client_secret_expires": "2027-05-01"}])
    assert exporter.app.reload() == ""
    exporter.settle()
    after = exporter.scrape()
    assert after.data == before.data != {}
    for name in (*COUNTERS, "partnercenter_up", "partnercenter_rows", "partnercenter_last_poll_timestamp_seconds"):
        assert after.select(name) == before.select(name), name
    assert simulator.requests.count() == asked
    assert exporter.due_in() == pytest.approx(3_600, abs=61)


@pytest.mark.parametrize("changed", ["partner", "poll"])
def test_a_changed_partner_keeps_what_is_known_of_its_sign_in(start: Start, simulator: Simulator, changed: str) -> None:
    simulator.faults.add(Fault(kind="entra_error", endpoint="token", code=700082))
    exporter = start()
    exporter.settle()
    before = exporter.scrape()
    assert before.value("partnercenter_auth_up") == 0
    assert before.value("partnercenter_auth_failures_total", error="invalid_grant") == 1
    if changed == "poll":
        exporter.change(poll={"timeout": "29s"})
    else:
        [partner] = exporter.partners()
        exporter.change(partners=[partner | {"client_secret_expires": "2027-05-01"}])
    # Nothing answers from now on: what is shown after the reload is what was known before it.
    simulator.faults.clear()
    simulator.faults.add(Fault(kind="stall", endpoint="any", seconds=60))
    assert exporter.app.reload() == ""
    after = exporter.scrape()
    simulator.stop()
    names = ("auth_up", "auth_failures_total", "auth_requests_total", "auth_refresh_token_issued_timestamp_seconds")
    for name in names:
        assert after.select(f"partnercenter_{name}") == before.select(f"partnercenter_{name}"), name
    expiry = after.value("partnercenter_auth_client_credential_expiry_timestamp_seconds")
    assert (expiry is None) == (changed == "poll")


def test_another_application_starts_without_a_sign_in_status(start: Start, simulator: Simulator) -> None:
    simulator.faults.add(Fault(kind="entra_error", endpoint="token", code=700082))
    exporter = start()
    exporter.settle()
    [partner] = exporter.partners()
    exporter.change(partners=[partner | {"client_id": "00000000-0000-0000-0000-000000000001"}])
    simulator.stop()
    assert exporter.app.reload() == ""
    scrape = exporter.scrape()
    assert scrape.value("partnercenter_auth_up") is None
    assert set(scrape.select("partnercenter_auth_failures_total").values()) == {0}


def test_a_changed_interval_counts_from_the_last_good_poll(exporter: Exporter, simulator: Simulator) -> None:
    exporter.pass_time(1_000)
    exporter.change(poll={"interval": "30m"})
    exporter.app.reload()
    exporter.settle()
    assert exporter.due_in() == pytest.approx(800, abs=1)
    assert exporter.scrape().value("partnercenter_poll_interval_seconds", **USAGE) == 1_800
    assert simulator.requests.count("usage") == 1
    exporter.change(poll={"interval": "5m"})
    exporter.app.reload()
    exporter.settle()
    simulator.requests.wait_for(2, "usage")


def test_after_a_failed_poll_a_changed_configuration_polls_within_a_minute(start: Start, simulator: Simulator) -> None:
    simulator.faults.add(Fault(kind="status", endpoint="any", status=403))
    exporter = start(partner={"client_secret_file": None, "client_secret": "wrong"})
    exporter.settle()
    simulator.faults.clear()
    for _ in range(4):
        exporter.pass_time(2_000)
    assert exporter.status().up is False
    assert exporter.due_in() > 120
    [partner] = exporter.partners()
    exporter.change(partners=[partner | {"client_secret": simulator.client_secret}])
    assert exporter.app.reload() == ""
    exporter.pass_time(60)
    assert exporter.status().up is True


QUERIES: dict[str, dict[str, Any]] = {
    "detail": {"detail": ["customer"]},
    "less detail": {"detail": []},
    "filter": {"filter": "channel eq 'reseller'"},
    "path": {"path": "/partner/v1/analytics/commercial/usage/license/"},
    "api": {"api": "legacy", "detail": None},
}


@pytest.mark.parametrize("keys", QUERIES.values(), ids=QUERIES)
@pytest.mark.parametrize("by", ["reload", "restart", "reload, then another"])
def test_when_other_data_is_asked_for_it_is_polled_within_a_minute(
    start: Start, simulator: Simulator, keys: dict[str, Any], by: str
) -> None:
    usage = {"api": "commercial", "detail": ["product"]}
    exporter = start(sources={"usage": usage, "deployment": {"enabled": False}})
    exporter.settle()
    exporter.pass_time(10)
    asked = simulator.requests.count()
    exporter.change(sources={"usage": usage | keys, "deployment": {"enabled": False}})
    if by == "restart":
        exporter.stop()
        exporter.start()
    else:
        assert exporter.app.reload() == ""
    exporter.settle()
    if by == "reload, then another":
        exporter.change(poll={"timeout": "29s"})
        assert exporter.app.reload() == ""
    exporter.pass_time(60)
    assert simulator.requests.count() > asked
    # Once, and with the next reload no more.
    asked = simulator.requests.count()
    exporter.change(poll={"timeout": "28s"})
    assert exporter.app.reload() == ""
    exporter.pass_time(120)
    assert simulator.requests.count() == asked
    assert exporter.due_in() > 3_000


def test_a_reload_waits_for_no_renewal_that_is_under_way(start: Start, simulator: Simulator) -> None:
    simulator.faults.add(Fault(kind="stall", endpoint="token", seconds=60, times=1))
    exporter = start()
    simulator.requests.wait_for(1, "token")
    done = []
    for expires in ("2027-05-01", "2027-06-01"):
        exporter.change(partner={"client_secret_expires": expires})
        reloading = threading.Thread(target=lambda: done.append(exporter.app.reload()))
        reloading.start()
        reloading.join(PATIENCE_SECONDS / 3)
    waits = len(done)
    simulator.stop()
    exporter.settle()
    assert (waits, done) == (2, ["", ""])


def test_retry_after_applies_across_a_reload(start: Start, simulator: Simulator) -> None:
    simulator.faults.add(Fault(kind="throttled", endpoint="usage", retry_after=5_000, times=1))
    exporter = start()
    exporter.settle()
    exporter.change(poll={"interval": "5m"})
    exporter.app.reload()
    exporter.settle()
    assert exporter.due_in() == pytest.approx(5_000)


def test_a_partner_under_another_application_does_not_take_over_data(exporter: Exporter, simulator: Simulator) -> None:
    [partner] = exporter.partners()
    exporter.change(partners=[partner | {"client_id": "00000000-0000-0000-0000-000000000001"}])
    simulator.faults.add(Fault(kind="entra_error", endpoint="token", code=700016))
    assert exporter.app.reload() == ""
    exporter.settle()
    scrape = exporter.scrape()
    assert scrape.data == {}
    assert scrape.value("partnercenter_up", **USAGE) == 0
    assert scrape.value("partnercenter_rows", **USAGE) is None
    assert exporter.log.of("ignoring saved state")


def test_a_disabled_source_is_gone_and_an_enabled_one_is_polled(exporter: Exporter, simulator: Simulator) -> None:
    exporter.change(sources={"deployment": {"enabled": False}})
    exporter.app.reload()
    exporter.settle()
    scrape = exporter.scrape()
    assert not scrape.named("partnercenter_license_deployment", "partnercenter_licenses_sold")
    assert not [series for series in scrape.samples if ("source", "deployment") in series[1]]
    assert scrape.value("partnercenter_up", **USAGE) == 1
    exporter.change(sources=None)
    exporter.app.reload()
    exporter.settle()
    scrape = exporter.scrape()
    assert scrape.named("partnercenter_licenses_sold")
    assert scrape.value("partnercenter_up", partner="contoso", source="deployment") == 1
    # Its last poll was good, and the interval is not over.
    assert simulator.requests.count("deployment") == 1


@pytest.mark.parametrize("damage", ["yaml", "schema", "gone", "state_dir"])
def test_a_bad_file_changes_nothing_and_shows(exporter: Exporter, damage: str) -> None:
    before = exporter.scrape()
    content = exporter.file.read_text()
    if damage == "yaml":
        exporter.file.write_text("partners: [")
    elif damage == "schema":
        exporter.change(poll={"intervall": "5m"})
    elif damage == "gone":
        exporter.file.unlink()
    else:
        exporter.change(state_dir="elsewhere")
    problem = exporter.app.reload()
    expected = {
        "yaml": "invalid YAML",
        "schema": "poll.intervall: unknown key: did you mean interval?",
        "gone": "can't read it: No such file or directory",
        "state_dir": "state_dir: this can't change while running",
    }
    assert expected[damage] in problem
    [entry] = exporter.log.of("configuration not reloaded")
    assert expected[damage] in entry["error"]
    [notice] = exporter.app.notices()
    assert notice.startswith("configuration reload failed, keeping the previous one: ")
    assert expected[damage] in notice
    exporter.settle()
    after = exporter.scrape()
    assert after.data == before.data
    assert after.value("partnercenter_config_last_reload_successful") == 0
    changed = ("process_", "python_", "partnercenter_config_last_reload_successful")
    assert {s: v for s, v in after.samples.items() if not s[0].startswith(changed)} == {
        s: v for s, v in before.samples.items() if not s[0].startswith(changed)
    }
    exporter.file.write_text(content)
    assert exporter.app.reload() == ""
    assert exporter.app.notices() == []
    assert exporter.scrape().value("partnercenter_config_last_reload_successful") == 1


def test_renaming_a_partner_is_a_new_partner_and_the_old_one_is_gone(exporter: Exporter, simulator: Simulator) -> None:
    [partner] = exporter.partners()
    exporter.change(partners=[partner | {"name": "fabrikam"}])
    exporter.app.reload()
    exporter.settle()
    scrape = exporter.scrape()
    partners = {value for _, labels in scrape.samples for name, value in labels if name == "partner"}
    assert partners == {"fabrikam"}
    assert len(scrape.select("partnercenter_license_usage_ratio")) == 24
    assert simulator.requests.count("usage") == 2


def test_no_scrape_misses_the_data_while_a_changed_partner_is_swapped_in(exporter: Exporter) -> None:
    snapshots = exporter.app.snapshots
    expected = b"".join(block.plain for block in snapshots.current.blocks)
    seen: set[bytes] = set()
    done = threading.Event()

    def scrape() -> None:
        while not done.is_set():
            seen.add(b"".join(block.plain for block in snapshots.current.blocks))

    scraper = threading.Thread(target=scrape)
    scraper.start()
    for minutes in range(60, 70):
        exporter.change(poll={"interval": f"{minutes}m"})
        assert exporter.app.reload() == ""
    done.set()
    scraper.join(PATIENCE_SECONDS)
    assert seen == {expected}


def test_a_storm_of_signals_is_one_reload_under_way_and_one_that_waits(exporter: Exporter) -> None:
    read, reads, begun, released = exporter.app.read_config, list[Config](), threading.Semaphore(0), threading.Event()

    def slowly() -> Config:
        begun.release()
        assert released.wait(PATIENCE_SECONDS)
        reads.append(read())
        return reads[-1]

    exporter.app.read_config = slowly
    exporter.app.reload_in_background()
    assert begun.acquire(timeout=PATIENCE_SECONDS)
    for _ in range(1_000):
        exporter.app.reload_in_background()
    assert sum(thread.name == "reload" for thread in threading.enumerate()) == 2
    exporter.change(poll={"timeout": "29s"})
    released.set()
    until(lambda: len(exporter.log.of("configuration reloaded")) == 2)
    assert (len(reads), reads[-1].shared.timeout_seconds) == (2, 29.0)


def test_a_reload_makes_the_exporter_at_no_time_unhealthy(exporter: Exporter) -> None:
    found = list[Sequence[str]]()

    class Watching(SnapshotStore):
        """Asks for the health whenever data is published, which a reload does in the middle of its change."""

        def publish(self, *arguments: Any) -> None:
            found.append(exporter.app.unhealthy())
            super().publish(*arguments)

    exporter.app.builder.snapshots = Watching()
    exporter.change(partner={"client_secret_expires": "2027-05-01"})
    assert exporter.app.reload() == ""
    assert found == [()] * 2
    assert exporter.app.unhealthy() == []
