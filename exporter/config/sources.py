"""The sources: their keys in the file, and the source that they make. A new one is added here alone."""

from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from typing import Any, ClassVar, assert_never

from pydantic import Field, field_validator

from exporter.config.keys import ApiPath, Filter, HostPattern, Interval, Keys, UniqueList
from exporter.model.rows import Api, Dimension, SourceName
from exporter.sources import deployment, usage
from exporter.sources.commercial import Commercial, CommercialEndpoint
from exporter.sources.insights import Insights, InsightsEndpoint
from exporter.sources.legacy import Legacy, LegacyEndpoint

AnySource = Legacy | Commercial | Insights
"""What is polled."""


INSIGHTS_INTERVAL_SECONDS = 12 * 3_600.0
MIN_INSIGHTS_INTERVAL_SECONDS = 4 * 3_600.0


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceConfig:
    """One enabled source of one partner."""

    source: AnySource
    interval_seconds: float


class _SourceKeys(Keys):
    """Keys of every source."""

    enabled: bool = True
    interval: Interval | None = None


class _DetailKeys(Keys):
    """Keys of the APIs that know customers."""

    detail: UniqueList[Dimension] = Field(default_factory=list)


class _CommercialKeys(_DetailKeys):
    """Keys that the commercial API has."""

    filter: Filter = ""
    path: ApiPath = ""


class _InsightsKeys(_DetailKeys):
    """Keys that Partner Insights has."""

    datasets: UniqueList[str] = Field(default_factory=list)
    reports: bool = False
    insights_file_hosts: UniqueList[HostPattern] = Field(default_factory=list)


class _LicenceKeys(_CommercialKeys, _InsightsKeys, _SourceKeys):
    """Keys of the sources that all licence APIs have."""

    legacy: ClassVar[LegacyEndpoint[Any]]
    commercial: ClassVar[CommercialEndpoint[Any]]
    insights: ClassVar[InsightsEndpoint]

    api: Api = Api.LEGACY

    @field_validator("datasets")
    @classmethod
    def _check_data_sets(cls, names: list[str]) -> list[str]:
        known = cls.insights.data_sets
        if not names or not set(names) <= set(known):
            raise ValueError(f"choose from {', '.join(known)}")
        return names

    def interval_seconds(self, common: float) -> float:
        """Return the interval; Insights has its own default, as its data is of months."""
        return self.interval or (INSIGHTS_INTERVAL_SECONDS if self.api is Api.INSIGHTS else common)

    def source(self, max_series: int, *, file_hosts: tuple[str, ...] = ()) -> AnySource:
        """Return what is polled; keys of another API may come from the common ones, and are ignored."""
        match self.api:
            case Api.LEGACY:
                return Legacy(self.legacy, max_series)
            case Api.COMMERCIAL:
                detail = tuple(self.detail)
                return Commercial(
                    self.commercial, max_series=max_series, detail=detail, filter=self.filter, path=self.path
                )
            case Api.INSIGHTS:
                names = tuple(self.datasets) or self.insights.data_sets[:1]
                return Insights(
                    self.insights,
                    data_sets=names,
                    max_series=max_series,
                    detail=tuple(self.detail) if self.reports else (),
                    file_hosts=(*file_hosts, *self.insights_file_hosts),
                )
            case _:
                assert_never(self.api)


class UsageKeys(_LicenceKeys):
    """Keys of the source `usage`."""

    legacy = usage.LEGACY
    commercial = usage.COMMERCIAL
    insights = usage.INSIGHTS


class DeploymentKeys(_LicenceKeys):
    """Keys of the source `deployment`."""

    legacy = deployment.LEGACY
    commercial = deployment.COMMERCIAL
    insights = deployment.INSIGHTS


AnySourceKeys = UsageKeys | DeploymentKeys


class Sources(Keys):
    """Every source."""

    usage: UsageKeys = UsageKeys()
    deployment: DeploymentKeys = DeploymentKeys()

    def keys_of(self, name: SourceName) -> AnySourceKeys:
        """Return one source's keys."""
        match name:
            case SourceName.USAGE:
                return self.usage
            case SourceName.DEPLOYMENT:
                return self.deployment
            case _:
                assert_never(name)

    def merged(self, name: SourceName, common: "Sources") -> AnySourceKeys:
        """Return one source's keys: a partner's own (these), else the common ones."""
        return common.keys_of(name).model_copy(update=self.keys_of(name).model_dump(exclude_unset=True))

    def enabled(
        self, common: "Sources", *, interval_seconds: float, max_series: int, file_hosts: tuple[str, ...]
    ) -> tuple[SourceConfig, ...]:
        """Return a partner's enabled sources; `interval_seconds` is that of sources without one of their own."""
        return tuple(
            SourceConfig(
                source=keys.source(max_series, file_hosts=file_hosts),
                interval_seconds=keys.interval_seconds(interval_seconds),
            )
            for keys in (self.merged(name, common) for name in SourceName)
            if keys.enabled
        )


def keys_only_of(api: Api) -> AbstractSet[str]:
    """Return the keys that go with this API, but not with every other."""
    match api:
        case Api.LEGACY:
            return frozenset()
        case Api.COMMERCIAL:
            return _CommercialKeys.model_fields.keys()
        case Api.INSIGHTS:
            return _InsightsKeys.model_fields.keys()
        case _:
            assert_never(api)
