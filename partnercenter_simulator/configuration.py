"""Configuration files for an exporter that is to ask a simulator."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Protocol

import yaml

from partnercenter_simulator.private_files import make_private_folder, replace_file

_SECRET_DAYS = 180
_OTHER_PARTNERS = ("fabrikam",)
# What each API needs for figures by customer: the legacy one has none, and Partner Insights has them in files.
_BY_CUSTOMER: Mapping[str, Mapping[str, Any]] = {
    "legacy": {},
    "commercial": {"detail": ["customer"]},
    "insights": {"detail": ["customer"], "reports": True, "insights_file_hosts": ["127.0.0.1"]},
}
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
    others: Mapping[str, Upstream] | None = None,
    **top: Any,
) -> Path:
    """Write config.yaml and the files it refers to into `folder`; return its path. Raises OSError.

    The folder must be one that no other user can write to; those with secrets can be read by their owner only.

    One partner, `contoso`, with a client secret and a seed: by default ("") a refresh token that the
    simulator issues now; None leaves the seed out. Keys in `partner` replace that partner's keys, a value
    of None removes one; other keywords replace top-level keys. State is kept in `folder`/state. `others` are further
    partners, by name, with the same keys and the simulator of each.
    """
    make_private_folder(folder)
    simulators = {"contoso": simulator, **(others or {})}
    replace_file(folder / "ca.pem", b"".join(each.ca_pem for each in simulators.values()), mode=_PUBLIC)
    partners = []
    for name, each in simulators.items():
        prefix = "" if each is simulator else f"{name}-"
        token = refresh_token if each is simulator or refresh_token is None else ""
        keys = _partner(folder, each, name, refresh_token=token, prefix=prefix)
        keys |= partner or {}
        partners.append({key: value for key, value in keys.items() if value is not None})
    content = {"partners": partners, "http": {"ca_file": "ca.pem"}, "state_dir": "state", **top}
    file = folder / "config.yaml"
    replace_file(file, yaml.safe_dump(content, sort_keys=False).encode(), mode=_PUBLIC)
    return file


def _partner(folder: Path, simulator: Upstream, name: str, *, refresh_token: str | None, prefix: str) -> dict[str, Any]:
    """Write a partner's secrets, into files whose names begin with `prefix`, and return its keys."""
    write_secret(folder / f"{prefix}client-secret", simulator.client_secret)
    keys = {
        "name": name,
        "tenant_id": simulator.tenant_id,
        "client_id": simulator.client_id,
        "client_secret_file": f"{prefix}client-secret",
        "authority": simulator.authority,
        "api_url": simulator.base_url,
        "scope": f"{simulator.base_url}/user_impersonation",
    }
    if refresh_token is not None:
        write_secret(folder / f"{prefix}refresh-token", refresh_token or simulator.entra.issue_refresh_token())
        keys |= {"refresh_token_file": f"{prefix}refresh-token"}
    return keys


def write_demo_configuration(folder: Path, simulators: Sequence[Upstream], *, api: str = "commercial") -> Path:
    """Write the configuration that shows most of an API: a partner for each simulator, by customer, with targets.

    The client secrets expire. There are one or two simulators.
    """
    source = {"api": api, **_BY_CUSTOMER[api]}
    expiry = datetime.now(UTC).date() + timedelta(days=_SECRET_DAYS)
    workload = "Exchange Online" if api == "insights" else "Exchange"
    return write_configuration(
        folder,
        simulators[0],
        partner={"client_secret_expires": expiry.isoformat()},
        others=dict(zip(_OTHER_PARTNERS, simulators[1:], strict=False)),
        sources={"usage": source, "deployment": source},
        poll={"interval": "1m"},
        targets=[{"ratio": 0.5}, {"ratio": 0.8, "workload": workload}],
    )


def write_secret(file: Path, secret: str) -> None:
    """Write a secret and a newline to a file that only its owner can read."""
    replace_file(file, f"{secret}\n".encode(), mode=_SECRET)
