"""Every fault of network, sign-in and machine in the fault matrix against every promise."""

import pytest

from exporter.model.rows import SourceName
from tests.reliability.checks import check_row
from tests.reliability.conftest import MakeRig
from tests.reliability.faults import ENVIRONMENT_ROWS
from tests.reliability.promises import Row
from tests.reliability.settings import SETTINGS
from tests.support.cases import every_third
from tests.support.logs import LogStream

# Refused before anybody is asked: no answer of Entra ID's brings a correlation ID of its own.
REFUSED_HERE = tuple(
    row for row in ENVIRONMENT_ROWS if row.outcome.auth_up == 0 and row.restarted and row.setting != "planned"
)


@pytest.mark.parametrize("row", every_third(ENVIRONMENT_ROWS), ids=lambda row: row.name)
def test_a_fault_is_seen_counted_logged_and_survived(row: Row, make_rig: MakeRig, log_stream: LogStream) -> None:
    check_row(row, make_rig, log_stream)


@pytest.mark.parametrize("row", every_third(REFUSED_HERE), ids=lambda row: row.name)
def test_a_refused_sign_in_is_reported_by_each_source_with_the_id_of_its_own_poll(
    row: Row, make_rig: MakeRig, log_stream: LogStream
) -> None:
    rig = make_rig(sources={"usage": {"api": "legacy"}, "deployment": {"api": "legacy"}})
    rig.start()
    rig.settle()
    rig.stop()
    rig.clock.pass_time(row.down_seconds, lambda: 0)
    known = len(log_stream.entries)
    with SETTINGS[row.setting](rig, row):
        rig.start()
        rig.settle()
        failures = {e["source"]: e for e in log_stream.entries[known:] if e["msg"] == "poll failed"}
        assert set(failures) == set(SourceName)
        assert len({entry["correlation_id"] for entry in failures.values()}) == len(failures)
        page = rig.page("/")
        for source, entry in failures.items():
            seen = rig.see(source)
            assert seen.status.failure is not None
            assert entry["correlation_id"] == seen.status.failure.correlation_id
            assert entry["correlation_id"] == seen.record["failure"]["correlation_id"]
            assert entry["correlation_id"] in page
            assert row.outcome.remedy in entry["remedy"]
