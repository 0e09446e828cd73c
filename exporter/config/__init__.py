"""config.yaml as one frozen `Config`; every mistake is reported at once, with its line and its fix."""

from exporter.config.load import load, load_again, load_offline, load_to_check
from exporter.config.model import Config, PartnerConfig, SharedConfig
from exporter.config.sources import AnySource, SourceConfig, Sources

__all__ = [
    "AnySource",
    "Config",
    "PartnerConfig",
    "SharedConfig",
    "SourceConfig",
    "Sources",
    "load",
    "load_again",
    "load_offline",
    "load_to_check",
]
