"""kill -9 of the whole exporter at random moments, and what the next start finds and does."""

import json
import os
import random
import signal
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from exporter.model.rows import SourceName
from exporter.model.status import PollStatus
from partnercenter_simulator import Simulator
from tests.reliability.rig import Rig
from tests.support.clock import LeapingClock
from tests.support.config import PARTNER, token_file
from tests.support.process import ExporterProcess, until

INTERVAL_SECONDS = 3_600.0
_FIRST_BACK_OFF_SECONDS = 60.0
_REPOSITORY = Path(__file__).parents[2]


@dataclass
class Crashes:
    """Starts the exporter in `program`, kills it, and starts it here to compare; `seen` counts what came up.

    `now` is the exporters' time: it goes on from one to the next.
    """

    program: ExporterProcess
    simulator: Simulator
    file: Path
    rng: random.Random
    now: float = 1_800_000_000.0
    seen: Counter[str] = field(default_factory=Counter)
    _lines: int = 0

    def crash(self) -> None:
        """Let it run for a few polls, kill it, and assert all that holds after that."""
        self.program.type(str(self.now))
        child = int(self._next_line())
        polls = self.simulator.requests.count("usage") + self.rng.randint(1, 4)
        self.simulator.requests.wait_for(polls, "usage")
        threading.Event().wait(self.rng.uniform(0.0, 0.04))
        os.kill(child, signal.SIGKILL)
        assert self._next_line() == "ended"
        self.seen["kills"] += 1
        self._check_files()
        self._check_next_start()

    def _check_files(self) -> None:
        """Every file is whole, whatever was under way; the stored token is one that was handed out."""
        for file in self._state.rglob("*"):
            if file.name.endswith(".tmp"):
                self.seen["temporary files left"] += 1
            elif file.suffix == ".json":
                json.loads(file.read_bytes())
                self.seen["files read"] += 1
        stored = json.loads(token_file(self.file).read_bytes())["refresh_token"]
        issued = self.simulator.entra.issued_refresh_tokens
        assert stored in issued[-2:]
        self.seen["tokens one behind"] += stored != issued[-1]

    def _check_next_start(self) -> None:
        """The next start shows the old data at once, keeps the schedule, signs in and polls."""
        began = {source: self._record(source)["last_poll_at"] for source in SourceName}
        clock = LeapingClock(
            now=max(began.values()) + self.rng.choice((1.0, 30.0, 100.0, 5_000.0)), at_least={"supervisor": 60.0}
        )
        due = {source: self._due(source, clock.time()) for source in SourceName}
        rig = Rig(self.file, clock, self.simulator)
        rig.start()
        try:
            self._check_data(rig)
            rig.run_until(lambda: all(_polled(s, began[s.source]) for s in rig.app.statuses()))
            rig.settle()
            for status in rig.app.statuses():
                assert status.last_poll_at is not None
                assert status.last_poll_at >= due[status.source] - 1
            self._check_data(rig, fresh=True)
        finally:
            rig.stop()
        self.now = clock.time()

    def _check_data(self, rig: Rig, *, fresh: bool = False) -> None:
        for source in SourceName:
            seen = rig.see(source)
            known = fresh or (self._state / "data" / f"{PARTNER}.{source}.json").exists()
            name = f"partnercenter_license_{source}_ratio"
            assert any(series[0] == name for series in seen.scrape.data) == known
            if fresh:
                assert seen.of_source("up") == 1
                assert seen.value("auth_up", partner=PARTNER) == 1
                assert seen.refresh_token == self.simulator.entra.issued_refresh_tokens[-1]
        assert all(request.status == 200 for request in self.simulator.requests.of("token"))

    def _due(self, source: str, now: float) -> float:
        """Return when the first poll after the crash may begin."""
        record = self._record(source)
        good = bool(record["finished"] and record["up"])
        self.seen["polls cut off"] += not record["finished"]
        wait = INTERVAL_SECONDS if good else _FIRST_BACK_OFF_SECONDS
        return max(float(str(record["last_poll_at"])) + wait, now)

    def _record(self, source: str) -> dict[str, float]:
        content: dict[str, float] = json.loads((self._state / "polls" / f"{PARTNER}.{source}.json").read_bytes())
        return content

    @property
    def _state(self) -> Path:
        return self.file.parent / "state"

    def _next_line(self) -> str:
        lines = until(lambda: found if len(found := self.program.stdout.split()) > self._lines else [])
        self._lines += 1
        return lines[self._lines - 1]


def _polled(status: PollStatus, before: float) -> bool:
    return status.last_poll_at is not None and status.last_poll_at > before and bool(status.up)


@contextmanager
def crashing(simulator: Simulator, file: Path, *, seed: int) -> Iterator[Crashes]:
    """Yield an exporter to be killed again and again; fail where it said an error of its own."""
    program = ("-m", "tests.support.crashing")
    with ExporterProcess(str(file), program=program, env={"PYTHONPATH": str(_REPOSITORY)}) as process:
        yield Crashes(process, simulator, file, random.Random(seed))  # noqa: S311  chance, no secret
        process.end_input()
        assert process.wait() == 0
        assert process.stderr == ""
