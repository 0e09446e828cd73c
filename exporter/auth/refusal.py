"""Entra ID's error answers into our errors (pure)."""

import json
import re
from collections.abc import Mapping
from typing import Any

from exporter.auth.aadsts import Explanation, Kind, explain
from exporter.errors import (
    AuthenticationError,
    Exchange,
    MfaRequired,
    PollError,
    RefreshTokenRefused,
    Unavailable,
)
from exporter.redaction import Secret, one_line
from exporter.upstream.transport import HttpReply

_NUMBER = re.compile(r"AADSTS(\d{4,10})\b", re.ASCII)


def refusal(answer: Mapping[str, Any], *, partner: str, secrets: tuple[Secret | None, ...] = ()) -> PollError:
    """Return the error that an error dictionary of MSAL stands for.

    Keys: error and error_description (RFC 6749, 5.2), error_codes and correlation_id (Entra ID's own).
    """
    error = str(answer.get("error") or "")
    codes = _codes(answer)
    explanation = explain(error, codes)
    number = f"AADSTS{codes[0]}: " if codes else ""
    said = one_line(_first_line(answer), *secrets, limit=500)
    message = f"{number}{explanation.meaning}" + (f" ({said})" if said else "")
    correlation_id = one_line(str(answer.get("correlation_id") or ""), *secrets, limit=64)
    exchange = Exchange(endpoint="token", correlation_id=correlation_id)
    remedy = explanation.remedy.format(partner=partner)
    if explanation.kind is Kind.TRANSIENT:
        return Unavailable(message, remedy=remedy, exchange=exchange)
    return _error_class(explanation)(message, remedy=remedy, exchange=exchange, error=error)


def refusal_from_body(reply: HttpReply, *, partner: str) -> PollError:
    """Return the error for a refused metadata request; the body may be anything."""
    try:
        body = json.loads(reply.body.decode("utf-8-sig"))
    except (ValueError, RecursionError):
        body = None
    if isinstance(body, dict) and body.get("error"):
        return refusal(body, partner=partner)
    return AuthenticationError(
        f"Entra ID answers {reply.status} for this authority",
        remedy="compare tenant_id, cloud and authority with the tenant's overview in Entra ID",
        exchange=Exchange(endpoint="discovery", status=reply.status),
        error="invalid_authority",
    )


def _error_class(explanation: Explanation) -> type[AuthenticationError]:
    if explanation.kind is Kind.TOKEN_DEAD:
        return RefreshTokenRefused
    if explanation.kind is Kind.MFA:
        return MfaRequired
    return AuthenticationError


def _codes(answer: Mapping[str, Any]) -> tuple[int, ...]:
    """Return the AADSTS numbers; what a browser brings back has them in the words alone."""
    codes = answer.get("error_codes")
    numbers = tuple(code for code in codes if type(code) is int) if isinstance(codes, list) else ()
    match = _NUMBER.match(str(answer.get("error_description") or ""))
    return numbers or ((int(match[1]),) if match else ())


def _first_line(answer: Mapping[str, Any]) -> str:
    """Return Entra ID's own words without the trace, correlation and time that follow."""
    words = str(answer.get("error_description") or answer.get("error") or "").strip()
    first = words.splitlines()[0] if words else ""
    return first.split(" Trace ID:")[0].partition(": ")[2] or first
