"""The sources: their keys in the file, and each as the program uses it. A new source is added here alone."""

from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from typing import ClassVar, Literal, TypeVar, assert_never

from pydantic import Field

from exporter.config.keys import ApiPath, Filter, Interval, Keys, UniqueList
from exporter.model import Api, Dimension, SourceName

_LicenceApi = Literal[Api.LEGACY, Api.COMMERCIAL]


@dataclass(frozen=True, slots=True, kw_only=True)
class _LicenceConfig:
    """`detail`, `filter` and `path` are of the commercial API; an empty `path` means its usual one."""

    api: _LicenceApi
    interval_seconds: float
    detail: tuple[Dimension, ...] = ()
    filter: str = ""
    path: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class UsageConfig(_LicenceConfig):
    """The source `usage` of one partner, enabled."""

    name: ClassVar[Literal[SourceName.USAGE]] = SourceName.USAGE


@dataclass(frozen=True, slots=True, kw_only=True)
class DeploymentConfig(_LicenceConfig):
    """The source `deployment` of one partner, enabled."""

    name: ClassVar[Literal[SourceName.DEPLOYMENT]] = SourceName.DEPLOYMENT


SourceConfig = UsageConfig | DeploymentConfig
C = TypeVar("C", bound=_LicenceConfig)


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

    api: _LicenceApi = Api.LEGACY

    def _licence_config(self, kind: type[C], poll_interval: float) -> C:
        seconds = self.interval or poll_interval
        match self.api:
            case Api.LEGACY:
                # Keys of another API may come from the common ones: they wait for partners that use it.
                return kind(api=self.api, interval_seconds=seconds)
            case Api.COMMERCIAL:
                detail, path = tuple(self.detail), self.path
                return kind(api=self.api, interval_seconds=seconds, detail=detail, filter=self.filter, path=path)
            case _:
                assert_never(self.api)


class UsageKeys(_LicenceKeys):
    """Keys of the source `usage`."""

    def config(self, poll_interval: float) -> UsageConfig:
        """Return the source, with poll.interval where it has none of its own."""
        return self._licence_config(UsageConfig, poll_interval)


class DeploymentKeys(_LicenceKeys):
    """Keys of the source `deployment`."""

    def config(self, poll_interval: float) -> DeploymentConfig:
        """Return the source, with poll.interval where it has none of its own."""
        return self._licence_config(DeploymentConfig, poll_interval)


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

    def enabled(self, common: "Sources", poll_interval: float) -> tuple[SourceConfig, ...]:
        """Return a partner's enabled sources; `poll_interval` is that of sources without one of their own."""
        merged = (self.merged(name, common) for name in SourceName)
        return tuple(keys.config(poll_interval) for keys in merged if keys.enabled)


def keys_only_of(api: Api) -> AbstractSet[str]:
    """Return the keys that go with this API, but not with every other."""
    match api:
        case Api.LEGACY:
            return frozenset()
        case Api.COMMERCIAL:
            return _CommercialKeys.model_fields.keys()
        case _:
            assert_never(api)
