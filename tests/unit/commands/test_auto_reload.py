"""--config.enable-auto-reload: when it reloads, and how often."""

import threading
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import pytest

from exporter.commands.auto_reload import AutoReload
from exporter.config.watch import WatchedConfig
from tests.support.clock import FakeClock
from tests.support.logs import LogStream

INTERVAL_SECONDS = 30.0
RETRY_WAITS = 21
"""So many waits take longer than ten minutes."""


@dataclass
class Exporter:
    """Reads the file as a reload does; `error` is what nobody has thought of."""

    config: WatchedConfig
    error: Exception | None = None
    reloads: int = 0
    retries: int = 0

    def reload(self) -> str:
        self.reloads += 1
        self.config.seen = self.config.checksum()
        if self.error:
            raise self.error
        return "wrong"

    def retry_reload(self) -> str:
        self.retries += 1
        return "wrong"


class ScriptedClock(FakeClock):
    """A wait passes at once; before the wait of a number, counted from 0, something happens."""

    def __init__(self, script: Mapping[int, Callable[[], object]]) -> None:
        super().__init__()
        self._script = script

    def wait(self, event: threading.Event, timeout_seconds: float) -> bool:
        self._script.get(len(self.waits), lambda: None)()
        return super().wait(event, timeout_seconds)


Run = Callable[..., Exporter]


@pytest.fixture
def run(config_file: Path) -> Run:
    """Return a function that looks for so many waits, while the script's steps happen."""

    def call(script: Mapping[int, Callable[[], object]], *, waits: int, error: Exception | None = None) -> Exporter:
        steps = dict(script)
        clock = ScriptedClock(steps)
        config = WatchedConfig(config_file)
        exporter = Exporter(config, error)
        auto_reload = AutoReload(config, interval_seconds=INTERVAL_SECONDS, clock=clock)
        steps[waits] = auto_reload.stop
        auto_reload.run(exporter)
        assert set(clock.waits) <= {INTERVAL_SECONDS, 1.0}
        assert len(clock.waits) == waits
        return exporter

    return call


def test_without_a_change_nothing_is_reloaded(run: Run) -> None:
    assert run({}, waits=100).reloads == 0


def written(file: Path, numbers: Iterable[int]) -> Mapping[int, Callable[[], object]]:
    """Write something else before each wait of these numbers."""
    return {number: partial(file.write_text, "x" * number) for number in numbers}


def test_each_change_is_reloaded_once(run: Run, config_file: Path) -> None:
    assert run(written(config_file, (3, 30)), waits=60).reloads == 2


def test_a_file_that_is_being_written_is_read_once_it_is_complete(run: Run, config_file: Path) -> None:
    script = written(config_file, range(2, 8))
    assert run(script, waits=20).reloads == 1


def test_a_file_that_never_stays_is_read_all_the_same(run: Run, config_file: Path) -> None:
    script = written(config_file, range(40))
    assert 1 <= run(script, waits=40).reloads <= 4


def test_a_file_that_vanishes_for_a_moment_is_no_change(run: Run, config_file: Path) -> None:
    script = {2: lambda: config_file.rename(f"{config_file}.away"), 3: lambda: move_back(config_file)}
    assert run(script, waits=10).reloads == 0


def move_back(file: Path) -> None:
    Path(f"{file}.away").rename(file)


def test_a_file_that_stays_away_is_reloaded_once_and_again_when_it_is_back(run: Run, config_file: Path) -> None:
    script = {2: lambda: config_file.rename(f"{config_file}.away"), 12: lambda: move_back(config_file)}
    assert run(script, waits=25).reloads == 2


def test_what_was_reloaded_in_another_way_is_not_reloaded_again(config_file: Path) -> None:
    config = WatchedConfig(config_file)
    exporter = Exporter(config)

    def change_and_reload() -> None:
        config_file.write_text("x: 1")
        exporter.reload()

    script: dict[int, Callable[[], object]] = {2: change_and_reload}
    auto_reload = AutoReload(config, interval_seconds=INTERVAL_SECONDS, clock=ScriptedClock(script))
    script[10] = auto_reload.stop
    auto_reload.run(exporter)
    assert exporter.reloads == 1


def test_a_reload_is_tried_again_every_ten_minutes_since_its_failure_may_not_be_the_file_s(
    run: Run, config_file: Path
) -> None:
    exporter = run({2: lambda: config_file.write_text("x: 1")}, waits=4 + 3 * RETRY_WAITS)
    assert (exporter.reloads, exporter.retries) == (1, 3)


def test_a_bug_in_a_reload_is_logged_and_later_changes_are_seen(
    run: Run, config_file: Path, log_stream: LogStream
) -> None:
    assert run(written(config_file, (3, 30)), waits=60, error=RuntimeError("secret")).reloads == 2
    assert [entry["error"] for entry in log_stream.of("internal error")] == ["RuntimeError"] * 2
