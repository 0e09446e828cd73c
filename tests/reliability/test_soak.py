"""Two simulated weeks; `python -m benchmarks.soak` does a year."""

import gc
from pathlib import Path

from tests.reliability.log_pipe import counted_logs
from tests.reliability.soak import Moment, Soak


def test_weeks_of_faults_leave_fresh_data_the_newest_tokens_and_nothing_else(tmp_path: Path) -> None:
    before, after = soak(tmp_path)
    gc.collect()
    assert after.failures > before.failures > 0
    assert after.threads == before.threads
    assert after.descriptors <= before.descriptors + 12
    assert after.objects <= before.objects * 1.05


def soak(folder: Path) -> tuple[Moment, Moment]:
    """Return the state of things after one week and after two."""
    with counted_logs() as log:
        soak = Soak(folder, log, interval="12h")
        with soak.running():
            soak.go_on(7)
            before = soak.measure()
            soak.go_on(7)
            return before, soak.measure()
