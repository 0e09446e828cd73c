"""Configuration files against a running simulator."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol

import yaml

PARTNER = "contoso"


class SignsIn(Protocol):
    """Something that issues refresh tokens."""

    def issue_refresh_token(self) -> str:
        """Return a new one."""
        ...


class Upstream(Protocol):
    """What a configuration needs to know about a simulator, in this process or another."""

    @property
    def entra(self) -> SignsIn:
        """The login host."""
        ...

    ca_pem: bytes
    client_secret: str
    tenant_id: str
    client_id: str

    @property
    def authority(self) -> str:
        """The authority as MSAL expects it."""
        ...

    @property
    def base_url(self) -> str:
        """Scheme, host and port."""
        ...


def write_config(
    folder: Path,
    simulator: Upstream,
    *,
    refresh_token: str | None = "",
    partner: Mapping[str, Any] | None = None,
    **top: Any,
) -> Path:
    """Write config.yaml and the files it refers to into `folder`; return its path.

    One partner, `contoso`, with a client secret and a seed: by default ("") a refresh token that the
    simulator issues now; None leaves the seed out. Keys in `partner` replace that partner's keys, a value
    of None removes one; other keywords replace top-level keys. State is kept in `folder`/state.
    """
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "ca.pem").write_bytes(simulator.ca_pem)
    write_secret(folder / "client-secret", simulator.client_secret)
    keys: dict[str, Any] = {
        "name": PARTNER,
        "tenant_id": simulator.tenant_id,
        "client_id": simulator.client_id,
        "client_secret_file": "client-secret",
        "authority": simulator.authority,
        "api_url": simulator.base_url,
        "scope": f"{simulator.base_url}/user_impersonation",
    }
    if refresh_token is not None:
        seed = refresh_token or simulator.entra.issue_refresh_token()
        write_secret(folder / "refresh-token", seed)
        keys["refresh_token_file"] = "refresh-token"
    keys |= partner or {}
    content = {
        "partners": [{key: value for key, value in keys.items() if value is not None}],
        "http": {"ca_file": "ca.pem"},
        "state_dir": "state",
        **top,
    }
    file = folder / "config.yaml"
    file.write_text(yaml.safe_dump(content, sort_keys=False))
    return file


def write_secret(file: Path, secret: str) -> None:
    """Write a secret and a newline to a file that only its owner can read."""
    file.touch(mode=0o600)
    file.write_text(f"{secret}\n")


def token_file(config_file: Path, partner: str = PARTNER) -> Path:
    """Return where the exporter keeps a partner's refresh token."""
    return config_file.parent / "state" / "tokens" / f"{partner}.json"
