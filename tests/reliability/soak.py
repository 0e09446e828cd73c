"""A long time in a short one: polls, renewals, faults, reloads, what becomes of the machine, and what is left of it."""

import fcntl
import gc
import json
import math
import os
import random
import sys
import threading
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import yaml

from exporter.app import Application
from exporter.files import StateDirectory
from exporter.metrics.exporter_metrics import ExporterMetrics
from exporter.model.rows import SourceName
from partnercenter_simulator.faults import CONNECTION_KINDS
from tests.integration.exposition import Exposition, scraped
from tests.reliability.allocated import allocated_bytes
from tests.reliability.faults import MATRIX
from tests.reliability.log_pipe import BREAKS, LogPipe
from tests.reliability.rig import DAY_SECONDS, add_partner, store_token
from tests.reliability.upstream import RemoteSimulator, UpstreamProcess
from tests.support.application import build_application, threads
from tests.support.certificates import ClientIdentity
from tests.support.clock import LeapingClock
from tests.support.config import token_file, write_config
from tests.support.process import until

HOUR = 3_600.0
_MAX_STALENESS_DAYS = 9
_CERTIFICATE_DAYS = 4_000
_PAGE = os.sysconf("SC_PAGE_SIZE")
_NUMBERS = {"contoso": 1, "fabrikam": 2}
_PARTNERS = tuple(_NUMBERS)
_SUCCEEDED = ("poll succeeded", "poll succeeded without rows")
_HEAVY = ("gzip_bomb", "oversized", "handshake_silent")
# What takes real time to strike is left to the matrix, which lets each of these strike alone.
FAULTS = tuple(
    fault
    for row in MATRIX
    if not row.impatient
    for fault in row.plan
    if fault.kind not in _HEAVY and fault.retry_after != "soon"
)


@dataclass(frozen=True)
class Moment:
    """The state of things on one simulated day: what has happened so far, and what is held now.

    `allocated_bytes` are what the C library has given out, to OpenSSL and Python among others (NaN where it doesn't
    say): `resident_bytes` count what it has kept for later, too. `blocks` are the pieces of memory that Python's
    objects take, `objects` those of the exporter's own classes. The simulator, which remembers by design, is elsewhere.
    """

    day: float
    polls: int
    failures: int
    renewals: int
    requests: int
    resident_bytes: int
    allocated_bytes: float
    blocks: int
    objects: int
    threads: int
    descriptors: int


@dataclass
class Soak:
    """Two partners with two sources each, every one polled each `interval` (Prometheus' spelling).

    One has a client secret; the other a certificate, whose assertions Entra ID refuses while the clock is wrong.
    """

    folder: Path
    log: LogPipe
    interval: str = "1h"
    seed: int = 1
    clock: LeapingClock = field(init=False)
    rng: random.Random = field(init=False)
    simulators: dict[str, RemoteSimulator] = field(default_factory=dict)
    app: Application = field(init=False)
    metrics: ExporterMetrics = field(init=False)
    happened: Counter[str] = field(default_factory=Counter)
    _begin: float = field(init=False)
    _upstream: UpstreamProcess = field(init=False)
    _steady: bool = True  # no time was noted by a clock that was set since
    _newest: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        # A supervisor that looks twice an hour: a year of seconds is long even for a leaping clock.
        self.clock = LeapingClock(at_least={"supervisor": 1_800.0}, on_leap=self._set_clocks)
        self.rng = random.Random(self.seed)  # noqa: S311  chance, no secret
        self._begin = self.clock.true_time()
        self._upstream = UpstreamProcess()
        self._upstream.start()
        for name, number in _NUMBERS.items():
            served = self._upstream.Served(number, self.clock.ahead)
            self.simulators[name] = RemoteSimulator(served)
        self.file = write_config(
            self.folder,
            self.simulators["contoso"],
            poll={"interval": self.interval, "max_staleness": f"{_MAX_STALENESS_DAYS}d", "timeout": "20s"},
        )
        identity = ClientIdentity.new(days=_CERTIFICATE_DAYS)
        fabrikam = self.simulators["fabrikam"]
        fabrikam.entra.register_certificate(identity.certificate_pem)
        add_partner(self.file, fabrikam, certificate=identity.certificate_pem + identity.key_pem())
        self._content = self.file.read_text()

    @contextmanager
    def running(self) -> Iterator[None]:
        """Serve and poll until the end of the context."""
        for simulator in self.simulators.values():
            simulator.start()
        self._start()
        try:
            yield
        finally:
            self._stop()
            for simulator in self.simulators.values():
                simulator.stop()
            self._upstream.shutdown()

    @property
    def day(self) -> float:
        """The simulated days since the beginning."""
        return (self.clock.true_time() - self._begin) / DAY_SECONDS

    def go_on(self, days: float) -> None:
        """Let so many days pass, with something going wrong every few hours; check everything each week."""
        end = self.day + days
        week = self.day + 7
        while self.day < end:
            self.one_event()
            self._pass(self.rng.uniform(0.5, 12) * HOUR)
            self.check_tokens()
            self.check_no_ghosts()
            if self.day > week:
                week = self.day + 7
                self.calm_down()
        self.calm_down()

    def one_event(self) -> None:
        """Let one thing happen, drawn by chance; faults most often."""
        events: Sequence[tuple[Callable[[], None], int]] = (
            (self.plan_fault, 12),
            (self.clear_faults, 4),
            (self.reload_unchanged, 2),
            (self.reload_changed, 2),
            (self.reload_broken, 1),
            (self.step_clock, 2),
            (self.suspend, 1),
            (self.break_log, 2),
            (self.hold_lock, 1),
            (self.revoke, 1),
            (self.sign_in_anew, 1),
            (self.restart, 1),
        )
        actions, weights = zip(*events, strict=True)
        action = self.rng.choices(actions, weights)[0]
        self.happened[action.__name__] += 1
        action()

    def plan_fault(self) -> None:
        """Let a fault of the matrix strike one partner a few times."""
        simulator = self.rng.choice(list(self.simulators.values()))
        fault = self.rng.choice(FAULTS)
        simulator.plan(replace(fault, times=self.rng.randint(1, 8)))
        if fault.kind in CONNECTION_KINDS:
            simulator.hang_up()

    def clear_faults(self) -> None:
        """Let nothing go wrong from now on."""
        for simulator in self.simulators.values():
            simulator.clear_faults()

    def reload_unchanged(self) -> None:
        """Reload the file as it is."""
        assert self.app.reload() == ""

    def reload_changed(self) -> None:
        """Take a source away from a partner, or give it back, or change what holds for all."""
        content = yaml.safe_load(self._content)
        kind = self.rng.choice(("as before", "without a source", "without a partner", "targets", "http"))
        if kind == "without a source":
            content["partners"][1]["sources"] = {"deployment": {"enabled": False}}
        elif kind == "without a partner":
            del content["partners"][1]
        elif kind == "targets":
            content["targets"] = [{"ratio": self.rng.random()}]
        elif kind == "http":
            content["poll"]["timeout"] = "19s"
        self.file.write_text(yaml.safe_dump(content))
        assert self.app.reload() == ""
        self.check_no_ghosts()

    def reload_broken(self) -> None:
        """Reload a file that is wrong, and put the old one back."""
        content = self.file.read_text()
        self.file.write_text("partners: [")
        assert self.app.reload() != ""
        self.file.write_text(content)

    def step_clock(self) -> None:
        """Set this machine's clock to within a day of the right time."""
        self._steady = False
        drift = self.clock.time() - self.clock.true_time()
        self.clock.jump(self.rng.choice((-DAY_SECONDS, 0.0, DAY_SECONDS)) - drift)

    def suspend(self) -> None:
        """Suspend the machine for a while; within a minute of its resuming nothing is overdue."""
        self.clock.suspend(self.rng.choice((0.1, 10, 100, 300)) * HOUR)
        self._pass(60.0)
        for status in self.app.statuses() if self._steady else ():
            assert status.next_poll_at is not None
            assert status.next_poll_at > self.clock.time() - 60.0
        self.check_age()

    def break_log(self) -> None:
        """Let the log's stream be broken for a while, and with it nothing else."""
        self.log.break_off(self.rng.choice(BREAKS))
        self._pass(self.rng.uniform(1, 48) * HOUR)
        self.log.heal()

    def hold_lock(self) -> None:
        """Let another program hold a lock of the state directory, as a hung share's looks; every source is polled."""
        began = self.clock.time()
        lock = self.folder / "state" / self.rng.choice((".", "data", "polls", "tokens")) / ".lock"
        with lock.open() as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            self._pass(self.rng.uniform(26, 48) * HOUR)
            for status in self.app.statuses():
                assert status.last_poll_at is not None
                assert status.last_poll_at > began

    def revoke(self) -> None:
        """Let Entra ID refuse all of a partner's tokens, and the operator sign in within a day or so."""
        name = self.rng.choice(_PARTNERS)
        self.simulators[name].entra.revoke_all()
        self._pass(self.rng.uniform(1, 30) * HOUR)
        self._sign_in(name)

    def sign_in_anew(self) -> None:
        """Let the operator sign in though nothing is wrong."""
        self._sign_in(self.rng.choice(_PARTNERS))

    def restart(self) -> None:
        """Stop the exporter, let some time pass, and start it."""
        self._stop()
        self.clock.pass_time(self.rng.uniform(0, 6) * HOUR, lambda: 0)
        self._start()

    def calm_down(self) -> None:
        """Let all be good again, poll everything once, and compare everything."""
        self.clear_faults()
        self.clock.jump(self.clock.true_time() - self.clock.time())
        self.file.write_text(self._content)
        assert self.app.reload() == ""
        # Longer than any Retry-After and any interval.
        self._pass(26 * HOUR)
        self._steady = True
        scrape = self.check_pages()
        for partner in _PARTNERS:
            for source in SourceName:
                labels = {"partner": partner, "source": source}
                assert scrape.value("partnercenter_up", **labels) == 1, labels
                assert scrape.value("partnercenter_poll_failures_total", **labels, reason="internal") == 0
                assert scrape.value("partnercenter_poll_thread_restarts_total", **labels) == 0
            assert scrape.value("partnercenter_auth_up", partner=partner) == 1
            # Every token that was handed out lately reached the exporter, so the newest one must be kept.
            assert self._stored(partner) == self.simulators[partner].entra.issued_refresh_tokens[-1]
            self._check_figures(partner, scrape)
        assert scrape.value("partnercenter_state_writable") == 1
        assert self.app.unhealthy() == []
        self.log.check()
        assert self.log.counts["internal error"] == 0

    def check_tokens(self) -> None:
        """The stored token is always one that was handed out, and never an older one than before."""
        for partner in _PARTNERS:
            issued = self.simulators[partner].entra.issued_refresh_tokens
            if (stored := self._stored(partner)) is None:  # it never signed in
                assert partner not in self._newest
                continue
            place = issued.index(stored)
            newest = self._newest.get(partner)
            if newest in issued:
                assert place >= issued.index(newest)
            self._newest[partner] = issued[place]

    def check_pages(self) -> Exposition:
        """Return /metrics, after comparing its two formats."""
        text = scraped(self.app.snapshots, self.metrics)
        data = b"".join(block.plain for block in self.app.snapshots.current.blocks)
        openmetrics = Exposition((data + self.metrics.openmetrics()).decode(), openmetrics=True)
        assert text.data == openmetrics.data
        return text

    def check_no_ghosts(self) -> None:
        """Nothing is left on /metrics of a partner or source that the configuration no longer has."""
        scrape = scraped(self.app.snapshots, self.metrics)
        there = {(s.partner, s.source) for s in self.app.statuses()}
        partners = {partner for partner, _ in there}
        for name, labels in scrape.samples:
            found = dict(labels)
            assert found.get("partner") in {*partners, None}, (name, found)
            if "source" in found:
                assert (found["partner"], found["source"]) in there, (name, found)
            if name.startswith("partnercenter_license"):
                source = _source_of(found)
                assert (found["partner"], source) in there, (name, found)

    def check_age(self) -> None:
        """No data is shown that is too old. Clock steps of a day either way can't be told from age here."""
        scrape = scraped(self.app.snapshots, self.metrics)
        oldest = self.clock.time() - (_MAX_STALENESS_DAYS + 2) * DAY_SECONDS
        for name, labels in scrape.samples:
            found = dict(labels)
            if name.startswith("partnercenter_license"):
                source = _source_of(found)
                at = scrape.value(
                    "partnercenter_last_success_timestamp_seconds", partner=found["partner"], source=source
                )
                assert at is not None
                assert at > oldest, (name, found)

    def measure(self) -> Moment:
        """Return the state of things now."""
        gc.collect()
        return Moment(
            day=self.day,
            polls=sum(self.log.counts[description] for description in ("poll failed", *_SUCCEEDED)),
            failures=self.log.counts["poll failed"],
            renewals=sum(s.entra.issued_refresh_token_count for s in self.simulators.values()),
            requests=sum(s.request_count() for s in self.simulators.values()),
            resident_bytes=int(Path("/proc/self/statm").read_text().split()[1]) * _PAGE,
            allocated_bytes=allocated_bytes(),
            blocks=sys.getallocatedblocks(),
            objects=sum(_is_ours(thing) for thing in gc.get_objects()),
            threads=threading.active_count(),
            descriptors=len(list(Path("/proc/self/fd").iterdir())),
        )

    def _set_clocks(self, ahead: float) -> None:
        for simulator in self.simulators.values():
            simulator.leap(ahead)

    def _start(self) -> None:
        # A lock is waited for in real time.
        directory = StateDirectory(self.folder / "state", lock_timeout_seconds=0.02)
        seed = self.rng.randrange(2**32)
        self.app, self.metrics = build_application(self.file, self.clock, seed=seed, directory=directory)
        self.app.start()

    def _stop(self) -> None:
        self.app.stop()
        until(lambda: threads() == 0)

    def _pass(self, seconds: float) -> None:
        end = self.clock.true_time() + seconds
        self.clock.run_until(lambda: self.clock.true_time() >= end, threads, within_seconds=seconds + DAY_SECONDS)

    def _sign_in(self, partner: str) -> None:
        store_token(self.folder / "state", self.simulators[partner], partner, at=self.clock.time())

    def _stored(self, partner: str) -> str | None:
        file = token_file(self.file, partner)
        return str(json.loads(file.read_bytes())["refresh_token"]) if file.exists() else None

    def _check_figures(self, partner: str, scrape: Exposition) -> None:
        """Every ratio of a partner is the one that the API gave at the last poll, and there is no other."""
        expected: dict[Any, float] = {}
        for source in SourceName:
            at = scrape.value("partnercenter_last_success_timestamp_seconds", partner=partner, source=source)
            assert at is not None
            kind = f"partnercenter_license_{source}_ratio"
            expected |= {series: ratio for series, ratio in _figures(self.simulators[partner], at) if series[0] == kind}
        shown = {
            series: value
            for series, value in scrape.data.items()
            if series[0].endswith(("usage_ratio", "deployment_ratio")) and ("partner", partner) in series[1]
        }
        assert shown.keys() == expected.keys()
        assert all(math.isclose(value, expected[series]) for series, value in shown.items())


def _source_of(labels: Mapping[str, str]) -> SourceName:
    """Return the source of a licence series."""
    return SourceName.USAGE if "workload" in labels else SourceName.DEPLOYMENT


def _is_ours(thing: object) -> bool:
    """Return whether it is an object of one of the exporter's own classes."""
    module = str(type(thing).__module__)
    return module.startswith("exporter.") and not module.startswith("partnercenter_simulator")


def _figures(simulator: RemoteSimulator, at: float) -> Iterator[tuple[tuple[str, frozenset[tuple[str, str]]], float]]:
    """Yield every ratio that the API gave at a time (Unix seconds), as `Exposition` holds it."""
    moment = datetime.fromtimestamp(at, UTC)
    name = next(name for name, number in _NUMBERS.items() if number == simulator.dataset.seed)
    for usage in simulator.dataset.usage(moment):
        labels = {"partner": name, "workload": usage.workload, "service": usage.service, "channel": usage.channel}
        yield ("partnercenter_license_usage_ratio", frozenset(labels.items())), usage.percent / 100
    for deployment in simulator.dataset.deployment(moment):
        labels = {"partner": name, "service": deployment.service, "channel": deployment.channel}
        yield ("partnercenter_license_deployment_ratio", frozenset(labels.items())), deployment.percent / 100
