"""Configuration files against a running simulator, and where the exporter keeps its state."""

from pathlib import Path

from partnercenter_simulator.configuration import Upstream, write_secret
from partnercenter_simulator.configuration import write_configuration as write_config

__all__ = ["PARTNER", "Upstream", "token_file", "write_config", "write_secret"]

PARTNER = "contoso"


def token_file(config_file: Path, partner: str = PARTNER) -> Path:
    """Return where the exporter keeps a partner's refresh token."""
    return config_file.parent / "state" / "tokens" / f"{partner}.json"
