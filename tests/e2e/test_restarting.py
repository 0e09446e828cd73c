"""What the exporter serves after a restart, before any request upstream."""

from pathlib import Path

import pytest

from partnercenter_simulator import Fault, Simulator
from tests.e2e.conftest import start
from tests.support.config import write_config

USAGE = {"partner": "contoso", "source": "usage"}
NEXT = "partnercenter_next_poll_timestamp_seconds"
REMEMBERED = (
    "partnercenter_up",
    "partnercenter_rows",
    "partnercenter_last_poll_timestamp_seconds",
    "partnercenter_last_success_timestamp_seconds",
    "partnercenter_last_poll_duration_seconds",
)


def test_a_restart_serves_the_last_good_data_at_once_and_without_the_upstream(
    simulator: Simulator, tmp_path: Path
) -> None:
    file = write_config(tmp_path, simulator, targets=[{"ratio": 0.5}])
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
        assert due == pytest.approx(last + 3_600, abs=2)
        assert "poll failed" not in process.stderr
    assert simulator.requests.count() == asked


def test_after_a_failed_poll_a_restart_polls_within_a_minute_and_keeps_the_old_data(
    simulator: Simulator, tmp_path: Path
) -> None:
    file = write_config(tmp_path, simulator, sources={"deployment": {"enabled": False}})
    simulator.faults.add(Fault(kind="status", endpoint="usage", status=403))
    with start(file) as process:
        process.wait_until_ready()
        process.wait_for_log("poll failed")
        failed = process.scrape()
        process.stop()
    with start(file) as process:
        scrape = process.scrape()
        assert process.ask("/-/ready").status_code == 200
        last, due = (scrape.value(name, **USAGE) for name in ("partnercenter_last_poll_timestamp_seconds", NEXT))
        assert last == failed.value("partnercenter_last_poll_timestamp_seconds", **USAGE)
        assert last is not None
        assert due == pytest.approx(last + 60, abs=1)
        assert scrape.value("partnercenter_up", **USAGE) == 0
        assert "403" in process.ask("/").text
