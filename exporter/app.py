"""The composition root: starts, reloads and stops everything, and answers what the web side asks."""

import random
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from exporter.builder import Builder, Partner
from exporter.clock import Clock
from exporter.config.model import Config, PartnerConfig
from exporter.errors import ConfigurationError, Problem
from exporter.files import StateDirectory
from exporter.logs import Logger
from exporter.metrics.own import OwnMetrics
from exporter.metrics.snapshot import SnapshotStore
from exporter.metrics.targets import Target, target_of, unmatched
from exporter.model import PollStatus, Shown, SignInStatus
from exporter.polling.poller import Poller
from exporter.polling.supervisor import Supervisor, Unit, Worker


@dataclass(frozen=True, slots=True)
class Running:
    """One partner at work."""

    partner: Partner
    unit: Unit


class Application:
    """The running exporter, without its HTTP server. What the web side asks is answered here."""

    def __init__(
        self,
        config: Config,
        *,
        read_config: Callable[[], Config],
        own: OwnMetrics,
        clock: Clock,
        rng: random.Random,
        log: Logger,
    ) -> None:
        self.snapshots = SnapshotStore()
        self.directory = StateDirectory(config.state_dir)
        self.own = own
        self._read_config = read_config
        self._clock = clock
        self._rng = rng
        self._log = log
        self._reloading = threading.Lock()
        self._not_reloaded = ""
        self._running: tuple[Running, ...] = ()
        self._ready = False
        self._builder = self._new_builder(config)
        self._supervisor = Supervisor(
            lambda: tuple(running.unit for running in self._running),
            heal_state=self._heal_state,
            on_restart=own.observe_restart,
            clock=clock,
            log=log,
        )
        own.follow(
            polls=self.statuses,
            sign_ins=lambda: [
                (r.partner.authenticator.status, r.partner.authenticator.failures) for r in self._running
            ],
            state_writable=self._state_is_written,
        )

    def start(self) -> None:
        """Take up what the last run left, and start to poll. Raises StateError where nothing can be saved."""
        self.directory.check()
        self._running = tuple(self._run(partner) for partner in self._builder.config.partners)
        self.own.observe_reload(at=self._clock.time())
        for worker in self._workers():
            worker.start()
        self._supervisor.start()

    def stop(self) -> None:
        """Stop polling; no file is written from then on. Returns within about a second."""
        self._supervisor.stop()
        for worker in self._workers():
            worker.poller.stop()
        if not self.directory.close(timeout_seconds=1.0):
            self._log.warning("a write takes too long, given up", state_dir=str(self.directory.root))

    def statuses(self) -> list[PollStatus]:
        """Return where every source stands."""
        return [worker.poller.status for worker in self._workers()]

    def shown(self) -> Sequence[Shown]:
        """Return every source with the data that are shown, and the target of each row."""
        targets = self._builder.config.targets
        return [_shown(worker.poller, targets) for worker in self._workers()]

    def sign_ins(self) -> Sequence[SignInStatus]:
        """Return every partner's sign-in."""
        return [running.partner.authenticator.status for running in self._running]

    def notices(self) -> Sequence[str]:
        """Return what a person should know: idle targets, a bad reload, state that can't be written."""
        notices = [
            f"target {target} matches no series: look at its spelling" for target in self._idle_targets()
        ]
        if self._not_reloaded:
            notices.append(f"the configuration was not reloaded, the old one holds: {self._not_reloaded}")
        if not self._state_is_written():
            notices.append(
                f"the state directory {self.directory.root} can't be written: look at its space and owner"
            )
        return notices

    def unhealthy(self) -> Sequence[str]:
        """Return which poll threads are dead or stuck."""
        return [
            f"the poll thread of {status.partner} {status.source} is {'dead' if worker.dead else 'stuck'}"
            for worker in self._workers()
            if not worker.healthy and (status := worker.poller.status)
        ]

    def not_ready(self) -> Sequence[str]:
        """Return which sources have not finished a first poll; once none is left, none ever is again."""
        if self._ready:
            return ()
        waiting = [f"{s.partner} {s.source} has not been polled yet" for s in self.statuses() if s.up is None]
        self._ready = not waiting
        return waiting

    def reload(self) -> str:
        """Read the configuration anew and swap it in; return what is wrong with it, or nothing."""
        with self._reloading:
            try:
                config = self._read_config()
                self._swap(config)
            except ConfigurationError as error:
                self.own.observe_reload(at=None)
                self._not_reloaded = str(error)
                self._log.error("configuration not reloaded", error=str(error))
                return str(error)
            self.own.observe_reload(at=self._clock.time())
            self._not_reloaded = ""
            self._log.info("configuration reloaded", partners=len(config.partners))
            return ""

    def reload_in_background(self) -> None:
        """Reload on a thread of its own: a signal handler must not read files."""
        threading.Thread(target=self.reload, name="reload", daemon=True).start()

    def _swap(self, config: Config) -> None:
        before = self._builder.config
        if config.state_dir != before.state_dir:
            problem = Problem(0, "state_dir", "this can't change while running: restart the exporter")
            raise ConfigurationError("reload", (problem,))
        builder = self._new_builder(config)
        same_ground = (config.poll, config.http) == (before.poll, before.http)
        old = {running.partner.config.name: running for running in self._running}
        self._builder = builder
        running = []
        started = []
        for partner in config.partners:
            predecessor = old.pop(partner.name, None)
            if predecessor and same_ground and predecessor.partner.config == partner:
                for worker in predecessor.unit.workers:
                    worker.poller.data.retarget(config.targets)
                running.append(predecessor)
                continue
            running.append(self._run(partner, predecessor))
            started.append(running[-1])
        self._running = tuple(running)
        for gone in old.values():
            self._retire(gone, kept=())
        for each in started:
            for worker in each.unit.workers:
                worker.start()

    def _run(self, config: PartnerConfig, predecessor: Running | None = None) -> Running:
        """Build one partner; where it replaces another, stop that one and take over its data and token."""
        partner = self._builder.partner(config)
        workers = tuple(self._builder.worker(partner, source, self.snapshots) for source in partner.sources)
        heirs: dict[str, Poller] = {}
        if predecessor:
            if predecessor.partner.config.registration.identity == config.registration.identity:
                heirs = {w.poller.status.source: w.poller for w in predecessor.unit.workers}
            self._retire(predecessor, kept=[s.name for s in partner.sources if s.name in heirs])
            partner.authenticator.inherit(predecessor.partner.authenticator)
        for worker in workers:
            status = worker.poller.status
            self.own.begin(status.partner, status.source)
            worker.poller.restore(heirs.get(status.source))
        return Running(partner, Unit(partner.authenticator, workers))

    def _retire(self, running: Running, *, kept: Sequence[str]) -> None:
        """Stop a partner's polls; data and counters of the sources that are `kept` stay for their heirs."""
        for worker in running.unit.workers:
            status = worker.poller.status
            worker.poller.stop()
            if status.source not in kept:
                self.snapshots.withdraw(status.partner, status.source)
                self.own.forget(status.partner, status.source)

    def _new_builder(self, config: Config) -> Builder:
        return Builder(config, self.directory, own=self.own, clock=self._clock, rng=self._rng, log=self._log)

    def _workers(self) -> list[Worker]:
        return [worker for running in self._running for worker in running.unit.workers]

    def _idle_targets(self) -> Sequence[Target]:
        """Return the targets that match nothing, once every usage source has data to match."""
        usage = [w.poller for w in self._workers() if w.poller.status.source == "usage"]
        if not usage or any(not poller.data.rows for poller in usage):
            return ()
        return unmatched(
            self._builder.config.targets,
            [(poller.plan.partner, row) for poller in usage for row in poller.data.rows],
        )

    def _state_is_written(self) -> bool:
        return self.directory.writable and not any(r.partner.authenticator.unsaved for r in self._running)

    def _heal_state(self) -> None:
        """Try again what could not be written."""
        if self._state_is_written():
            return
        for running in self._running:
            running.partner.authenticator.save_again()
        for worker in self._workers():
            worker.poller.save_again()


def _shown(poller: Poller, targets: tuple[Target, ...]) -> Shown:
    partner, rows = poller.plan.partner, poller.data.rows
    matched = [target_of(targets, partner, row) for row in rows]
    return Shown(poller.status, rows, tuple(target.ratio if target else None for target in matched))
