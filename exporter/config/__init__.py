"""config.yaml into one frozen `Config`; every mistake is reported at once, with its line and its mend."""

from exporter.config.load import load
from exporter.config.model import Config, PartnerConfig, SourceConfig

__all__ = ["Config", "PartnerConfig", "SourceConfig", "load"]
