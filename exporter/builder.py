"""Builds the objects of one partner from the configuration: sign-in, client, sources, pollers."""

import random
import stat
import weakref
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
from exporter.polling.supervisor import Worker
from exporter.sources.commercial import DETAIL_LABELS, Options
from exporter.sources.deployment import CommercialDeployment, LegacyDeployment
from exporter.sources.usage import CommercialUsage, LegacyUsage
from exporter.upstream.transport import HttpTransport, open_client

RETRY = RetryPolicy()
# A poll shows progress at every request; what it may wait between two is no sign of trouble.
_MARGIN_SECONDS = 60.0


@dataclass(frozen=True, slots=True)
class Partner:
    """One partner's objects."""

    config: PartnerConfig
    authenticator: Authenticator
    client: PartnerCenterClient
    sources: tuple[Source, ...]


class Builder:
    """Makes the objects of partners from one configuration; they share the HTTP client and the directory."""

    def __init__(
        self,
        config: Config,
        directory: StateDirectory,
        *,
        own: OwnMetrics,
        clock: Clock,
        rng: random.Random,
        log: Logger,
    ) -> None:
        self.config = config
        self._directory = directory
        self._own = own
        self._clock = clock
        self._rng = rng
        self._log = log
        proxy = config.http.proxy_url
        client = open_client(
            timeout_seconds=config.poll.timeout_seconds,
            ca_file=config.http.ca_file,
            proxy_url=proxy.reveal() if proxy else None,
        )
        self._transport = HttpTransport(client, clock=clock, timeout_seconds=config.poll.timeout_seconds)
        # A reload replaces this builder, but a poll under way may go on with the transport for a while.
        weakref.finalize(self._transport, client.close).atexit = False

    def partner(self, config: PartnerConfig) -> Partner:
        """Return one partner's sign-in, client and sources."""
        self._warn_of_open_secrets(config)
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
            transport=self._transport,
            observer=self._own,
            clock=self._clock,
            retry=RETRY,
            rng=self._rng,
        )
        sources = tuple(_source(source, self.config.poll.max_series) for source in config.sources)
        return Partner(config, authenticator, client, sources)

    def _warn_of_open_secrets(self, config: PartnerConfig) -> None:
        """Only warn: orchestrators mount secrets this way on purpose."""
        files = (*config.credential.files(), config.refresh_token_file)
        for file in files:
            if file is not None and file.exists() and file.stat().st_mode & stat.S_IROTH:
                self._log.warning(
                    "secret readable by every user of this machine",
                    partner=config.name,
                    file=str(file),
                    remedy="take the right away with chmod o-r, or mount it with defaultMode 0400",
                )

    def entra(self, config: PartnerConfig) -> EntraApplication:
        """Return one partner's application at Entra ID."""
        http = MsalHttp(self._transport, partner=config.name)
        return EntraApplication(config.registration, config.credential, http)

    def worker(self, partner: Partner, source: Source, snapshots: SnapshotStore) -> Worker:
        """Return one source's poller; its thread is not started."""
        config = partner.config
        log = self._log.bind(partner=config.name, source=source.name)
        settings = next(each for each in config.sources if each.name == source.name)
        poller = Poller(
            PollPlan(
                partner=config.name,
                identity=config.registration.identity,
                interval_seconds=settings.interval_seconds,
                max_staleness_seconds=self.config.poll.max_staleness_seconds,
                targets=self.config.targets,
                detail=tuple(DETAIL_LABELS[name] for name in settings.detail),
            ),
            source,
            partner.client,
            state=SourceState(
                self._directory,
                partner=config.name,
                source=source.name,
                identity=config.registration.identity,
                log=log,
            ),
            snapshots=snapshots,
            observer=self._own,
            clock=self._clock,
            rng=self._rng,
            log=log,
        )
        patience = RETRY.budget_seconds + 3 * self.config.poll.timeout_seconds + _MARGIN_SECONDS
        return Worker(poller, stuck_after_seconds=patience)


def _source(config: SourceConfig, max_series: int) -> Source:
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
