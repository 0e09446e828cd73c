"""The API's error responses as our errors (pure).

Error bodies: learn.microsoft.com/partner-center/developer/error-codes, api-throttling-guidance. A body may
also be empty, HTML, or a gateway's own JSON.
"""

import re
from collections.abc import Container
from http import HTTPStatus
from typing import Any

from exporter import errors
from exporter.errors import LOGIN, RETRIED, Exchange, PollError
from exporter.redaction import Secret, excerpt, one_line
from exporter.upstream.retry_after import retry_after_seconds
from exporter.upstream.transport import HttpReply

OK = HTTPStatus.OK
# The refusal's shape has changed over the years; this text was always there.
_MFA_TEXT = re.compile(r"\bMFA\b|\(10001\)", re.IGNORECASE)

_NEEDS_ROLE = "give the account a partner role (Admin agent or Reports viewer) in Partner Center"
_FORBIDDEN_REMEDIES = {
    "900329": f"the token is app-only, sign in as a user: {LOGIN}",
    "900308": _NEEDS_ROLE,
    "900309": "Conditional Access blocks the account: ask the tenant's administrator",
    "2032": _NEEDS_ROLE,
}
_FORBIDDEN_REMEDY = (
    "check that the account has a partner role in Partner Center and signed in for this partner tenant; "
    "indirect resellers have no access to this API"
)
# What a status other than 200 and 401 means: the first entry that fits counts.
_MEANINGS: tuple[tuple[Container[int], type[PollError], str], ...] = (
    ({HTTPStatus.FORBIDDEN}, errors.Forbidden, _FORBIDDEN_REMEDY),
    ({HTTPStatus.NOT_FOUND, HTTPStatus.GONE}, errors.NotFound, "check api_url and the source's api and path"),
    ({HTTPStatus.REQUEST_TIMEOUT}, errors.UpstreamTimeout, RETRIED),
    (
        {HTTPStatus.TOO_MANY_REQUESTS},
        errors.Throttled,
        "nothing to do: the next poll waits as long as requested; a longer poll.interval asks less often",
    ),
    (
        range(300, 400),
        errors.Rejected,
        "redirects are not followed, so that the token goes nowhere else: check api_url",
    ),
    (range(400, 500), errors.Rejected, "check api_url and the source's options"),
    # 5xx; and a success without the data, as 204 with Retry-After: it is not ready yet.
    (range(1000), errors.Unavailable, f"{RETRIED}; if it persists, quote the correlation ID to Microsoft support"),
)


def error_for(reply: HttpReply, *, exchange: Exchange, partner: str, token: Secret) -> PollError:
    """Return the error that a response other than 200 stands for."""
    body = reply.json_object() or {}
    code = _scalar(body.get("code"))
    message = f"{exchange.endpoint} returned {reply.status}{_api_message(reply, body, token)}"
    if reply.status == HTTPStatus.UNAUTHORIZED:
        refused, remedy, error = _unauthorized(reply, code)
        return refused(message, remedy=remedy.format(partner=partner), exchange=exchange, error=error)
    kind, remedy = next((kind, remedy) for statuses, kind, remedy in _MEANINGS if reply.status in statuses)
    if kind is errors.Forbidden:
        remedy = _FORBIDDEN_REMEDIES.get(code, remedy)
    wait = retry_after_seconds(reply.headers, reply.received_at)
    return kind(message, remedy=remedy.format(partner=partner), exchange=exchange, retry_after_seconds=wait)


def _unauthorized(reply: HttpReply, code: str) -> tuple[type[errors.AuthenticationError], str, str]:
    """Return the class for a 401, what to do about it, and our code for it."""
    challenge = reply.headers.get("WWW-Authenticate", "")
    evidence = f"{reply.reason_phrase} {challenge} {reply.body[:2000].decode('utf-8', 'replace')}"
    if code == "900421" or _MFA_TEXT.search(evidence):
        remedy = f"the token was issued without MFA: require MFA for the account, then {LOGIN}"
        return errors.MfaRequired, remedy, "mfa_required"
    if code == "900420":
        return errors.AuthenticationError, "the token is for another API: check scope and cloud", "wrong_audience"
    remedy = f"check that the account belongs to this partner tenant and has a partner role, then {LOGIN}"
    return errors.AuthenticationError, remedy, "unauthorized"


def _api_message(reply: HttpReply, body: dict[str, Any], token: Secret) -> str:
    """Return what the API says, on one line and without a secret."""
    code = one_line(_scalar(body.get("code")), token, limit=40)
    description = one_line(_scalar(body.get("description") or body.get("message")), token, limit=300)
    if description:
        return f" ({code}: {description})" if code else f" ({description})"
    return f" with {excerpt(reply.body, token)!r}" if reply.body.strip() else ""


def _scalar(value: Any) -> str:
    return str(value) if isinstance(value, str | int | float) else ""
