"""The composition root: starts, reloads and stops everything, and answers what the web side asks."""

import random
import threading
from collections.abc import Callable, Sequence

from exporter.builder import Builder, Partner
from exporter.clock import Clock
from exporter.config import Config, PartnerConfig
from exporter.errors import ConfigurationError, Problem
from exporter.files import StateDirectory
from exporter.logs import Logger
from exporter.metrics.own import OwnMetrics
from exporter.metrics.snapshot import SnapshotStore
from exporter.metrics.targets import Target, target_of, unmatched
from exporter.model import PollStatus, Shown, SignInStatus, SourceName
from exporter.polling.poller import Poller
from exporter.polling.supervisor import Supervisor
from exporter.upstream.transport import HttpTransport

_SAVE_AGAIN_EVERY_SECONDS = 30.0


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
        self._reload_error = ""
        self._partners: tuple[Partner, ...] = ()
        self._retiring = threading.Lock()
        self._retired: list[tuple[HttpTransport, tuple[Poller, ...]]] = []
        self._ready = False
        self._builder = self._new_builder(config)
        self._save_again_at = clock.monotonic() + _SAVE_AGAIN_EVERY_SECONDS
        self._supervisor = Supervisor(self._check, clock=clock, log=log)
        own.follow(
            polls=self.statuses,
            sign_ins=lambda: [(p.authenticator.status, p.authenticator.failures) for p in self._partners],
            state_writable=self._state_is_saved,
        )

    def start(self) -> None:
        """Restore what the last run left, and start to poll. Raises StateError where nothing can be saved."""
        self.directory.check()
        self._partners = tuple(self._restored(partner) for partner in self._builder.config.partners)
        self.own.observe_reload(at=self._clock.time())
        for poller in self._pollers():
            poller.start()
        self._supervisor.start()

    def stop(self) -> None:
        """Stop polling; no file is written from then on. Returns within about a second.

        Connections are closed where no poll is in progress; called again, it closes those of the rest.
        """
        self._supervisor.stop()
        for poller in self._pollers():
            poller.stop()
        if not self.directory.close(timeout_seconds=1.0):
            self._log.warning("write took too long, aborted", state_dir=str(self.directory.root))
        self._retire_connections()

    def statuses(self) -> list[PollStatus]:
        """Return where every source stands."""
        return [poller.status for poller in self._pollers()]

    def shown(self) -> Sequence[Shown]:
        """Return every source with the data that is shown, and the target of each row."""
        targets = self._builder.config.targets
        return [_shown(poller, targets) for poller in self._pollers()]

    def sign_ins(self) -> Sequence[SignInStatus]:
        """Return every partner's sign-in."""
        return [partner.authenticator.status for partner in self._partners]

    def notices(self) -> Sequence[str]:
        """Return what a person should know: idle targets, a failed reload, state that can't be written."""
        notices = [
            f"target {target} matches no series: check its spelling" for target in self._idle_targets()
        ]
        if self._reload_error:
            notices.append(f"configuration reload failed, keeping the previous one: {self._reload_error}")
        if not self._state_is_saved():
            notices.append(
                f"the state directory {self.directory.root} can't be written: check its free space and owner"
            )
        return notices

    def unhealthy(self) -> Sequence[str]:
        """Return which poll threads are dead or stuck."""
        return [
            f"the poll thread of {poller.plan} is {'dead' if poller.dead else 'stuck'}"
            for poller in self._pollers()
            if poller.dead or poller.stuck
        ]

    def not_ready(self) -> Sequence[str]:
        """Return which sources have not finished a first poll; once none is left, none ever is again."""
        if self._ready:
            return ()
        waiting = [f"{s.partner} {s.source} has not been polled yet" for s in self.statuses() if s.up is None]
        self._ready = not waiting
        return waiting

    def reload(self) -> str:
        """Read the configuration again and apply it; return what is wrong with it, or nothing."""
        with self._reloading:
            try:
                config = self._read_config()
                self._apply(config)
            except ConfigurationError as error:
                self.own.observe_reload(at=None)
                self._reload_error = str(error)
                self._log.error("configuration not reloaded", error=str(error))
            else:
                self.own.observe_reload(at=self._clock.time())
                self._reload_error = ""
                self._log.info("configuration reloaded", partners=len(config.partners))
            return self._reload_error

    def reload_in_background(self) -> None:
        """Reload on a thread of its own: a signal handler must not read files."""
        threading.Thread(target=self.reload, name="reload", daemon=True).start()

    def _apply(self, config: Config) -> None:
        """Build what has changed, then swap; what has not changed keeps running."""
        before = self._builder.config
        if config.state_dir != before.state_dir:
            problem = Problem(0, "state_dir", "this can't change while running: restart the exporter")
            raise ConfigurationError("reload", (problem,))
        same_polls = (config.poll, config.http) == (before.poll, before.http)
        if (config.http, config.poll.timeout_seconds) == (before.http, before.poll.timeout_seconds):
            self._builder = self._new_builder(config, self._builder.transport)
        else:
            builder = self._new_builder(config)
            self._retire_connections()
            self._builder = builder
        old = {partner.config.name: partner for partner in self._partners}
        partners, changed = [], []
        for partner in config.partners:
            predecessor = old.pop(partner.name, None)
            if predecessor and same_polls and predecessor.config == partner:
                for poller in predecessor.pollers:
                    poller.data.retarget(config.targets)
                partners.append(predecessor)
            else:
                changed.append(self._restored(partner, predecessor))
                partners.append(changed[-1])
        self._partners = tuple(partners)
        for removed in old.values():
            self._retire(removed, kept=())
        for partner_changed in changed:
            for poller in partner_changed.pollers:
                poller.start()

    def _restored(self, config: PartnerConfig, predecessor: Partner | None = None) -> Partner:
        """Build a partner, which takes over the data, schedule and token of the last run or a predecessor."""
        partner = self._builder.partner(config, self.snapshots)
        predecessors: dict[SourceName, Poller] = {}
        if predecessor:
            if predecessor.config.registration.identity == config.registration.identity:
                predecessors = {poller.plan.source: poller for poller in predecessor.pollers}
            self._retire(predecessor, kept=[s.name for s in config.sources if s.name in predecessors])
            partner.authenticator.inherit(predecessor.authenticator)
        for poller in partner.pollers:
            self.own.begin(poller.plan.partner, poller.plan.source)
            poller.restore(predecessors.get(poller.plan.source))
        return partner

    def _retire(self, partner: Partner, *, kept: Sequence[SourceName]) -> None:
        """Stop a partner's polls; the sources that are `kept` leave data and counters to their successors."""
        for poller in partner.pollers:
            poller.stop()
            if poller.plan.source not in kept:
                self.snapshots.withdraw(poller.plan.partner, poller.plan.source)
                self.own.forget(poller.plan.partner, poller.plan.source)

    def _retire_connections(self) -> None:
        """Have the connections closed once no poll uses them any more."""
        with self._retiring:
            self._retired.append((self._builder.transport, tuple(self._pollers())))
        self._close_retired()

    def _close_retired(self) -> None:
        with self._retiring:
            retired, self._retired = self._retired, []
            for transport, pollers in retired:
                if any(poller.running for poller in pollers):
                    self._retired.append((transport, pollers))
                else:
                    transport.close()

    def _new_builder(self, config: Config, transport: HttpTransport | None = None) -> Builder:
        return Builder(
            config,
            self.directory,
            own=self.own,
            clock=self._clock,
            rng=self._rng,
            log=self._log,
            transport=transport,
        )

    def _pollers(self) -> list[Poller]:
        return [poller for partner in self._partners for poller in partner.pollers]

    def _idle_targets(self) -> Sequence[Target]:
        """Return the targets that match nothing, once every usage source has data to match."""
        usage = [poller for poller in self._pollers() if poller.plan.source is SourceName.USAGE]
        if not usage or any(not poller.data.rows for poller in usage):
            return ()
        rows = [(poller.plan.partner, row) for poller in usage for row in poller.data.rows]
        return unmatched(self._builder.config.targets, rows)

    def _state_is_saved(self) -> bool:
        return self.directory.writable and not any(p.authenticator.unsaved for p in self._partners)

    def _check(self) -> None:
        """Check every partner, and write again what could not be written."""
        for partner in self._partners:
            partner.check()
        self._close_retired()
        if self._clock.monotonic() < self._save_again_at:
            return
        self._save_again_at = self._clock.monotonic() + _SAVE_AGAIN_EVERY_SECONDS
        if not self._state_is_saved():
            for partner in self._partners:
                partner.authenticator.save_again()
                for poller in partner.pollers:
                    poller.save_again()


def _shown(poller: Poller, targets: Sequence[Target]) -> Shown:
    rows = poller.data.rows
    matched = [target_of(targets, poller.plan.partner, row) for row in rows]
    return Shown(poller.status, rows, tuple(target.ratio if target else None for target in matched))
