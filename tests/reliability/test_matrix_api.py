"""Every answer of the API in the fault matrix against every promise, and the first poll of all."""

import pytest

from tests.reliability.checks import RATIO, check_recovery, check_row, rig_for
from tests.reliability.conftest import MakeRig
from tests.reliability.faults import API_ROWS, MATRIX
from tests.reliability.promises import Row
from tests.reliability.settings import SETTINGS
from tests.support.cases import every_third
from tests.support.logs import LogStream

# One row for what each ending leaves on the page: the others end like one of these.
FIRST_POLL = {
    (row.outcome.data, row.outcome.auth_up): row
    for row in reversed(MATRIX)
    if row.plan and not row.restarted and row.token_seconds < 7_200
}.values()


@pytest.mark.parametrize("row", every_third(API_ROWS), ids=lambda row: row.name)
def test_a_fault_is_seen_counted_logged_and_survived(row: Row, make_rig: MakeRig, log_stream: LogStream) -> None:
    check_row(row, make_rig, log_stream)


@pytest.mark.parametrize("row", FIRST_POLL, ids=[row.name for row in FIRST_POLL])
def test_a_fault_at_the_very_first_poll_is_no_different(row: Row, make_rig: MakeRig) -> None:
    rig = rig_for(row, make_rig)
    with SETTINGS[row.setting](rig, row):
        rig.start()
        rig.settle()
        seen = rig.see()
        assert rig.openmetrics().data == seen.scrape.data
    if row.outcome.reason:
        assert seen.of_source("up") == 0
        assert seen.of_source("poll_failures_total", reason=row.outcome.reason) == 1
        assert seen.of_source("rows") is None
        assert seen.of_source("last_success_timestamp_seconds") is None
        assert not seen.scrape.select(RATIO)
        assert seen.fetched_at is None
    else:
        assert seen.of_source("up") == 1
        assert seen.of_source("rows") == row.outcome.rows == len(seen.scrape.select(RATIO))
    check_recovery(row.outcome.recovery, rig)
