"""What the exporter serves after a restart, before any request upstream."""

from pathlib import Path

import pytest

from partnercenter_simulator import Simulator
from tests.e2e.conftest import start
from tests.support.config import write_config
from tests.support.process import PATIENCE_SECONDS

USAGE = {"partner": "contoso", "source": "usage"}
NEXT = "partnercenter_next_poll_timestamp_seconds"
REMEMBERED = (
    "partnercenter_up",
    "partnercenter_rows",
    "partnercenter_last_poll_timestamp_seconds",
    "partnercenter_last_success_timestamp_seconds",
    "partnercenter_last_poll_duration_seconds",
    "partnercenter_auth_up",
    "partnercenter_auth_refresh_token_issued_timestamp_seconds",
    "partnercenter_auth_refresh_token_expiry_timestamp_seconds",
    "partnercenter_auth_client_credential_expiry_timestamp_seconds",
)


def test_a_restart_serves_the_last_good_data_at_once_and_without_the_upstream(
    simulator: Simulator, tmp_path: Path
) -> None:
    file = write_config(tmp_path, simulator, partner={"client_secret_expires": "2099-01-01"}, targets=[{"ratio": 0.5}])
    with start(file) as process:
        process.wait_until_ready()
        process.wait_for_log("poll succeeded", 2)
        before = process.scrape()
        assert process.stop() == 0
    asked = simulator.requests.count()
    simulator.stop()
    with start(file) as process:
        # The very first response, with no upstream.
        after = process.scrape()
        assert process.ask("/-/ready").status_code == 200
        assert after.data == before.data != {}
        for name in REMEMBERED:
            assert after.select(name) == before.select(name) != {}, name
        last, due = (after.value(name, **USAGE) for name in ("partnercenter_last_poll_timestamp_seconds", NEXT))
        assert last is not None
        assert due == pytest.approx(last + 3_600, abs=PATIENCE_SECONDS)
        assert "poll failed" not in process.stderr
    assert simulator.requests.count() == asked


def test_a_restart_shows_a_refused_sign_in_as_refused_at_once(simulator: Simulator, tmp_path: Path) -> None:
    file = write_config(tmp_path, simulator)
    with start(file) as process:
        process.wait_until_ready()
        process.wait_for_log("poll succeeded", 2)
        assert process.stop() == 0
    simulator.entra.revoke_all()
    for record in (tmp_path / "state/polls").glob("*.usage.json"):
        record.unlink()  # a poll is due
    with start(file) as process:
        process.wait_for_log("poll failed")
        before = process.scrape()
        assert process.stop() == 0
    simulator.stop()
    with start(file) as process:
        after = process.scrape()
        assert after.value("partnercenter_auth_up", partner="contoso") == 0
        assert before.value("partnercenter_auth_up", partner="contoso") == 0
        assert not after.select("partnercenter_auth_refresh_token_expiry_timestamp_seconds")
        page = process.ask("/").text
        assert "AADSTS50173" in page
        assert "Not tried yet" not in page
