"""The composition root: starts, reloads and stops everything, and answers what the web side asks."""

import math
import threading
from collections.abc import Callable, Collection, Iterable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace

from exporter import streams
from exporter.auth.token_store import stored_tokens
from exporter.builder import Builder, Partner
from exporter.config import Config
from exporter.errors import ConfigurationError, ExporterError, PollAborted, Problem
from exporter.instance_lock import InstanceLock
from exporter.local_text import local_text
from exporter.logs import place_of
from exporter.messages import Line, class_name, line
from exporter.metrics.targets import Target, unmatched
from exporter.model.rows import SourceName
from exporter.model.status import PollStatus, SignInStatus, SourceView
from exporter.polling.poller import Poller
from exporter.polling.requests import PollRequests
from exporter.successor import Successor, prepare, retire

_CHECK_INTERVAL_SECONDS = 1.0
_RETRY_SAVE_INTERVAL_SECONDS = 30.0
# It looks every second; writes that fail hold it up for a while.
_SUPERVISOR_STUCK_SECONDS = 600.0
_UNSAVED_AT_EXIT = line("the next start uses the token in state_dir, which Entra ID leaves valid for its 90 days")


@dataclass(eq=False)
class Application:
    """The running exporter, without its HTTP server. What the web side asks is answered here.

    `web_problem` says why the newest --web.config.file, or a file that it names, isn't in use, or nothing.
    """

    config: Config
    builder: Builder
    read_config: Callable[[], Config]
    web_problem: Callable[[], str] = str
    lock: InstanceLock | None = None

    def __post_init__(self) -> None:
        self.metrics, self.snapshots = self.builder.metrics, self.builder.snapshots
        self.clock, self.log = self.builder.clock, self.builder.log
        self._reload_lock = threading.Lock()
        self._reload_waits = False
        self._swap_lock = threading.Lock()
        self._reload_problem = ""
        self._ready = False
        self._partners: tuple[Partner, ...] = ()
        self._replaced_builders: list[Builder] = []
        self._retry_save_at = self.clock.monotonic() + _RETRY_SAVE_INTERVAL_SECONDS
        self._supervising_since = math.inf  # while it waits
        self._requests = PollRequests(self.builder.directory, self.log, since=self.clock.time())
        self._stop = threading.Event()
        self.metrics.follow(
            polls=self.statuses,
            sign_ins=lambda: [(a.status, a.failures, a.requests) for a in (p.authenticator for p in self._partners)],
            state_writable=self._state_is_saved,
            web_config_read=lambda: not self.web_problem(),
            log_lines_dropped=lambda: streams.STANDARD_ERROR.dropped,
            clock_offset=lambda: self.builder.server_clock.offset_seconds,
        )

    def start(self) -> None:
        """Resume from the last run and start to poll."""
        with self._reload_lock:
            self._swap(self.config)
        self.metrics.observe_reload(at=self.clock.time())
        configured = {partner.name for partner in self.config.partners}
        self._warn_about_tokens_of(stored_tokens(self.builder.directory).keys() - configured)
        threading.Thread(target=self._supervise, name="supervisor", daemon=True).start()

    def stop(self) -> None:
        """Stop polling; no file is written from then on. Returns within about a second."""
        with self._swap_lock:
            self._stop.set()
        for partner in self._partners:
            partner.stop()
            if partner.authenticator.tokens.unsaved:
                self.log.error("token not saved, lost", partner=partner.config.name, remedy=_UNSAVED_AT_EXIT)
        if not self.builder.directory.close(timeout_seconds=1.0):
            self.log.warning("state write timed out, abandoned", state_dir=self.builder.directory.root)
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
        if wrong := self.builder.server_clock.problem:
            notices.append(wrong)
        if not self._state_is_saved():
            root = self.builder.directory.root
            notices.append(f"the state directory {root} is not writable: check its free space, its owner and its disk")
        return notices

    def unhealthy(self) -> Sequence[str]:
        """Return which threads are dead or stuck."""
        partners = self._partners
        problems = [
            f"the poll thread of {poller.plan.partner} {poller.plan.source} is {'dead' if dead else 'stuck'}"
            for poller in _pollers(partners)
            if (dead := poller.dead) or poller.stuck
        ]
        if self.clock.awake() - self._supervising_since > _SUPERVISOR_STUCK_SECONDS:
            problems.append("the supervisor thread is stuck")
        # While partners are replaced, those that end are listed still.
        replacing = self._swap_lock.locked() or self._partners is not partners
        return () if replacing else problems

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
            return self._reload()

    def retry_reload(self) -> str:
        """Reload again if the last reload failed; a problem that is still the same is not logged again."""
        with self._reload_lock:
            return self._reload(known=self._reload_problem) if self._reload_problem else ""

    def _reload(self, known: str = "") -> str:
        names = {partner.config.name for partner in self._partners}
        try:
            self._swap(self.read_config())
        except ExporterError as error:
            problem = line("{}: {}", error.message, error.remedy) if error.remedy else error.message
            return self._note_failed_reload(problem, known=known)
        except Exception as error:  # noqa: BLE001  whatever it is, the exporter goes on as before
            # Its text may contain anything, even a secret.
            found = line("{} at {}", class_name(error), place_of(error))
            return self._note_failed_reload(line("unexpected error, nothing was changed: {}", found), known=known)
        self.metrics.observe_reload(at=self.clock.time())
        self._reload_problem = ""
        self.log.info("configuration reloaded", partners=len(self._partners))
        self._warn_about_tokens_of(names - {partner.config.name for partner in self._partners})
        return ""

    def reload_in_background(self) -> None:
        """Reload on a thread of its own: a signal handler must not read files.

        While one waits that has read nothing yet, no other is needed.
        """
        if self._reload_waits:
            return
        self._reload_waits = True
        try:
            threading.Thread(target=self._reload_later, name="reload", daemon=True).start()
        except RuntimeError as error:
            self._reload_waits = False
            self._note_failed_reload(line("no thread for it: {}", local_text(str(error))))

    def _reload_later(self) -> None:
        with self._reload_lock:
            self._reload_waits = False
            self._reload()

    def _note_failed_reload(self, problem: Line, *, known: str = "") -> Line:
        self.metrics.observe_reload(at=None)
        self._reload_problem = problem
        if problem != known:
            self.log.error("configuration not reloaded", error=problem)
        return problem

    def _swap(self, config: Config) -> None:
        """Build what is new, let it take over from what it replaces, and stop what is gone.

        If anything raises, nothing has changed: all that can fail comes before the first change.
        """
        if config.state_dir != self.config.state_dir:
            problem = Problem(0, "state_dir", "this can't change while running: restart the exporter")
            raise ConfigurationError("reload", (problem,))
        with ExitStack() as undo:
            builder = self.builder
            if config.shared != self.config.shared:
                builder = replace(builder, config=config.shared)
                undo.callback(builder.close)
            old = {partner.config.name: partner for partner in self._partners}
            partners: list[Partner] = []
            successors: list[Successor] = []
            for wanted in config.partners:
                partner = old.get(wanted.name)
                if partner is None or partner.config != wanted or builder is not self.builder:
                    successors.append(prepare(builder, wanted, partner, undo))
                    partner = successors[-1].partner
                partners.append(partner)
            with self._swap_lock:
                if self._stop.is_set():
                    raise PollAborted
                undo.pop_all()
                self._commit(config, builder, partners, successors)

    def _commit(
        self, config: Config, builder: Builder, partners: Sequence[Partner], successors: Sequence[Successor]
    ) -> None:
        """Change over. Nothing here reads a file, starts a thread or waits for a request."""
        replaced, gone = self.builder, set(self._partners).difference(partners)
        for poller in _pollers(partners):
            poller.data.retarget(config.targets)
        for successor in successors:
            successor.take_over(builder)
            gone.discard(successor.predecessor)
        self.config, self.builder, self._partners = config, builder, tuple(partners)
        if builder is not replaced:
            self._replaced_builders.append(replaced)
        for partner in gone:
            retire(partner, builder)
        for successor in successors:
            for poller in successor.partner.pollers:
                poller.start()

    def _warn_about_tokens_of(self, partners: Collection[str]) -> None:
        """Name the stored token of each partner that is no longer configured: it stays valid for weeks."""
        for partner, file in sorted(stored_tokens(self.builder.directory).items()):
            if partner in partners:
                self.log.warning(
                    "token of a partner that is not configured",
                    partner=local_text(partner),
                    file=file,
                    remedy=line(
                        "to remove the partner, revoke its account's sessions in Entra ID and delete {}.* "
                        "in tokens, polls and data of state_dir",
                        local_text(partner),
                    ),
                )

    def _supervise(self) -> None:
        while not self.clock.wait(self._stop, _CHECK_INTERVAL_SECONDS):
            self._supervising_since = self.clock.awake()
            try:
                self._check_partners()
            except PollAborted:  # the exporter is stopping: nothing may be written any more
                return
            except Exception as error:  # noqa: BLE001  the thread that restarts others must survive a bug
                self.log.error("internal error", error=class_name(error), where=place_of(error))
            self._supervising_since = math.inf

    def _check_partners(self) -> None:
        if self.lock:
            self.lock.keep()
        requested = self._requests.new(now=self.clock.time())
        for partner in self._partners:
            partner.supervise(requested)
        for builder in tuple(self._replaced_builders):
            if not builder.in_use:
                builder.close()
                self._replaced_builders.remove(builder)
        if self.clock.monotonic() >= self._retry_save_at:
            self._retry_save_at = self.clock.monotonic() + _RETRY_SAVE_INTERVAL_SECONDS
            self._retry_saves()

    def _retry_saves(self) -> None:
        """Try again what could not be written."""
        directory = self.builder.directory
        if self._state_is_saved() or not directory.answers:
            return
        for partner in self._partners:
            partner.authenticator.retry_save()
        if errors := directory.retry():
            self.log.error("state not saved", error=errors[0].message, remedy=errors[0].remedy, files=len(errors))

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
