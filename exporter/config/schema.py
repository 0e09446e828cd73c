"""The file's shape and types. What one key can't know of another is in `checks`."""

import re
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

from pydantic import AfterValidator, BeforeValidator, Field

from exporter.redaction import Secret
from exporter.yaml_file.types import Duration, FilePath, Strict, duration

_LEAST_INTERVAL_SECONDS = 60.0
_NAME = re.compile(r"[A-Za-z0-9_.-]{1,128}", re.ASCII)
_IDENTIFIER = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*", re.ASCII)
_SHARED_TENANTS = ("common", "organizations", "consumers")


def _interval(value: float) -> float:
    if value < _LEAST_INTERVAL_SECONDS:
        raise ValueError("the least interval is 1m: the data change about once a day")
    return value


def _name(value: str) -> str:
    if not _NAME.fullmatch(value):
        raise ValueError("a name is 1 to 128 of the characters A-Z a-z 0-9 _ . -")
    return value


def _identifier(value: str) -> str:
    if not _IDENTIFIER.fullmatch(value):
        raise ValueError("copy the id from the application's overview in Entra ID")
    return value


def _tenant(value: str) -> str:
    if value.lower() in _SHARED_TENANTS:
        raise ValueError(f"{value!r} is no tenant: give the partner tenant's own id")
    return _identifier(value)


def _https(value: str) -> str:
    try:
        parts = urlsplit(value)
        usable = parts.scheme == "https" and parts.hostname and "@" not in parts.netloc and (parts.port or 1)
    except ValueError:
        usable = False
    if not usable or parts.query or parts.fragment or not value.isprintable():
        raise ValueError("give an address that begins with https:// and has no user, query or fragment")
    return value.rstrip("/")


def _authority(value: str) -> str:
    value = _https(value)
    tenant = urlsplit(value).path.strip("/").lower()
    if not tenant or tenant in _SHARED_TENANTS:
        raise ValueError(
            "an authority ends with the partner tenant: https://login.microsoftonline.com/TENANT"
        )
    return value


def _proxy(value: str) -> str:
    try:
        parts = urlsplit(value)
        usable = parts.scheme in ("http", "https") and parts.hostname and (parts.port or 1)
    except ValueError:
        usable = False
    if not usable:
        raise ValueError("give a proxy as http://host:port")
    return value


def _each_once(value: list[str]) -> list[str]:
    if len(set(value)) < len(value):
        raise ValueError("the same stands here twice: keep one")
    return value


def _filter(value: str) -> str:
    if not value or not value.isprintable() or not _encodes(value):
        raise ValueError("write a filter on one line, as channel eq 'reseller'")
    return value


def _api_path(value: str) -> str:
    try:
        parts = urlsplit(value)
        foreign = any((parts.scheme, parts.netloc, parts.query, parts.fragment))
    except ValueError:
        foreign = True
    if foreign or not value.startswith("/") or not value.isascii() or not value.isprintable() or " " in value:
        raise ValueError("give the path below api_url: /v1/analytics/commercial/…, without a query")
    return value


def _secret(value: Any) -> Secret:
    if not isinstance(value, str) or not value:
        raise ValueError("a secret is a text that is not empty")
    if not _encodes(value):
        raise ValueError("a secret must be UTF-8 text")
    return Secret(value)


def _encodes(value: str) -> bool:
    try:
        value.encode()
    except UnicodeEncodeError:
        return False
    return True


def _day(value: Any) -> float:
    """Return a date as Unix seconds."""
    try:
        moment = datetime.fromisoformat(value)
    except (ValueError, TypeError):
        raise ValueError("write a date as 2027-05-01") from None
    if isinstance(moment, date) and moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    return moment.timestamp()


Interval = Annotated[float, BeforeValidator(duration), AfterValidator(_interval)]
Name = Annotated[str, AfterValidator(_name)]
Identifier = Annotated[str, AfterValidator(_identifier)]
Tenant = Annotated[str, AfterValidator(_tenant)]
Https = Annotated[str, AfterValidator(_https)]
Authority = Annotated[str, AfterValidator(_authority)]
Hidden = Annotated[Any, BeforeValidator(_secret)]
Day = Annotated[float, BeforeValidator(_day)]
LabelValue = Annotated[str, Field(min_length=1)]


class SourceKeys(Strict):
    """What can be said of a source; a key left out falls back to the common one."""

    enabled: bool | None = None
    interval: Interval | None = None
    api: Literal["legacy", "commercial"] | None = None
    detail: Annotated[list[Literal["customer", "product"]], AfterValidator(_each_once)] | None = None
    filter: Annotated[str, AfterValidator(_filter)] | None = None
    path: Annotated[str, AfterValidator(_api_path)] | None = None


class Sources(Strict):
    """Every source."""

    usage: SourceKeys = SourceKeys()
    deployment: SourceKeys = SourceKeys()


class Partner(Strict):
    """One partner tenant."""

    name: Name
    cloud: Literal["global", "china", "usgov"] = "global"
    tenant_id: Tenant
    client_id: Identifier
    client_secret: Hidden | None = None
    client_secret_file: FilePath | None = None
    client_secret_expires: Day | None = None
    client_certificate_file: FilePath | None = None
    client_certificate_key_file: FilePath | None = None
    client_certificate_password_file: FilePath | None = None
    federated_token_file: FilePath | None = None
    refresh_token_file: FilePath | None = None
    authority: Authority | None = None
    api_url: Https | None = None
    scope: Https | None = None
    sources: Sources = Sources()


class Poll(Strict):
    """What holds for every poll."""

    interval: Interval = 3_600.0
    timeout: Duration = 30.0
    max_staleness: Duration = 72 * 3_600.0
    max_series: Annotated[int, Field(ge=1)] = 100_000


class TargetKeys(Strict):
    """A least usage and what it is for."""

    ratio: Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)]
    partner: LabelValue | None = None
    workload: LabelValue | None = None
    service: LabelValue | None = None
    channel: LabelValue | None = None


class Http(Strict):
    """How the upstream is reached."""

    ca_file: FilePath | None = None
    proxy_url: Annotated[str, AfterValidator(_proxy)] | None = None


class ConfigFile(Strict):
    """The whole file."""

    partners: Annotated[list[Partner], Field(min_length=1)]
    sources: Sources = Sources()
    poll: Poll = Poll()
    targets: list[TargetKeys] = Field(default_factory=list)
    http: Http = Http()
    state_dir: FilePath = Path("/var/lib/partnercenter-exporter")
