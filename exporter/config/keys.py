"""What every mapping of the file has in common, and the types of its values."""

import re
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any, Self, TypeVar
from urllib.parse import urlsplit

from pydantic import (
    AfterValidator,
    BeforeValidator,
    Field,
    ValidationError,
    ValidationInfo,
    ValidatorFunctionWrapHandler,
    field_validator,
    model_validator,
)

from exporter.auth.credential import secret_text
from exporter.upstream.proxies import bare, fix_for, is_usable
from exporter.upstream.transport import origin
from exporter.yaml_file.types import Duration, Strict
from exporter.yaml_file.validation import without_nulls

T = TypeVar("T")

_MIN_INTERVAL_SECONDS = 60.0
# Sockets know no time-out of more than 24 days.
_MAX_TIMEOUT_SECONDS = 86_400.0
_MAX_URL = 1_000


class Keys(Strict):
    """A mapping of the file."""

    @classmethod
    def valid_part(cls, content: Any, folder: Path) -> Self:
        """Return the valid part of any content, so that one mistake doesn't hide others.

        A wrong key has its default, or is empty where it is required; `model_fields_set` still names it.
        """
        return cls.model_validate(without_nulls(content), context={"folder": folder, "lenient": True})

    @model_validator(mode="before")
    @classmethod
    def _known_keys(cls, content: Any, info: ValidationInfo) -> Any:
        if not _is_lenient(info):
            return content
        given = content if isinstance(content, dict) else {}
        fields = cls.model_fields.items()
        return {key: given.get(key) for key, field in fields if key in given or field.is_required()}

    @field_validator("*", mode="wrap")
    @classmethod
    def _default_if_wrong(cls, value: Any, handler: ValidatorFunctionWrapHandler, info: ValidationInfo) -> Any:
        try:
            return handler(value)
        except ValidationError:
            if not _is_lenient(info):
                raise
            field = cls.model_fields[info.field_name or ""]
            empty = field.annotation or str
            return empty() if field.is_required() else field.get_default(call_default_factory=True)


def _is_lenient(info: ValidationInfo) -> bool:
    return "lenient" in (info.context or ())


def _check(is_valid: Callable[[Any], object], message: str) -> AfterValidator:
    def validator(value: T) -> T:
        if not is_valid(value):
            raise ValueError(message)
        return value

    return AfterValidator(validator)


def _matches(pattern: str, message: str) -> AfterValidator:
    """Accept printable text that matches the whole pattern; its classes are ASCII's."""
    match = re.compile(pattern, re.ASCII).fullmatch
    return _check(lambda text: match(text) and text.isprintable(), message)


def _is_https(value: str) -> bool:
    shape = re.fullmatch(r"[^/]+//[^/?#@\s]+(/[^?#\s]*)?", value)
    if not shape or not value.isprintable() or len(value) > _MAX_URL:
        return False
    try:
        scheme, host, *_, port = origin(value)
    except ValueError:
        return False
    return scheme == "https" and bool(host) and port != 0


def _is_own_tenant(tenant_or_authority: str) -> bool:
    # Of an authority MSAL takes the first segment.
    tenant = urlsplit(tenant_or_authority).path.strip("/").partition("/")[0].lower()
    return tenant not in ("", "common", "organizations", "consumers")


def _interval(seconds: float) -> float:
    if seconds < _MIN_INTERVAL_SECONDS:
        raise ValueError("minimum interval is 1m: the data changes about once a day")
    return seconds


def _timeout(seconds: float) -> float:
    if seconds > _MAX_TIMEOUT_SECONDS:
        raise ValueError("maximum timeout is 1d")
    return seconds


def _date(value: Any) -> float:
    """Return Unix seconds."""
    try:
        moment = datetime.fromisoformat(value)
    except (ValueError, TypeError):
        raise ValueError("use a date such as 2027-05-01") from None
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()


def _proxy_url(value: str) -> str:
    url = bare(value)
    if "://" not in url or not is_usable(url):
        raise ValueError(fix_for(url))
    return url


Date = Annotated[float, BeforeValidator(_date)]
Timeout = Annotated[Duration, AfterValidator(_timeout)]
Interval = Annotated[Duration, AfterValidator(_interval)]
Ratio = Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)]
NonEmpty = Annotated[str, Field(min_length=1)]
SecretText = Annotated[NonEmpty, AfterValidator(secret_text), _check(bool, "expected a non-empty string")]
UniqueList = Annotated[list[T], _check(lambda items: len(set(items)) == len(items), "duplicate entry: keep one")]
Name = Annotated[str, _matches(r"[\w.-]{1,128}", "use 1 to 128 characters from A-Z a-z 0-9 _ . -")]
Identifier = Annotated[str, _matches(r"[^\W_][\w.-]*", "copy the ID from the application's page in Entra ID")]
Tenant = Annotated[Identifier, _check(_is_own_tenant, "use the partner tenant's own ID")]
HttpsUrl = Annotated[
    str,
    _check(_is_https, "use a URL that starts with https:// and has no user, query or fragment"),
    AfterValidator(lambda url: url.rstrip("/")),
]
Authority = Annotated[
    HttpsUrl, _check(_is_own_tenant, "must end with the partner tenant: https://login.microsoftonline.com/TENANT")
]
ProxyUrl = Annotated[str, AfterValidator(_proxy_url)]
Filter = Annotated[str, _matches(r".+", "write the filter on one line, for example channel eq 'reseller'")]
HostPattern = Annotated[
    str,
    _matches(
        r"(\*\.)?[\w-]+(\.[\w-]+)*(:\d{1,5})?", "use a host such as files.example, *.example or files.example:8443"
    ),
]
ApiPath = Annotated[str, _matches(r"/(?!/)((?![?#])[!-~])*", "use a path below api_url, without a query: /v1/…")]
