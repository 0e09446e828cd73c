"""An answer of the API that is no success, as one of our errors (pure).

Fault bodies: learn.microsoft.com/partner-center/developer/error-codes, api-throttling-guidance. A body may
also be empty, HTML, or a gateway's own JSON.
"""

import json
import re
from http import HTTPStatus
from typing import Any

from exporter.errors import (
    AuthenticationError,
    Exchange,
    Forbidden,
    MfaRequired,
    NotFound,
    PollError,
    Rejected,
    Throttled,
    Unavailable,
    UpstreamTimeout,
)
from exporter.redaction import Secret, excerpt, one_line
from exporter.upstream.retry_after import retry_after_seconds
from exporter.upstream.transport import HttpReply

OK = HTTPStatus.OK
_WRONG_AUDIENCE = "900420"
_MFA_MISSING = "900421"
# The refusal's shape has changed over the years; the words were always there.
_MFA_WORDS = re.compile(r"\bMFA\b|\(10001\)", re.IGNORECASE)

_FORBIDDEN_REMEDIES = {
    "900329": "the token is app-only, sign in as a user: partnercenter-exporter login --partner {partner}",
    "900308": "give the account a partner role (Admin agent or Reports viewer) in Partner Center",
    "900309": "Conditional Access blocks the account: ask the tenant's administrator",
    "2032": "give the account a partner role (Admin agent or Reports viewer) in Partner Center",
}
_FORBIDDEN_REMEDY = (
    "check that the account has a partner role in Partner Center and signed in for this partner tenant; "
    "indirect resellers have no access to this API"
)
_NOT_FOUND_REMEDY = "look at api_url, and at the source's api and path"

_KINDS: dict[int, tuple[type[PollError], str]] = {
    HTTPStatus.FORBIDDEN: (Forbidden, _FORBIDDEN_REMEDY),
    HTTPStatus.NOT_FOUND: (NotFound, _NOT_FOUND_REMEDY),
    HTTPStatus.GONE: (NotFound, _NOT_FOUND_REMEDY),
    HTTPStatus.REQUEST_TIMEOUT: (UpstreamTimeout, "nothing to do: it is tried again"),
    HTTPStatus.TOO_MANY_REQUESTS: (
        Throttled,
        "nothing to do: the next poll waits as long as asked; a longer poll.interval asks less",
    ),
}


def fault(reply: HttpReply, *, exchange: Exchange, partner: str, token: Secret) -> PollError:
    """Return the error that a reply other than 200 stands for."""
    body = _json_object(reply.body)
    code = _scalar(body.get("code"))
    said = _words(reply, body, token)
    message = f"{exchange.endpoint} answers {reply.status}" + (f" {said}" if said else "")
    if reply.status == HTTPStatus.UNAUTHORIZED:
        return _unauthorized(reply, code, message, partner).replace(exchange=exchange)
    kind, remedy = _kind(reply.status)
    if kind is Forbidden:
        remedy = _FORBIDDEN_REMEDIES.get(code, remedy).format(partner=partner)
    wait = retry_after_seconds(reply.headers, reply.received_at)
    return kind(message, remedy=remedy, exchange=exchange, retry_after_seconds=wait)


def _kind(status: int) -> tuple[type[PollError], str]:
    """Return the class of a status other than 200 and 401, and what to do about it."""
    if status in _KINDS:
        return _KINDS[status]
    if HTTPStatus.MULTIPLE_CHOICES <= status < HTTPStatus.BAD_REQUEST:
        return Rejected, "redirects are not followed, so that the token goes nowhere else: look at api_url"
    if HTTPStatus.BAD_REQUEST <= status < HTTPStatus.INTERNAL_SERVER_ERROR:
        return Rejected, "look at api_url and the source's options"
    # 5xx; and a success without the data, as 204 with Retry-After: they are not ready yet.
    return Unavailable, "nothing to do: it is tried again; quote the correlation id to Microsoft's support"


def _unauthorized(reply: HttpReply, code: str, message: str, partner: str) -> AuthenticationError:
    challenge = reply.headers.get("WWW-Authenticate", "")
    evidence = f"{reply.reason_phrase} {challenge} {reply.body[:2000].decode('utf-8', 'replace')}"
    if code == _MFA_MISSING or _MFA_WORDS.search(evidence):
        return MfaRequired(
            message,
            remedy="the token was issued without a second factor: require MFA for the account, then "
            f"partnercenter-exporter login --partner {partner}",
            error="mfa_required",
        )
    if code == _WRONG_AUDIENCE:
        return AuthenticationError(
            message, remedy="the token is for another API: look at scope and cloud", error="wrong_audience"
        )
    return AuthenticationError(
        message,
        remedy="check that the account belongs to this partner tenant and has a partner role, then "
        f"partnercenter-exporter login --partner {partner}",
        error="unauthorized",
    )


def _words(reply: HttpReply, body: dict[str, Any], token: Secret) -> str:
    """Return what the API says, on one line and without a secret."""
    code = one_line(_scalar(body.get("code")), token, limit=40)
    words = one_line(_scalar(body.get("description") or body.get("message")), token, limit=300)
    if words:
        return f"({code}: {words})" if code else f"({words})"
    if reply.body.strip():
        return f"with {excerpt(reply.body, token)!r}"
    return ""


def _scalar(value: Any) -> str:
    return str(value) if isinstance(value, str | int | float) else ""


def _json_object(body: bytes) -> dict[str, Any]:
    try:
        value = json.loads(body.decode("utf-8-sig"))
    except (ValueError, RecursionError):
        return {}
    return value if isinstance(value, dict) else {}
