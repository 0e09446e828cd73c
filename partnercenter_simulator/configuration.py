"""Configuration files for an exporter that is to ask a simulator."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Protocol

import yaml

from partnercenter_simulator.private_files import make_private_folder, replace_file

_SECRET_DAYS = 180
_PUBLIC, _SECRET = 0o644, 0o600


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

    The folder must be one that no other user can write to; those with secrets can be read by their owner only.

    One partner, `contoso`, with a client secret and a seed: by default ("") a refresh token that the
    simulator issues now; None leaves the seed out. Keys in `partner` replace that partner's keys, a value
    of None removes one; other keywords replace top-level keys. State is kept in `folder`/state.
    """
    make_private_folder(folder)
    replace_file(folder / "ca.pem", simulator.ca_pem, mode=_PUBLIC)
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
    replace_file(file, yaml.safe_dump(content, sort_keys=False).encode(), mode=_PUBLIC)
    return file


def write_demo_configuration(folder: Path, simulator: Upstream, *, api: str = "commercial") -> Path:
    """Write the configuration that shows most of an API: targets, a client secret that expires."""
    expiry = datetime.now(UTC).date() + timedelta(days=_SECRET_DAYS)
    workload = "Exchange Online" if api == "insights" else "Exchange"
    return write_configuration(
        folder,
        simulator,
        partner={"client_secret_expires": expiry.isoformat()},
        sources={"usage": {"api": api}, "deployment": {"api": api}},
        poll={"interval": "1m"},
        targets=[{"ratio": 0.5}, {"ratio": 0.8, "workload": workload}],
    )


def write_secret(file: Path, secret: str) -> None:
    """Write a secret and a newline to a file that only its owner can read."""
    replace_file(file, f"{secret}\n".encode(), mode=_SECRET)
