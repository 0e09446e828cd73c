"""The composition root: starts, reloads and stops everything, and answers what the web side asks."""

import threading
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass, replace

from exporter.builder import Builder, Partner
from exporter.config import Config
from exporter.errors import ConfigurationError, PollAborted, Problem
from exporter.logs import place_of
from exporter.metrics.targets import Target, unmatched
from exporter.model.rows import SourceName
from exporter.model.status import PollStatus, SignInStatus, SourceView
from exporter.polling.poller import Poller

_CHECK_INTERVAL_SECONDS = 1.0
_RETRY_SAVE_INTERVAL_SECONDS = 30.0


@dataclass(eq=False)
class Application:
    """The running exporter, without its HTTP server. What the web side asks is answered here.

    `web_problem` says why the newest --web.config.file isn't in use, or nothing.
    """

    config: Config
    builder: Builder
    read_config: Callable[[], Config]
    web_problem: Callable[[], str] = str

    def __post_init__(self) -> None:
        self.metrics, self.snapshots = self.builder.metrics, self.builder.snapshots
        self.clock, self.log = self.builder.clock, self.builder.log
        self._reload_lock = threading.Lock()
        self._reload_problem = ""
        self._ready = False
        self._partners: tuple[Partner, ...] = ()
        self._replaced_builders: list[Builder] = []
        self._retry_save_at = self.clock.monotonic() + _RETRY_SAVE_INTERVAL_SECONDS
        self._stop = threading.Event()
        self.metrics.follow(
            polls=self.statuses,
            sign_ins=lambda: [(p.authenticator.status, p.authenticator.failures) for p in self._partners],
            state_writable=self._state_is_saved,
            web_config_read=lambda: not self.web_problem(),
        )

    def start(self) -> None:
        """Resume from the last run and start to poll."""
        self._swap(self.config)
        self.metrics.observe_reload(at=self.clock.time())
        threading.Thread(target=self._supervise, name="supervisor", daemon=True).start()

    def stop(self) -> None:
        """Stop polling; no file is written from then on. Returns within about a second."""
        self._stop.set()
        for poller in _pollers(self._partners):
            poller.stop()
        if not self.builder.directory.close(timeout_seconds=1.0):
            self.log.warning("state write timed out, abandoned", state_dir=str(self.builder.directory.root))
        for builder in (self.builder, *self._replaced_builders):
            builder.close()

    def statuses(self) -> list[PollStatus]:
        """Return the state of every source."""
        return [poller.status for poller in _pollers(self._partners)]

    def source_views(self) -> Sequence[SourceView]:
        """Return every source with the chart of its data."""
        return [SourceView(poller.status, poller.data.view.chart) for poller in _pollers(self._partners)]

    def sign_ins(self) -> Sequence[SignInStatus]:
        """Return every partner's sign-in."""
        return [partner.authenticator.status for partner in self._partners]

    def notices(self) -> Sequence[str]:
        """Return what a person should know: unmatched targets, files that are refused, state that can't be saved."""
        notices = [f"target {target} matches no series: check its spelling" for target in self._unmatched_targets()]
        if self._reload_problem:
            notices.append(f"configuration reload failed, keeping the previous one: {self._reload_problem}")
        if problem := self.web_problem():
            notices.append(f"web configuration not reloaded, keeping the previous one: {problem}")
        if not self._state_is_saved():
            root = self.builder.directory.root
            notices.append(f"the state directory {root} is not writable: check its free space and owner")
        return notices

    def unhealthy(self) -> Sequence[str]:
        """Return which poll threads are dead or stuck."""
        return [
            f"the poll thread of {poller.plan.partner} {poller.plan.source} is {'dead' if dead else 'stuck'}"
            for poller in _pollers(self._partners)
            if (dead := poller.dead) or poller.stuck
        ]

    def not_ready(self) -> Sequence[str]:
        """Return which sources have not finished a first poll; once none is left, none ever is again."""
        if self._ready:
            return ()
        waiting = [f"{s.partner} {s.source} has not been polled yet" for s in self.statuses() if s.up is None]
        self._ready = not waiting
        return waiting

    def reload(self) -> str:
        """Read the configuration again and swap it in; return what is wrong with it, or nothing."""
        with self._reload_lock:
            try:
                config = self.read_config()
                self._swap(config)
            except ConfigurationError as error:
                self.metrics.observe_reload(at=None)
                self._reload_problem = str(error)
                self.log.error("configuration not reloaded", error=str(error))
                return str(error)
            self.metrics.observe_reload(at=self.clock.time())
            self._reload_problem = ""
            self.log.info("configuration reloaded", partners=len(config.partners))
            return ""

    def reload_in_background(self) -> None:
        """Reload on a thread of its own: a signal handler must not read files."""
        threading.Thread(target=self.reload, name="reload", daemon=True).start()

    def _swap(self, config: Config) -> None:
        """Build what is new, let it take over from what it replaces, and stop what is gone.

        Raises ConfigurationError; then nothing has changed.
        """
        if config.state_dir != self.config.state_dir:
            problem = Problem(0, "state_dir", "this can't change while running: restart the exporter")
            raise ConfigurationError("reload", (problem,))
        builder = replaced = self.builder
        if config.shared != self.config.shared:
            builder = replace(replaced, config=config.shared)
        old = {partner.config.name: partner for partner in self._partners}
        partners: list[Partner] = []
        for wanted in config.partners:
            partner = old.get(wanted.name)
            if partner is None or partner.config != wanted or builder is not replaced:
                partner = builder.partner(wanted)
            partners.append(partner)
        new = [partner for partner in partners if partner not in self._partners]
        for poller in _pollers(partners):
            poller.data.retarget(config.targets)
        for partner in new:
            self._take_over(partner, old.get(partner.config.name))
        if builder is not replaced:
            self._replaced_builders.append(replaced)
        self.config, self.builder, self._partners = config, builder, tuple(partners)
        for name in old.keys() - {partner.config.name for partner in partners}:
            self._retire(old[name])
        for poller in _pollers(new):
            poller.start()

    def _take_over(self, partner: Partner, predecessor: Partner | None) -> None:
        """Let a partner resume from the one that it replaces, or else from what an earlier run saved."""
        resumed: dict[SourceName, Poller] = {}
        if predecessor:
            if predecessor.config.registration.identity == partner.config.registration.identity:
                sources = {poller.plan.source for poller in partner.pollers}
                resumed = {p.plan.source: p for p in predecessor.pollers if p.plan.source in sources}
            self._retire(predecessor, resumed=resumed.keys())
            partner.authenticator.inherit(predecessor.authenticator)
        for poller in partner.pollers:
            self.metrics.begin(poller.plan.partner, poller.plan.source)
            poller.restore(resumed.get(poller.plan.source))

    def _retire(self, partner: Partner, *, resumed: Collection[SourceName] = ()) -> None:
        """Stop a partner's polls; data and counters stay for the sources that a successor has resumed."""
        for poller in partner.pollers:
            poller.stop()
            source = poller.plan.source
            if source not in resumed:
                self.snapshots.withdraw(partner.config.name, source)
                self.metrics.forget(partner.config.name, source)

    def _supervise(self) -> None:
        while not self.clock.wait(self._stop, _CHECK_INTERVAL_SECONDS):
            try:
                self._check_partners()
            except PollAborted:  # the exporter is stopping: nothing may be written any more
                return
            except Exception as error:  # noqa: BLE001  the thread that restarts others must survive a bug
                self.log.error("internal error", error=repr(error), where=place_of(error))

    def _check_partners(self) -> None:
        for partner in self._partners:
            partner.supervise()
        for builder in tuple(self._replaced_builders):
            if not builder.in_use:
                builder.close()
                self._replaced_builders.remove(builder)
        if self.clock.monotonic() >= self._retry_save_at:
            self._retry_save_at = self.clock.monotonic() + _RETRY_SAVE_INTERVAL_SECONDS
            self._retry_saves()

    def _retry_saves(self) -> None:
        """Try again what could not be written."""
        if self._state_is_saved():
            return
        for partner in self._partners:
            partner.authenticator.retry_save()
        for poller in _pollers(self._partners):
            poller.retry_save()

    def _state_is_saved(self) -> bool:
        return self.builder.directory.writable and not any(p.authenticator.tokens.unsaved for p in self._partners)

    def _unmatched_targets(self) -> Sequence[Target]:
        """Return the targets that match nothing, once every usage source has data to match."""
        views = [poller.data.view for poller in _pollers(self._partners) if poller.plan.source is SourceName.USAGE]
        if not views or any(view.chart is None for view in views):
            return ()
        return unmatched(self.config.targets, frozenset().union(*(view.used_targets for view in views)))


def _pollers(partners: Iterable[Partner]) -> list[Poller]:
    return [poller for partner in partners for poller in partner.pollers]
