"""A reload that fails, wherever it does, leaves everything as it was."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any

import pytest

from exporter.builder import Builder, Partner
from exporter.config import Config, PartnerConfig
from exporter.polling.poller import Poller
from exporter.polling.state import Remembered, SourceState
from partnercenter_simulator import Simulator
from tests.integration.application.conftest import Exporter
from tests.integration.application.test_reload import second
from tests.support.files import UNUSABLE
from tests.support.process import until

SECRET = "hunter2-in-the-words-of-an-error"
# What may differ: times that pass, and what says that the reload has failed.
CHANGING = ("process_", "python_", "partnercenter_config_last_reload_successful")


def _threads() -> set[threading.Thread]:
    return {thread for thread in threading.enumerate() if thread.name.startswith(("poll-", "supervisor", "reload"))}


def _descriptors() -> int:
    return sum(1 for _ in Path("/proc/self/fd").iterdir())


@contextmanager
def nothing_changes(exporter: Exporter, simulator: Simulator) -> Iterator[None]:
    """Fail unless the block is a failed reload that shows as one and changes nothing else."""
    before, threads, descriptors = exporter.scrape(), _threads(), _descriptors()
    statuses, sign_ins = exporter.app.statuses(), exporter.app.sign_ins()
    failures = len(exporter.log.of("configuration not reloaded"))
    yield
    until(lambda: _threads() == threads and _descriptors() <= descriptors)
    after = exporter.scrape()
    kept = [{s: v for s, v in scrape.samples.items() if not s[0].startswith(CHANGING)} for scrape in (before, after)]
    assert kept[0] == kept[1]
    assert (exporter.app.statuses(), exporter.app.sign_ins()) == (statuses, sign_ins)
    assert exporter.app.unhealthy() == []
    assert after.value("partnercenter_config_last_reload_successful") == 0
    assert len(exporter.log.of("configuration not reloaded")) == failures + 1
    [notice] = exporter.app.notices()
    assert notice.startswith("configuration reload failed, keeping the previous one: ")
    assert SECRET not in exporter.log.getvalue() + notice
    # The old ones poll on, with their HTTP client.
    asked = simulator.requests.count("usage")
    exporter.pass_time(3_700)
    assert simulator.requests.count("usage") == asked + len({status.partner for status in statuses})
    assert all(status.up for status in exporter.app.statuses())


@pytest.mark.parametrize("damage", UNUSABLE)
def test_a_file_that_can_not_be_used_stops_nobody(exporter: Exporter, simulator: Simulator, damage: str) -> None:
    changed = exporter.partners()[0] | {"client_secret_expires": "2027-05-01"}
    wrong = second(exporter, simulator, refresh_token_file=UNUSABLE[damage](exporter.file.parent))
    exporter.change(partners=[changed, wrong])
    with nothing_changes(exporter, simulator):
        assert "partners[1].refresh_token_file: can't read " in exporter.app.reload()


@pytest.mark.parametrize("damage", UNUSABLE)
def test_authorities_that_can_not_be_used_stop_nobody(exporter: Exporter, simulator: Simulator, damage: str) -> None:
    exporter.change(http={"ca_file": UNUSABLE[damage](exporter.file.parent)})
    with nothing_changes(exporter, simulator):
        assert "http.ca_file: can't use " in exporter.app.reload()


@pytest.mark.parametrize("damage", UNUSABLE)
def test_a_configuration_file_that_can_not_be_used_stops_nobody(
    exporter: Exporter, simulator: Simulator, damage: str
) -> None:
    folder = exporter.file.parent
    exporter.file.rename(folder / "before.yaml")
    with suppress(OSError):  # no file at all where the name is too long for a link
        exporter.file.symlink_to(UNUSABLE[damage](folder))
    with nothing_changes(exporter, simulator):
        assert exporter.app.reload().startswith(str(exporter.file))


def test_authorities_that_vanish_between_check_and_use_stop_nobody(exporter: Exporter, simulator: Simulator) -> None:
    authorities = exporter.file.parent / "more.pem"
    authorities.write_bytes(simulator.ca_pem)
    exporter.change(http={"ca_file": str(authorities)})
    read = exporter.app.read_config

    def vanishing() -> Config:
        config = read()
        authorities.unlink()
        return config

    exporter.app.read_config = vanishing
    with nothing_changes(exporter, simulator):
        problem = exporter.app.reload()
    assert problem.startswith(f"configuration: http.ca_file: can't use {authorities} (No such file or directory)")


@pytest.mark.parametrize(
    "error", [OSError(5, SECRET), MemoryError(SECRET), RecursionError(SECRET), KeyError(SECRET), UnicodeError(SECRET)]
)
def test_an_unexpected_error_is_told_by_its_type_and_place(
    exporter: Exporter, simulator: Simulator, error: Exception
) -> None:
    def read() -> Config:
        raise error

    exporter.app.read_config = read
    with nothing_changes(exporter, simulator):
        problem = exporter.app.reload()
    assert problem.startswith(
        f"unexpected error, nothing was changed: {type(error).__name__} at test_failed_reload.py:"
    )
    assert "\n" not in problem


def test_a_retry_logs_only_what_is_news_and_a_reload_on_request_everything(exporter: Exporter) -> None:
    def logged() -> int:
        return len(exporter.log.of("configuration not reloaded"))

    assert exporter.app.retry_reload() == ""
    assert exporter.log.of("configuration reloaded") == []
    good = exporter.file.read_text()
    exporter.change(pol={})
    assert exporter.app.reload() == exporter.app.retry_reload() == exporter.app.retry_reload() != ""
    assert logged() == 1
    exporter.app.reload()
    assert logged() == 2
    exporter.change(pall={})
    assert "pall" in exporter.app.retry_reload()
    assert logged() == 3
    exporter.file.write_text(good)
    assert exporter.app.retry_reload() == exporter.app.retry_reload() == ""
    assert len(exporter.log.of("configuration reloaded")) == 1
    assert exporter.scrape().value("partnercenter_config_last_reload_successful") == 1


def test_an_exporter_that_is_stopped_during_a_reload_starts_no_polls(exporter: Exporter, simulator: Simulator) -> None:
    exporter.change(partners=[*exporter.partners(), second(exporter, simulator)], poll={"timeout": "29s"})
    read = exporter.app.read_config

    def stopping() -> Config:
        exporter.stop()
        return read()

    exporter.app.read_config = stopping
    asked = simulator.requests.count()
    assert exporter.app.reload() != ""
    until(lambda: not _threads())
    assert simulator.requests.count() == asked


class Steps:
    """Counts the steps of building; the one with the number `fails_at` fails."""

    def __init__(self) -> None:
        self.taken = 0
        self.fails_at = 0
        self.open_builders: list[Builder] = []

    def take(self) -> None:
        """Take one step."""
        self.taken += 1
        if self.taken == self.fails_at:
            raise RuntimeError(SECRET)


class SteppingState(SourceState):
    """The saved state; reading it is a step."""

    steps: Steps

    def load(self, *, now: float) -> Remembered:
        """Read it."""
        self.steps.take()
        return super().load(now=now)


@dataclass(kw_only=True, eq=False)
class SteppingPoller(Poller):
    """A poller whose thread's creation is a step: before it, and after it."""

    steps: Steps

    def prepare(self) -> None:
        """Create the thread."""
        self.steps.take()
        super().prepare()
        self.steps.take()


@dataclass(eq=False)
class SteppingBuilder(Builder):
    """A builder each of whose steps may fail."""

    steps: Steps = field(default_factory=Steps)

    def __post_init__(self) -> None:
        self.steps.take()
        super().__post_init__()
        self.steps.open_builders.append(self)

    def close(self) -> None:
        """Close it."""
        super().close()
        self.steps.open_builders.remove(self)

    def partner(self, config: PartnerConfig) -> Partner:
        """Build one partner."""
        self.steps.take()
        partner = super().partner(config)
        self.steps.take()
        return replace(partner, pollers=tuple(map(self._stepping, partner.pollers)))

    def _stepping(self, poller: Poller) -> Poller:
        parts: dict[str, Any] = {part.name: getattr(poller, part.name) for part in fields(poller)}
        state = SteppingState(self.directory, poller.plan, poller.log)
        state.steps = self.steps
        stepping = SteppingPoller(**(parts | {"state": state, "steps": self.steps}))
        self._pollers.add(stepping)
        return stepping


@pytest.mark.parametrize(("shared", "count"), [({}, 14), ({"poll": {"timeout": "29s"}}, 15)], ids=["partners", "all"])
def test_whatever_step_of_a_reload_fails_nothing_changes(
    exporter: Exporter, simulator: Simulator, shared: dict[str, Any], count: int
) -> None:
    steps = Steps()
    parts: dict[str, Any] = {part.name: getattr(exporter.app.builder, part.name) for part in fields(Builder)}
    exporter.app.builder.close()
    exporter.app.builder = SteppingBuilder(**parts, steps=steps)
    exporter.change(partner={"client_secret_expires": "2027-05-01"})
    assert exporter.app.reload() == ""
    exporter.settle()
    changed = exporter.partners()[0] | {"client_secret_expires": "2027-06-01"}
    exporter.change(partners=[changed, second(exporter, simulator)], **shared)
    for number in range(1, count + 1):
        steps.taken, steps.fails_at = 0, number
        with nothing_changes(exporter, simulator):
            assert "unexpected error, nothing was changed: RuntimeError at " in exporter.app.reload()
        assert steps.open_builders == [exporter.app.builder]
    steps.taken, steps.fails_at = 0, 0
    assert exporter.app.reload() == ""
    assert steps.taken == count
    exporter.settle()
    assert len(exporter.app.statuses()) == 4
