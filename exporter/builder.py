"""Builds the objects of one partner from the configuration: sign-in, client, sources, pollers."""

import os
import random
import stat
from collections.abc import Collection
from dataclasses import KW_ONLY, dataclass, field, replace
from pathlib import Path
from weakref import WeakSet

from exporter.auth.authenticator import Authenticator
from exporter.auth.entra import EntraApplication
from exporter.auth.msal_http import MsalHttp
from exporter.auth.refresh_tokens import RefreshTokens
from exporter.auth.sign_in_record import SignInRecords
from exporter.auth.token_store import TokenStore
from exporter.clock import Clock
from exporter.config import PartnerConfig, SharedConfig, SourceConfig
from exporter.errors import ConfigurationError, Problem
from exporter.files import StateDirectory
from exporter.logs import Logger
from exporter.metrics.exporter_metrics import ExporterMetrics
from exporter.metrics.snapshot import SnapshotStore
from exporter.partner_center.client import PartnerCenterClient
from exporter.partner_center.retry import RetryPolicy
from exporter.permissions import User, narrowed
from exporter.polling.last_good import LastGood
from exporter.polling.plan import PollPlan
from exporter.polling.poller import Poller
from exporter.polling.report_memory import StoredReports
from exporter.polling.requests import Polled
from exporter.polling.state import SourceState
from exporter.saved_state import SavedState
from exporter.sources.insights import Insights
from exporter.upstream.connecting import Resolver
from exporter.upstream.server_clock import ServerClock
from exporter.upstream.transport import HttpTransport

RETRY = RetryPolicy()
# A poll makes progress with every request; this is more than it waits between two.
_STUCK_MARGIN_SECONDS = 60.0


@dataclass(frozen=True, slots=True, eq=False)
class Partner:
    """One partner at work: its sign-in, its client, and a poller for each source."""

    config: PartnerConfig
    authenticator: Authenticator
    client: PartnerCenterClient
    pollers: tuple[Poller, ...]

    def stop(self) -> None:
        """Stop to poll."""
        for poller in self.pollers:
            poller.stop()

    def supervise(self, requested: Collection[Polled] = ()) -> None:
        """Withdraw old data, restart dead threads, and poll what is requested or has a new token or credential."""
        changed = self.authenticator.changed_on_disk()
        for poller in self.pollers:
            poller.withdraw_if_stale()
            if changed:
                poller.poll_soon()
            if (self.config.name, poller.plan.source) in requested:
                poller.poll_on_request()
            poller.restart_if_dead()


@dataclass(eq=False)
class Builder:
    """Makes partners that share the state directory and one HTTP client, which `close` closes.

    Building one may raise ConfigurationError: a file is gone, or a proxy in the environment can't be used.
    """

    config: SharedConfig
    directory: StateDirectory
    _: KW_ONLY
    metrics: ExporterMetrics
    clock: Clock
    rng: random.Random
    log: Logger
    snapshots: SnapshotStore = field(default_factory=SnapshotStore)
    server_clock: ServerClock = field(default_factory=ServerClock)
    resolver: Resolver = field(default_factory=Resolver)

    def __post_init__(self) -> None:
        self._transport = self._open()
        self._pollers = WeakSet[Poller]()  # a running thread keeps its poller

    def _open(self) -> HttpTransport:
        proxy, ca_file = self.config.proxy_url, self.config.ca_file
        try:
            return HttpTransport.open(
                clock=self.clock,
                timeout_seconds=self.config.timeout_seconds,
                ca_file=ca_file,
                proxy_url=proxy.reveal() if proxy else None,
                server_clock=self.server_clock,
                resolver=self.resolver,
            )
        except OSError as error:
            if ca_file is None:
                raise
            message = f"can't use {ca_file} ({error.strerror or error}): it must contain PEM certificates"
            raise ConfigurationError("configuration", (Problem(0, "http.ca_file", message),)) from error

    def close(self) -> None:
        """Close the HTTP client. A request that a poll is sending is aborted."""
        self._transport.close()

    @property
    def in_use(self) -> bool:
        """Whether the thread of any poller is still running, which may be so for a while after its stop."""
        return any(poller.alive for poller in self._pollers)

    def partner(self, config: PartnerConfig) -> Partner:
        """Return one partner; nothing is polled or restored yet."""
        self._warn_about_readable_secrets(config)
        log = self.log.bind(partner=config.name)
        store = TokenStore(self.directory, config.registration)
        tokens = RefreshTokens(store, seed_file=config.refresh_token_file, log=log)
        records = SignInRecords(self.directory, config.registration, log)
        authenticator = Authenticator(self.entra(config), tokens, records=records, clock=self.clock, log=log)
        client = PartnerCenterClient(
            partner=config.name,
            api_url=config.api_url,
            tokens=authenticator,
            transport=self._transport,
            observer=self.metrics,
            clock=self.clock,
            retry=RETRY,
            rng=self.rng,
        )
        pollers = tuple(self._poller(config, source, client) for source in config.sources)
        self._pollers.update(pollers)
        return Partner(config, authenticator, client, pollers)

    def _warn_about_readable_secrets(self, config: PartnerConfig) -> None:
        """Only warn: orchestrators mount secrets this way on purpose."""
        files = (*config.credential.files(), config.refresh_token_file)
        for file in files:
            if file is not None and (status := _if_world_readable(file)):
                self.log.warning(
                    "secret file is world-readable",
                    partner=config.name,
                    file=file,
                    remedy=narrowed(file, status, User.current()),
                )

    def entra(self, config: PartnerConfig) -> EntraApplication:
        """Return one partner's application at Entra ID."""
        http = MsalHttp(self._transport, config.name)
        return EntraApplication(config.registration, config.credential, http)

    def _poller(self, partner: PartnerConfig, config: SourceConfig, client: PartnerCenterClient) -> Poller:
        source = config.source
        timeout_seconds = max(self.config.timeout_seconds, source.timeout_seconds)
        plan = PollPlan(
            partner=partner.name,
            source=source.endpoint.row.SOURCE,
            api=source.api,
            identity=partner.registration.identity,
            interval_seconds=config.interval_seconds,
            max_staleness_seconds=self.config.max_staleness_seconds,
            stuck_after_seconds=RETRY.budget_seconds + 3 * timeout_seconds + _STUCK_MARGIN_SECONDS,
            max_series=source.max_series,
            detail_labels=tuple(dimension.label for dimension in source.dimensions),
            query=source.query,
        )
        log = self.log.bind(partner=plan.partner, source=plan.source)
        state = SourceState(self.directory, plan, log)
        data = LastGood(plan=plan, state=state, snapshots=self.snapshots, clock=self.clock, log=log)
        if isinstance(source, Insights):
            memory = StoredReports(
                SavedState(self.directory, log), partner.name, plan.source, plan.identity, shown=data.breakdown_version
            )
            source = replace(source, memory=memory)
        return Poller(
            plan=plan,
            fetch=source.fetch,
            client=client,
            data=data,
            state=state,
            metrics=self.metrics,
            clock=self.clock,
            rng=self.rng,
            log=log,
        )


def _if_world_readable(file: Path) -> os.stat_result | None:
    """Return the status of a file that every user can read, None for any other."""
    try:
        status = file.stat()
    except OSError:  # whoever reads it says what is wrong with it
        return None
    return status if status.st_mode & stat.S_IROTH else None
