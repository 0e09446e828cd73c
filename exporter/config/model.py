"""The configuration as the program uses it: complete, checked, frozen. Durations are seconds."""

from dataclasses import dataclass
from pathlib import Path

from exporter.auth.credential import Credential
from exporter.auth.entra import Registration
from exporter.config.sources import SourceConfig
from exporter.errors import Problem
from exporter.messages import Line
from exporter.metrics.targets import Target
from exporter.redaction import Secret


@dataclass(frozen=True, slots=True, kw_only=True)
class PartnerConfig:
    """One partner tenant: its sign-in, and what is polled there."""

    name: Line
    registration: Registration
    credential: Credential
    refresh_token_file: Path | None
    api_url: Line
    sources: tuple[SourceConfig, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class SharedConfig:
    """What applies to every poll and request. A proxy's URL may contain its password."""

    timeout_seconds: float
    max_staleness_seconds: float
    ca_file: Path | None
    proxy_url: Secret | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Config:
    """The whole configuration. `warnings` are what can work, but hardly is what was meant."""

    partners: tuple[PartnerConfig, ...]
    shared: SharedConfig
    targets: tuple[Target, ...]
    state_dir: Path
    warnings: tuple[Problem, ...] = ()
