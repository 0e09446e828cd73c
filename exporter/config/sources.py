"""The sources: their keys in the file, and the source that they make. A new one is added here alone."""

from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from typing import Any, ClassVar, Literal, assert_never

from pydantic import Field

from exporter.config.keys import ApiPath, Filter, Interval, Keys, UniqueList
from exporter.model.rows import Api, Dimension, SourceName
from exporter.sources import deployment, usage
from exporter.sources.commercial import Commercial, CommercialEndpoint
from exporter.sources.legacy import Legacy, LegacyEndpoint


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceConfig:
    """One enabled source of one partner."""

    source: Legacy | Commercial
    interval_seconds: float


class _SourceKeys(Keys):
    """Keys of every source."""

    enabled: bool = True
    interval: Interval | None = None


class _CommercialKeys(Keys):
    """Keys that only the commercial API has."""

    detail: UniqueList[Dimension] = Field(default_factory=list)
    filter: Filter = ""
    path: ApiPath = ""


class _LicenceKeys(_CommercialKeys, _SourceKeys):
    """Keys of the sources that both licence APIs have."""

    legacy: ClassVar[LegacyEndpoint[Any]]
    commercial: ClassVar[CommercialEndpoint[Any]]

    api: Literal[Api.LEGACY, Api.COMMERCIAL] = Api.LEGACY

    def source(self, max_series: int) -> Legacy | Commercial:
        """Return what is polled; keys of another API may come from the common ones, and are ignored."""
        match self.api:
            case Api.LEGACY:
                return Legacy(self.legacy, max_series)
            case Api.COMMERCIAL:
                detail = tuple(self.detail)
                return Commercial(
                    self.commercial, max_series=max_series, detail=detail, filter=self.filter, path=self.path
                )
            case _:
                assert_never(self.api)


class UsageKeys(_LicenceKeys):
    """Keys of the source `usage`."""

    legacy = usage.LEGACY
    commercial = usage.COMMERCIAL


class DeploymentKeys(_LicenceKeys):
    """Keys of the source `deployment`."""

    legacy = deployment.LEGACY
    commercial = deployment.COMMERCIAL


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

    def enabled(self, common: "Sources", *, interval_seconds: float, max_series: int) -> tuple[SourceConfig, ...]:
        """Return a partner's enabled sources; `interval_seconds` is that of sources without one of their own."""
        merged = (self.merged(name, common) for name in SourceName)
        return tuple(
            SourceConfig(source=keys.source(max_series), interval_seconds=keys.interval or interval_seconds)
            for keys in merged
            if keys.enabled
        )


def keys_only_of(api: Api) -> AbstractSet[str]:
    """Return the keys that go with this API, but not with every other."""
    match api:
        case Api.LEGACY:
            return frozenset()
        case Api.COMMERCIAL:
            return _CommercialKeys.model_fields.keys()
        case _:
            assert_never(api)
