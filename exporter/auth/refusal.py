"""Entra ID's error responses as our errors (pure)."""

import re
from collections.abc import Mapping
from typing import Any

from exporter.auth.aadsts import explain
from exporter.errors import AuthenticationError, Exchange, PollError
from exporter.redaction import Secret, one_line
from exporter.upstream.transport import HttpReply

_NUMBER = re.compile(r"AADSTS(\d{4,10})\b", re.ASCII)


def refusal(answer: Mapping[str, Any], *, partner: str, secrets: tuple[Secret | None, ...] = ()) -> PollError:
    """Return the error for one of MSAL's error dictionaries.

    Keys: error and error_description (RFC 6749, 5.2), error_codes and correlation_id (Entra ID's own).
    """
    error = str(answer.get("error") or "")
    codes = _codes(answer)
    explanation = explain(error, codes)
    number = f"AADSTS{codes[0]}: " if codes else ""
    description = one_line(_description(answer), *secrets, limit=500)
    message = f"{number}{explanation.cause}" + (f" ({description})" if description else "")
    correlation_id = one_line(str(answer.get("correlation_id") or ""), *secrets, limit=64)
    exchange = Exchange(endpoint="token", correlation_id=correlation_id)
    fix = explanation.fix.format(partner=partner)
    if issubclass(explanation.kind, AuthenticationError):
        return explanation.kind(message, remedy=fix, exchange=exchange, error=error)
    return explanation.kind(message, remedy=fix, exchange=exchange)


def refusal_from_body(reply: HttpReply, *, partner: str) -> PollError:
    """Return the error for a refused metadata request; the body may be anything."""
    body = reply.json_object()
    if body and body.get("error"):
        return refusal(body, partner=partner)
    return AuthenticationError(
        f"Entra ID returned {reply.status} for this authority",
        remedy="check tenant_id, cloud and authority against the tenant's overview in Entra ID",
        exchange=Exchange(endpoint="discovery", status=reply.status),
        error="invalid_authority",
    )


def _codes(answer: Mapping[str, Any]) -> tuple[int, ...]:
    """Return the AADSTS numbers; a browser's redirect has them in the description only."""
    codes = answer.get("error_codes")
    numbers = tuple(code for code in codes if type(code) is int) if isinstance(codes, list) else ()
    match = _NUMBER.match(str(answer.get("error_description") or ""))
    return numbers or ((int(match[1]),) if match else ())


def _description(answer: Mapping[str, Any]) -> str:
    """Return Entra ID's own description without the number before it and the ids and time after it."""
    lines = str(answer.get("error_description") or answer.get("error") or "").strip().splitlines()
    first = lines[0] if lines else ""
    return first.split(" Trace ID:")[0].partition(": ")[2] or first
