"""The refresh token outlives kill -9 at any moment of its rotation."""

import json
import os
import random
import signal
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from exporter.simulator import Simulator
from tests.support.config import token_file, write_config
from tests.support.process import ExporterProcess, until
from tests.support.sign_in import SignInKit

# More of them, for a night: KILLS=2000 pytest tests/e2e/test_kill.py
KILLS = int(os.environ.get("KILLS", "40"))
# What a rotation does to the state directory: folder, lock, reading, temporary file, rename, folder.
DEEDS = 8
REPOSITORY = Path(__file__).parents[2]


class Rotations:
    """A program that rotates the token without end, and the questions after its death."""

    def __init__(self, process: ExporterProcess, simulator: Simulator, kit: SignInKit, file: Path) -> None:
        self._process = process
        self._simulator = simulator
        self._kit = kit
        self._store = token_file(file)
        self._lines = 0

    def start(self, die_at: int = 0) -> int:
        """Let it rotate; return its process id."""
        self._process.type(str(die_at))
        return int(self._next_line())

    def wait_for_the_end(self) -> None:
        """Wait until it is dead."""
        assert self._next_line() == "ended"

    def have(self, count: int) -> int:
        """Wait until so many more tokens were asked for; return how many tokens there are then."""
        self._simulator.requests.wait_for(self._simulator.requests.count("token") + count, "token", 30.0)
        return self._simulator.entra.issued_refresh_token_count

    def left_behind(self) -> list[str]:
        """Return the files beside the token's, its lock aside."""
        return sorted(
            f.name for f in self._store.parent.iterdir() if f.name not in (self._store.name, ".lock")
        )

    def check(self) -> None:
        """Assert that the store is whole, at most one rotation behind, and good for a sign-in."""
        issued = self._simulator.entra.issued_refresh_tokens
        assert json.loads(self._store.read_bytes())["refresh_token"] in issued[-2:]
        assert self.left_behind() in ([], [f".{self._store.name}.tmp"])
        authenticator = self._kit.authenticator(seeded=False)
        authenticator.prove()
        assert authenticator.status.up
        assert not authenticator.unsaved
        newest = self._simulator.entra.issued_refresh_tokens[-1]
        assert json.loads(self._store.read_bytes())["refresh_token"] == newest
        assert self.left_behind() == []

    def _next_line(self) -> str:
        lines = until(lambda: found if len(found := self._process.stdout.split()) > self._lines else [])
        self._lines += 1
        return lines[self._lines - 1]


@pytest.fixture
def rotations(simulator: Simulator, tmp_path: Path) -> Iterator[Rotations]:
    file = write_config(tmp_path, simulator)
    kit = SignInKit(simulator, tmp_path)
    kit.authenticator().prove()
    program = ("-m", "tests.support.renewals")
    with ExporterProcess(str(file), program=program, env={"PYTHONPATH": str(REPOSITORY)}) as process:
        yield Rotations(process, simulator, kit, file)
        process.end_input()
        assert process.wait() == 0
        assert process.stderr == ""
    kit.close()


@pytest.mark.timeout(120 + KILLS)
def test_a_token_outlives_kill_9_at_any_time(rotations: Rotations) -> None:
    rng = random.Random(9)  # noqa: S311  the moments need not be secret
    pause = threading.Event()
    tokens = 0
    for _ in range(KILLS):
        child = rotations.start()
        tokens = rotations.have(rng.randint(1, 6))
        pause.wait(rng.uniform(0.0, 0.01))
        os.kill(child, signal.SIGKILL)
        rotations.wait_for_the_end()
        rotations.check()
    assert tokens > KILLS


def test_a_token_outlives_kill_9_between_any_two_steps_of_its_saving(rotations: Rotations) -> None:
    unfinished = 0
    for deed in range(1, 3 * DEEDS):
        rotations.start(die_at=deed)
        rotations.wait_for_the_end()
        unfinished += bool(rotations.left_behind())
        rotations.check()
    # Or no kill came between the temporary file and its rename.
    assert unfinished
