"""Builds the objects of partners from the configuration: sign-in, client, sources, pollers."""

import random
import stat
from dataclasses import dataclass
from typing import assert_never

from exporter.auth.authenticator import Authenticator
from exporter.auth.entra import EntraApplication
from exporter.auth.msal_http import MsalHttp
from exporter.auth.token_store import TokenStore
from exporter.clock import Clock
from exporter.config import Config, DeploymentConfig, PartnerConfig, SourceConfig, UsageConfig
from exporter.files import StateDirectory
from exporter.logs import Logger
from exporter.metrics.own import OwnMetrics
from exporter.metrics.snapshot import SnapshotStore
from exporter.model import Api
from exporter.partner_center.client import PartnerCenterClient
from exporter.partner_center.retry import RetryPolicy
from exporter.polling.plan import PollPlan
from exporter.polling.poller import Poller, Source
from exporter.polling.state import SourceState
from exporter.sources.commercial import Options
from exporter.sources.deployment import CommercialDeployment, LegacyDeployment
from exporter.sources.usage import CommercialUsage, LegacyUsage
from exporter.upstream.transport import HttpTransport

RETRY = RetryPolicy()
# A poll shows progress at every request; what it may wait between two is no sign of trouble.
_MARGIN_SECONDS = 60.0


@dataclass(frozen=True, slots=True)
class Partner:
    """One partner at work: its sign-in, its client, and a poller per source."""

    config: PartnerConfig
    authenticator: Authenticator
    client: PartnerCenterClient
    pollers: tuple[Poller, ...]

    @property
    def sources(self) -> tuple[Source, ...]:
        """What is polled."""
        return tuple(poller.source for poller in self.pollers)

    def check(self) -> None:
        """Do what is due each second: notice a new token, withdraw old data, restart dead threads."""
        changed = self.authenticator.changed_on_disk()
        for poller in self.pollers:
            poller.withdraw_if_stale()
            if changed:
                poller.poll_soon()
            poller.restart_if_dead()


class Builder:
    """Builds partners from one configuration; they share the HTTP connections and the state directory.

    `transport` may be that of a predecessor; it belongs to the caller, who closes it.
    """

    def __init__(  # noqa: PLR0913  the composition root names each part
        self,
        config: Config,
        directory: StateDirectory,
        *,
        own: OwnMetrics,
        clock: Clock,
        rng: random.Random,
        log: Logger,
        transport: HttpTransport | None = None,
    ) -> None:
        self.config = config
        self._directory = directory
        self._own = own
        self._clock = clock
        self._rng = rng
        self._log = log
        proxy = config.http.proxy_url
        self.transport = transport or HttpTransport.open(
            clock=clock,
            timeout_seconds=config.poll.timeout_seconds,
            ca_file=config.http.ca_file,
            proxy_url=proxy.reveal() if proxy else None,
        )

    def partner(self, config: PartnerConfig, snapshots: SnapshotStore | None = None) -> Partner:
        """Return one partner, nothing of which is started."""
        self._warn_about_readable_secrets(config)
        authenticator = Authenticator(
            self.entra(config),
            TokenStore(self._directory, config.registration),
            seed_file=config.refresh_token_file,
            clock=self._clock,
            log=self._log.bind(partner=config.name),
        )
        client = PartnerCenterClient(
            partner=config.name,
            api_url=config.api_url,
            tokens=authenticator,
            transport=self.transport,
            observer=self._own,
            clock=self._clock,
            retry=RETRY,
            rng=self._rng,
        )
        shown = snapshots or SnapshotStore()
        pollers = tuple(self.poller(config, source, client, shown) for source in config.sources)
        return Partner(config, authenticator, client, pollers)

    def entra(self, config: PartnerConfig) -> EntraApplication:
        """Return one partner's application at Entra ID."""
        http = MsalHttp(self.transport, partner=config.name)
        return EntraApplication(config.registration, config.credential, http)

    def poller(
        self,
        partner: PartnerConfig,
        config: SourceConfig,
        client: PartnerCenterClient,
        snapshots: SnapshotStore,
        *,
        source: Source | None = None,
    ) -> Poller:
        """Return the poller of one source; another `source` than the configured one may be given."""
        log = self._log.bind(partner=partner.name, source=config.name)
        poll, identity = self.config.poll, partner.registration.identity
        state = SourceState(
            self._directory, partner=partner.name, source=config.name, identity=identity, log=log
        )
        plan = PollPlan(
            partner=partner.name,
            source=config.name,
            identity=identity,
            interval_seconds=config.interval_seconds,
            max_staleness_seconds=poll.max_staleness_seconds,
            stuck_after_seconds=RETRY.budget_seconds + 3 * poll.timeout_seconds + _MARGIN_SECONDS,
            detail=tuple(dimension.label for dimension in config.detail),
        )
        return Poller(
            plan,
            source or source_of(config, poll.max_series),
            client,
            targets=self.config.targets,
            state=state,
            snapshots=snapshots,
            own=self._own,
            clock=self._clock,
            rng=self._rng,
            log=log,
        )

    def _warn_about_readable_secrets(self, config: PartnerConfig) -> None:
        """Only warn: orchestrators mount secrets this way on purpose."""
        for file in (*config.credential.files(), config.refresh_token_file):
            if file is not None and file.exists() and file.stat().st_mode & stat.S_IROTH:
                self._log.warning(
                    "secret readable by every user of this machine",
                    partner=config.name,
                    file=str(file),
                    remedy="run chmod o-r on it, or mount it with defaultMode 0400",
                )


def source_of(config: SourceConfig, max_series: int) -> Source:
    """Return what a configured source is polled with."""
    match config:
        case UsageConfig():
            match config.api:
                case Api.LEGACY:
                    return LegacyUsage(max_series)
                case Api.COMMERCIAL:
                    return CommercialUsage(_options(config, max_series))
                case _:
                    assert_never(config.api)
        case DeploymentConfig():
            match config.api:
                case Api.LEGACY:
                    return LegacyDeployment(max_series)
                case Api.COMMERCIAL:
                    return CommercialDeployment(_options(config, max_series))
                case _:
                    assert_never(config.api)
        case _:
            assert_never(config)


def _options(config: UsageConfig | DeploymentConfig, max_series: int) -> Options:
    return Options(max_series=max_series, detail=config.detail, filter=config.filter, path=config.path)
