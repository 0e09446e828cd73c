"""Entra ID's error responses as our errors (pure)."""

import re
from collections.abc import Mapping

from exporter import errors
from exporter.auth import aadsts
from exporter.errors import NOTHING, Exchange, PollError
from exporter.messages import Line, for_partner, line
from exporter.redaction import Redactor
from exporter.upstream.retry_after import retry_after_seconds
from exporter.upstream.server_clock import clock_offset_seconds, in_words
from exporter.upstream.transport import HttpReply

_NUMBER = re.compile(r"AADSTS(\d{4,10})\b", re.ASCII | re.IGNORECASE)
_NUMBER_OF_URI = re.compile(r"[?&]code=(\d{4,10})\b", re.ASCII)
# Longer numbers are none of Entra ID's.
_MAX_CODE = 10**10

# The label `error` of partnercenter_auth_failures_total has these values and "other", so that text from
# outside can't create series without limit.
KNOWN_ERRORS = frozenset(
    {*aadsts.BY_ERROR, *aadsts.BY_ERROR_ALONE}
    | {"access_denied", "invalid_request", "invalid_scope", "unsupported_grant_type"}
)


def refusal(
    answer: Mapping[str, object],
    redactor: Redactor,
    *,
    partner: Line,
    retry_after_seconds: float | None = None,
    clock_offset_seconds: float | None = None,
) -> PollError:
    """Return the error for an error response, or for the parameters of a redirect that says as much.

    Keys: error and error_description (RFC 6749, 5.2), error_codes and correlation_id (Entra ID's own).
    """
    error = str(answer.get("error") or "")
    codes = _codes(answer)
    explanation = aadsts.explain(codes, error)
    number = line("AADSTS{}: ", codes[0]) if codes else NOTHING
    description = redactor.quote(_description(answer))
    message = line("{}{} ({})" if description else "{}{}", number, explanation.cause, description)
    exchange = Exchange(line("token"), correlation_id=redactor.quote(str(answer.get("correlation_id") or ""), limit=64))
    fix = explanation.fix
    if explanation is aadsts.CLOCK and clock_offset_seconds is not None:
        fix = line("{}: the clock is {}", fix, in_words(clock_offset_seconds))
    if codes and not any(map(aadsts.is_known, codes)):
        fix = line("{}; look this number up: https://login.microsoftonline.com/error?code={}", fix, codes[0])
    return explanation.kind(
        message,
        remedy=for_partner(fix, partner),
        exchange=exchange,
        error=error,
        retry_after_seconds=retry_after_seconds,
    )


def refusal_of(document: Mapping[str, object], reply: HttpReply, *, partner: Line) -> PollError:
    """Return the error for an error document in a response, whose headers say more."""
    return refusal(
        document,
        reply.redactor,
        partner=partner,
        retry_after_seconds=retry_after_seconds(reply.headers, reply.received_at),
        clock_offset_seconds=clock_offset_seconds(reply.headers, reply.received_at),
    )


def refusal_from_body(reply: HttpReply, *, partner: Line) -> PollError:
    """Return the error for a refused metadata request; the body may be anything."""
    body = reply.json_object()
    if body and body.get("error"):
        return refusal_of(body, reply, partner=partner)
    return errors.AuthenticationError(
        line("Entra ID returned {} for this authority", reply.status),
        remedy=line("check tenant_id, cloud and authority against the tenant's overview in Entra ID"),
        exchange=Exchange(endpoint=line("discovery"), status=reply.status),
        error="invalid_authority",
        retry_after_seconds=retry_after_seconds(reply.headers, reply.received_at),
    )


def _codes(answer: Mapping[str, object]) -> tuple[int, ...]:
    """Return the AADSTS numbers; a browser's redirect has them in the description only.

    Wherever they are: without one, a refusal would count as what OAuth's code means, an expired refresh token.
    """
    listed = answer.get("error_codes")
    numbers = tuple(filter(None, map(_number, listed if isinstance(listed, list) else [listed])))
    places = ((_NUMBER, "error_description"), (_NUMBER_OF_URI, "error_uri"))
    found = (pattern.search(str(answer.get(key) or "")) for pattern, key in places)
    return numbers or next(((int(match[1]),) for match in found if match), ())


def _number(code: object) -> int | None:
    """Return a number that is one of Entra ID's, or written like one."""
    if isinstance(code, str) and code.isascii() and code.isdigit() and len(code) < len(str(_MAX_CODE)):
        code = int(code)
    return code if type(code) is int and 0 < code < _MAX_CODE else None


def _description(answer: Mapping[str, object]) -> str:
    """Return Entra ID's own description without the number before it and the ids and time after it."""
    lines = str(answer.get("error_description") or answer.get("error") or "").strip().splitlines()
    first = lines[0] if lines else ""
    return first.split(" Trace ID:")[0].partition(": ")[2] or first
