"""The API's error responses as our errors (pure).

Error bodies: learn.microsoft.com/partner-center/developer/error-codes, api-throttling-guidance. A body may
also be empty, HTML, or a gateway's own JSON.
"""

import re
from collections.abc import Container, Mapping
from http import HTTPStatus

from exporter import errors
from exporter.errors import LOGIN, NOTHING, RETRIED, Exchange, PollError
from exporter.messages import Line, for_partner, line
from exporter.upstream.retry_after import retry_after_seconds
from exporter.upstream.transport import HttpReply

OK = HTTPStatus.OK
# The refusal's shape has changed over the years; this text was always there.
_MFA_TEXT = re.compile(r"\bMFA\b|\(10001\)", re.IGNORECASE)

# What is shown as a code; anything else is not one.
_CODE = re.compile(r"[\w.-]{1,40}", re.ASCII)

MFA_REMEDY = line("the token was issued without MFA: require MFA for the account, then {}", LOGIN)
_NEEDS_ROLE = line("give the account a partner role (Admin agent or Reports viewer) in Partner Center")
_FORBIDDEN_REMEDIES = {
    "900329": line("the token is app-only, sign in as a user: {}", LOGIN),
    "900308": _NEEDS_ROLE,
    "900309": line("Conditional Access blocks the account: ask the tenant's administrator"),
    "2032": _NEEDS_ROLE,
}
_FORBIDDEN_REMEDY = line(
    "check that the account has a partner role in Partner Center and signed in for this partner tenant; "
    "indirect resellers have no access to this API"
)
# What a status other than 200 and 401 means: the first entry that fits counts.
_MEANINGS: tuple[tuple[Container[int], type[PollError], Line], ...] = (
    ({HTTPStatus.FORBIDDEN}, errors.Forbidden, _FORBIDDEN_REMEDY),
    ({HTTPStatus.NOT_FOUND, HTTPStatus.GONE}, errors.NotFound, line("check api_url and the source's api and path")),
    ({HTTPStatus.REQUEST_TIMEOUT}, errors.UpstreamTimeout, RETRIED),
    (
        {HTTPStatus.TOO_MANY_REQUESTS},
        errors.Throttled,
        line("wait: the next poll comes as soon as Microsoft allows it; a longer poll.interval asks less often"),
    ),
    (
        range(300, 400),
        errors.Rejected,
        line("redirects are not followed, so that the token goes nowhere else: check api_url"),
    ),
    (range(400, 500), errors.Rejected, line("check api_url and the source's options")),
    # 5xx; and a success without the data, as 204 with Retry-After: it is not ready yet.
    (
        range(1000),
        errors.Unavailable,
        line("{}; if it persists, quote the correlation ID to Microsoft support", RETRIED),
    ),
)


def error_for(reply: HttpReply, *, exchange: Exchange, partner: Line) -> PollError:
    """Return the error that a response other than 200 stands for."""
    # Partner Insights writes these keys in either case, and with stray blanks.
    body = {key.strip().lower(): value for key, value in (reply.json_object() or {}).items()}
    code = _scalar(body.get("code"))
    message = line("{} returned {}{}", exchange.endpoint, reply.status, _api_message(reply, body))
    wait = retry_after_seconds(reply.headers, reply.received_at)
    if reply.status == HTTPStatus.UNAUTHORIZED:
        refused, remedy, error = _unauthorized(reply, code)
        remedy = for_partner(remedy, partner)
        return refused(message, remedy=remedy, exchange=exchange, retry_after_seconds=wait, error=error)
    kind, remedy = next((kind, remedy) for statuses, kind, remedy in _MEANINGS if reply.status in statuses)
    if kind is errors.Forbidden:
        remedy = _FORBIDDEN_REMEDIES.get(code, remedy)
    return kind(message, remedy=for_partner(remedy, partner), exchange=exchange, retry_after_seconds=wait)


def _unauthorized(reply: HttpReply, code: str) -> tuple[type[errors.AuthenticationError], Line, str]:
    """Return the class for a 401, what to do about it, and our code for it."""
    challenge = reply.headers.get("WWW-Authenticate", "")
    evidence = f"{reply.reason_phrase} {challenge} {reply.body.decode('utf-8', 'replace')}"
    if code == "900421" or _MFA_TEXT.search(evidence):
        return errors.MfaRequired, MFA_REMEDY, "mfa_required"
    if code == "900420":
        remedy = line("the token is for another API: check scope and cloud")
        return errors.AuthenticationError, remedy, "wrong_audience"
    remedy = line("check that the account belongs to this partner tenant and has a partner role, then {}", LOGIN)
    return errors.AuthenticationError, remedy, "unauthorized"


def _api_message(reply: HttpReply, body: Mapping[str, object]) -> Line:
    """Return what the API says of the error, its code and description or the beginning of any other body."""
    redactor = reply.redactor
    code = redactor.quote(_scalar(body.get("code")))
    if not _CODE.fullmatch(code):
        code = NOTHING
    description = redactor.quote(_scalar(body.get("description") or body.get("message")))
    if code and description:
        return line(" ({}: {})", code, description)
    if code or description:
        return line(" ({})", code or description)
    quoted = redactor.quote(reply.body)
    return line(" with {!r}", quoted) if quoted else NOTHING


def _scalar(value: object) -> str:
    return str(value) if isinstance(value, str | int | float) else ""
