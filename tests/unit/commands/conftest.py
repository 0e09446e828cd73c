"""A valid configuration that reaches nobody."""

from pathlib import Path

import pytest
import yaml

ID = "00000000-0000-0000-0000-000000000000"


@pytest.fixture
def config_file(tmp_path: Path) -> Path:
    """Two partners, contoso and Fabrikam, with the legacy API."""
    partner = {"tenant_id": ID, "client_id": ID, "client_secret": "secret"}
    partners = [{"name": name, **partner} for name in ("contoso", "Fabrikam")]
    file = tmp_path / "config.yaml"
    file.touch(mode=0o600)  # it has secrets in it
    file.write_text(yaml.safe_dump({"partners": partners, "state_dir": "state"}), "utf-8")
    return file
