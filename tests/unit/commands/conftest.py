"""A valid configuration that reaches nobody."""

from pathlib import Path

import pytest
import yaml

TENANT, CLIENT = "8c2f6b0e-4d39-4f0a-9a55-0f6d2b7c1e34", "5f0ff9c2-5a24-4d1c-8f7b-2d1c0a9be7f1"


@pytest.fixture
def config_file(tmp_path: Path) -> Path:
    """Two partners, contoso and Fabrikam, with the legacy API."""
    partner = {"tenant_id": TENANT, "client_id": CLIENT, "client_secret": "secret"}
    partners = [{"name": name, **partner} for name in ("contoso", "Fabrikam")]
    file = tmp_path / "config.yaml"
    file.touch(mode=0o600)  # it has secrets in it
    file.write_text(yaml.safe_dump({"partners": partners, "state_dir": "state"}), "utf-8")
    return file
