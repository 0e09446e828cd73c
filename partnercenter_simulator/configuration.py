"""Configuration files for an exporter that is to ask a simulator."""

import os
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Protocol

import yaml

_SECRET_DAYS = 180


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


def write_configuration(
    folder: Path,
    simulator: Upstream,
    *,
    refresh_token: str | None = "",
    partner: Mapping[str, Any] | None = None,
    **top: Any,
) -> Path:
    """Write config.yaml and the files it refers to into `folder`; return its path. Raises OSError.

    One partner, `contoso`, with a client secret and a seed: by default ("") a refresh token that the
    simulator issues now; None leaves the seed out. Keys in `partner` replace that partner's keys, a value
    of None removes one; other keywords replace top-level keys. State is kept in `folder`/state.
    """
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "ca.pem").write_bytes(simulator.ca_pem)
    write_secret(folder / "client-secret", simulator.client_secret)
    keys: dict[str, Any] = {
        "name": "contoso",
        "tenant_id": simulator.tenant_id,
        "client_id": simulator.client_id,
        "client_secret_file": "client-secret",
        "authority": simulator.authority,
        "api_url": simulator.base_url,
        "scope": f"{simulator.base_url}/user_impersonation",
    }
    if refresh_token is not None:
        write_secret(folder / "refresh-token", refresh_token or simulator.entra.issue_refresh_token())
        keys |= {"refresh_token_file": "refresh-token"}
    keys |= partner or {}
    content = {
        "partners": [{key: value for key, value in keys.items() if value is not None}],
        "http": {"ca_file": "ca.pem"},
        "state_dir": "state",
        **top,
    }
    file = folder / "config.yaml"
    file.write_text(yaml.safe_dump(content, sort_keys=False), "utf-8")
    return file


def write_demo_configuration(folder: Path, simulator: Upstream) -> Path:
    """Write the configuration that shows most: the successor API, targets, a client secret that expires."""
    expiry = datetime.now(UTC).date() + timedelta(days=_SECRET_DAYS)
    return write_configuration(
        folder,
        simulator,
        partner={"client_secret_expires": expiry.isoformat()},
        sources={"usage": {"api": "commercial"}, "deployment": {"api": "commercial"}},
        poll={"interval": "1m"},
        targets=[{"ratio": 0.5}, {"ratio": 0.8, "workload": "Exchange"}],
    )


def write_secret(file: Path, secret: str) -> None:
    """Write a secret and a newline to a file that only its owner can read."""
    with os.fdopen(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as handle:
        handle.write(f"{secret}\n")
