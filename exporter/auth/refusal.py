"""Entra ID's error responses as our errors: what its numbers mean, and how to fix each (pure).

Entra ID warns that the numbers may change, so OAuth's `error` code decides and the numbers refine it.
Numbers and meanings: learn.microsoft.com/entra/identity-platform/reference-error-codes.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial

from exporter import errors
from exporter.errors import LOGIN, NOTHING, RETRIED, Exchange, PollError
from exporter.messages import Line, for_partner, line
from exporter.redaction import Redactor
from exporter.upstream.transport import HttpReply

_NUMBER = re.compile(r"AADSTS(\d{4,10})\b", re.ASCII)
_SIGN_IN = line("sign in again: {}", LOGIN)
# Longer numbers are none of Entra ID's.
_MAX_CODE = 10**10


@dataclass(frozen=True, slots=True)
class _Explanation:
    """A refusal's cause and fix (for `for_partner`), and the error that it becomes."""

    cause: Line
    fix: Line = _SIGN_IN
    codes: tuple[int, ...] = ()  # the AADSTS numbers that mean it
    oauth: tuple[str, ...] = ()  # the OAuth codes that do so by themselves
    kind: type[PollError] = errors.AuthenticationError


_token_refused = partial(_Explanation, kind=errors.RefreshTokenRefused)

_EXPLANATIONS = (
    _token_refused(
        line("the refresh token is expired or revoked"),
        codes=(700082, 70008, 50173, 70000, 50089, 50132, 50133),
        oauth=("invalid_grant", "login_required"),
    ),
    _token_refused(
        line("a sign-in frequency policy ended the session"),
        line("exempt the account from the sign-in frequency policy, then {}", _SIGN_IN),
        codes=(70043,),
    ),
    _token_refused(
        line("the refresh token was issued to a single-page redirect URI and is valid for only 24 hours"),
        line("register the redirect URI under the platform Web instead of SPA, then {}", _SIGN_IN),
        codes=(700084,),
    ),
    _token_refused(
        line("the request is malformed, most likely because the refresh token is corrupt"), codes=(9002313,)
    ),
    _token_refused(line("the refresh token belongs to another application (client_id)"), codes=(700007,)),
    _Explanation(
        line("MFA is required, or the previous MFA has expired"),
        line("sign in again with MFA: {}", LOGIN),
        codes=(50076, 50078, 50079, 50074, 50072, 50158),
        oauth=("interaction_required",),
        kind=errors.MfaRequired,
    ),
    _Explanation(
        line("Conditional Access or security defaults block the sign-in"),
        line("ask the tenant's administrator to allow this account and application, then {}", LOGIN),
        codes=(53003, 53000, 530032, 530035),
    ),
    _Explanation(
        line("the application lacks permission or consent for Partner Center"),
        line(
            "add the delegated permission user_impersonation of the Partner Center API to the application "
            "and grant admin consent"
        ),
        codes=(65001, 65004, 90094, 650057, 500011),
        oauth=("invalid_resource", "consent_required"),
    ),
    _Explanation(
        line("the client secret or certificate is wrong, expired or not registered"),
        line(
            "create a new one for the application in Entra ID and put it where the configuration points; "
            "the refresh token remains valid"
        ),
        codes=(7000215, 7000222, 700027, 50012),
        oauth=("invalid_client",),
    ),
    _Explanation(
        line("the application is registered as a different type of client"),
        line("register it as a confidential client (platform Web, with a secret or certificate)"),
        codes=(7000218, 700025),
    ),
    _Explanation(
        line("the tenant or the application does not exist in this cloud"),
        line("check tenant_id, client_id and cloud against the application's overview in Entra ID"),
        codes=(700016, 90002, 90038, 50194),
        oauth=("unauthorized_client",),
    ),
    _Explanation(
        line("the account is disabled, locked or deleted, or its password has expired"),
        line("fix the account in Entra ID, then {}", LOGIN),
        codes=(50057, 50053, 50055, 50034),
    ),
    _Explanation(
        line("Entra ID detected a request loop"),
        line("stop other programs that use this application in a loop; polling resumes by itself"),
        codes=(50196,),
    ),
    _Explanation(
        line("the redirect URI is not registered for the application"),
        line("register http://localhost under the platform Web of the application"),
        codes=(50011,),
    ),
    _Explanation(line("the authorisation code has already been used"), codes=(54005,)),
    _Explanation(
        line("Entra ID is busy"),
        RETRIED,
        codes=(90033, 50033, 90024, 90055, 90006),
        oauth=("temporarily_unavailable", "server_error"),
        kind=errors.Unavailable,
    ),
)
_BY_CODE = {code: explanation for explanation in _EXPLANATIONS for code in explanation.codes}
_BY_ERROR = {error: explanation for explanation in _EXPLANATIONS for error in explanation.oauth}
_UNKNOWN = _Explanation(
    line("Entra ID refuses the sign-in"),
    line("look up the AADSTS code, or quote the correlation ID to Microsoft support"),
)

# The label `error` of partnercenter_auth_failures_total has these values and "other", so that text from
# outside can't create series without limit.
KNOWN_ERRORS = frozenset({*_BY_ERROR, "access_denied", "invalid_request", "invalid_scope", "unsupported_grant_type"})


def refusal(answer: Mapping[str, object], redactor: Redactor, *, partner: Line) -> PollError:
    """Return the error for an error response, or for the parameters of a redirect that says as much.

    Keys: error and error_description (RFC 6749, 5.2), error_codes and correlation_id (Entra ID's own).
    """
    error = str(answer.get("error") or "")
    codes = _codes(answer)
    known = (_BY_CODE[code] for code in codes if code in _BY_CODE)
    explanation = next(known, None) or _BY_ERROR.get(error, _UNKNOWN)
    number = line("AADSTS{}: ", codes[0]) if codes else NOTHING
    description = redactor.quote(_description(answer))
    message = line("{}{} ({})" if description else "{}{}", number, explanation.cause, description)
    exchange = Exchange(line("token"), correlation_id=redactor.quote(str(answer.get("correlation_id") or ""), limit=64))
    fix = for_partner(explanation.fix, partner)
    return explanation.kind(message, remedy=fix, exchange=exchange, error=error)


def refusal_from_body(reply: HttpReply, *, partner: Line) -> PollError:
    """Return the error for a refused metadata request; the body may be anything."""
    body = reply.json_object()
    if body and body.get("error"):
        return refusal(body, reply.redactor, partner=partner)
    return errors.AuthenticationError(
        line("Entra ID returned {} for this authority", reply.status),
        remedy=line("check tenant_id, cloud and authority against the tenant's overview in Entra ID"),
        exchange=Exchange(endpoint=line("discovery"), status=reply.status),
        error="invalid_authority",
    )


def _codes(answer: Mapping[str, object]) -> tuple[int, ...]:
    """Return the AADSTS numbers; a browser's redirect has them in the description only."""
    codes = answer.get("error_codes")
    numbers = tuple(c for c in codes if type(c) is int and 0 <= c < _MAX_CODE) if isinstance(codes, list) else ()
    match = _NUMBER.match(str(answer.get("error_description") or ""))
    return numbers or ((int(match[1]),) if match else ())


def _description(answer: Mapping[str, object]) -> str:
    """Return Entra ID's own description without the number before it and the ids and time after it."""
    lines = str(answer.get("error_description") or answer.get("error") or "").strip().splitlines()
    first = lines[0] if lines else ""
    return first.split(" Trace ID:")[0].partition(": ")[2] or first
