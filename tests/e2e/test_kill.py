"""The refresh token survives kill -9 between any two steps of its rotation.

Kills of the complete exporter at random moments are in tests/reliability/test_crashes.py.
"""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from partnercenter_simulator import Simulator
from tests.support.config import token_file, write_config
from tests.support.process import ExporterProcess, until
from tests.support.sign_in import SignInKit

# What a rotation does to the state directory: folders, lock, reading, temporary file, rename, all of them relative to
# the folders that it opens first.
DEEDS = 16
REPOSITORY = Path(__file__).parents[2]


class Rotations:
    """A program that rotates the token until it is killed, and the checks afterwards."""

    def __init__(self, process: ExporterProcess, simulator: Simulator, kit: SignInKit, file: Path) -> None:
        self._process = process
        self._simulator = simulator
        self._kit = kit
        self._store = token_file(file)
        self._deaths = 0

    def die_at(self, deed: int) -> None:
        """Let it rotate the token and die before that operation."""
        self._process.type(str(deed))
        self._deaths += 1
        until(lambda: len(self._process.stdout.split()) == self._deaths)

    def left_behind(self) -> list[str]:
        """Return the files next to the token's, except its lock."""
        return sorted(f.name for f in self._store.parent.iterdir() if f.name not in (self._store.name, ".lock"))

    def check(self) -> None:
        """Assert that the store is intact, at most one rotation behind, and usable for a sign-in."""
        issued = self._simulator.entra.issued_refresh_tokens
        assert json.loads(self._store.read_bytes())["refresh_token"] in issued[-2:]
        assert self.left_behind() in ([], [f".{self._store.name}.tmp"])
        authenticator = self._kit.authenticator(seeded=False)
        authenticator.refresh_if_due()
        assert authenticator.status.up
        assert not authenticator.tokens.unsaved
        newest = self._simulator.entra.issued_refresh_tokens[-1]
        assert json.loads(self._store.read_bytes())["refresh_token"] == newest
        assert self.left_behind() == []


@pytest.fixture
def rotations(simulator: Simulator, tmp_path: Path) -> Iterator[Rotations]:
    file = write_config(tmp_path, simulator)
    kit = SignInKit(simulator, tmp_path)
    kit.authenticator().refresh_if_due()
    program = ("-m", "tests.support.renewals")
    with ExporterProcess(str(file), program=program, env={"PYTHONPATH": str(REPOSITORY)}) as process:
        yield Rotations(process, simulator, kit, file)
        process.end_input()
        assert process.wait() == 0
        assert [line for line in process.stderr.splitlines() if 'msg="clock wrong"' not in line] == []
    kit.close()


def test_a_token_survives_kill_9_between_any_two_steps_of_saving_it(rotations: Rotations) -> None:
    unfinished = 0
    for deed in range(1, 3 * DEEDS):
        rotations.die_at(deed)
        unfinished += bool(rotations.left_behind())
        rotations.check()
    # Or no kill came between the temporary file and its rename.
    assert unfinished
