"""The whole exporter survives kill -9; `python -m benchmarks.kill` does it a thousand times."""

from pathlib import Path

from partnercenter_simulator import Simulator
from tests.reliability.crashes import crashing
from tests.support.config import write_config
from tests.support.logs import LogStream

KILLS = 10


def test_the_next_start_after_kill_9_signs_in_serves_and_keeps_the_schedule(
    tmp_path: Path, simulator: Simulator, log_stream: LogStream
) -> None:
    file = write_config(tmp_path, simulator)
    with crashing(simulator, file, seed=9) as crashes:
        for _ in range(KILLS):
            crashes.crash()
    assert crashes.seen["kills"] == KILLS
    assert "internal error" not in log_stream.getvalue()
