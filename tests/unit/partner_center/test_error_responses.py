"""Every refusal of the API as one error, with its remedy."""

import json

import httpx
import pytest

from exporter.errors import (
    AuthenticationError,
    Exchange,
    Forbidden,
    MfaRequired,
    NotFound,
    PollError,
    Reason,
    Rejected,
    Throttled,
    Unavailable,
    UpstreamTimeout,
)
from exporter.messages import line
from exporter.partner_center.error_responses import error_for
from exporter.redaction import Redactor, Secret
from exporter.upstream.transport import HttpReply

NOW = 1_800_000_000.0
EXCHANGE = Exchange(line("/v1/analytics/licenses/usage"), 403, line("correlation"), line("request"))


def documented(code: int | str, words: str = "No.") -> bytes:
    return json.dumps({"code": code, "description": words, "data": [], "source": "PartnerApi"}).encode()


def fault_of(
    status: int,
    body: bytes = b"",
    *,
    headers: dict[str, str] | None = None,
    reason_phrase: str = "",
    token: str = "a-token",
) -> PollError:
    reply = HttpReply(
        status=status,
        headers=httpx.Headers(headers),
        body=body,
        received_at=NOW,
        reason_phrase=reason_phrase,
        redactor=Redactor(Secret(token)),
    )
    return error_for(reply, exchange=EXCHANGE, partner=line("contoso"))


@pytest.mark.parametrize(
    ("status", "kind", "reason", "retryable"),
    [
        (201, Unavailable, Reason.UNAVAILABLE, True),
        (204, Unavailable, Reason.UNAVAILABLE, True),
        (206, Unavailable, Reason.UNAVAILABLE, True),
        (300, Rejected, Reason.REJECTED, False),
        (301, Rejected, Reason.REJECTED, False),
        (302, Rejected, Reason.REJECTED, False),
        (304, Rejected, Reason.REJECTED, False),
        (308, Rejected, Reason.REJECTED, False),
        (400, Rejected, Reason.REJECTED, False),
        (401, AuthenticationError, Reason.AUTH, False),
        (403, Forbidden, Reason.FORBIDDEN, False),
        (404, NotFound, Reason.NOT_FOUND, False),
        (405, Rejected, Reason.REJECTED, False),
        (406, Rejected, Reason.REJECTED, False),
        (407, Rejected, Reason.REJECTED, False),
        (408, UpstreamTimeout, Reason.TIMEOUT, True),
        (409, Rejected, Reason.REJECTED, False),
        (410, NotFound, Reason.NOT_FOUND, False),
        (412, Rejected, Reason.REJECTED, False),
        (418, Rejected, Reason.REJECTED, False),
        (429, Throttled, Reason.THROTTLED, True),
        (499, Rejected, Reason.REJECTED, False),
        (500, Unavailable, Reason.UNAVAILABLE, True),
        (501, Unavailable, Reason.UNAVAILABLE, True),
        (502, Unavailable, Reason.UNAVAILABLE, True),
        (503, Unavailable, Reason.UNAVAILABLE, True),
        (504, Unavailable, Reason.UNAVAILABLE, True),
        (599, Unavailable, Reason.UNAVAILABLE, True),
    ],
)
def test_each_status_is_one_kind_of_error_with_a_remedy(
    status: int, kind: type[PollError], reason: Reason, *, retryable: bool
) -> None:
    for body in (b"", documented(status), b"<html>No.</html>", b'{"statusCode":1,"message":"No."}'):
        error = fault_of(status, body)
        assert (type(error), error.reason, error.retryable) == (kind, reason, retryable)
        assert str(status) in error.message
        assert error.remedy
        assert error.exchange == EXCHANGE


@pytest.mark.parametrize(
    ("status", "headers", "seconds"),
    [
        (429, {"Retry-After": "57"}, 57.0),
        (503, {"Retry-After": "120"}, 120.0),
        (204, {"Retry-After": "10"}, 10.0),
        (408, {"Retry-After": "1"}, 1.0),
        (403, {"Retry-After": "5"}, 5.0),
        (429, {"Retry-After": "Fri, 15 Jan 2027 08:01:00 GMT"}, 60.0),
        (429, {"Retry-After": "Fri, 15 Jan 2027 09:01:00 GMT", "Date": "Fri, 15 Jan 2027 09:00:00 GMT"}, 60.0),
        (429, {"Retry-After": "soon"}, None),
        (429, {}, None),
    ],
)
def test_a_refusal_carries_what_retry_after_asks_for(
    status: int, headers: dict[str, str], seconds: float | None
) -> None:
    assert fault_of(status, headers=headers).retry_after_seconds == seconds


@pytest.mark.parametrize(
    ("body", "phrase", "challenge"),
    [
        (documented(900421), "", ""),
        (documented("900421"), "", ""),
        (b"\xef\xbb\xbf" + documented("900421", "The claim is missing."), "", ""),
        (b"401 Unauthorized - MFA required", "", 'Bearer error="invalid_token"'),
        (b"\xff MFA required", "", ""),
        (b"", "Unauthorized - MFA required", 'Bearer error="invalid_token"'),
        (b"", "", 'Bearer error="insufficient_claims", error_description="mfa is required"'),
        (documented(10001, "Authentication failed. MFA required. (10001)"), "", ""),
        (documented(401, "Authentication failed. (10001)"), "", ""),
    ],
)
def test_every_form_of_a_refusal_for_a_missing_second_factor_is_known(body: bytes, phrase: str, challenge: str) -> None:
    error = fault_of(401, body, reason_phrase=phrase, headers={"WWW-Authenticate": challenge})
    assert isinstance(error, MfaRequired)
    assert (error.reason, error.error, error.retryable) == (Reason.MFA, "mfa_required", False)
    assert "login --partner contoso" in error.remedy


@pytest.mark.parametrize("words", ["", "Unauthorized", "The token has expired", "AMFALL (100010)"])
def test_any_other_401_is_a_matter_of_the_sign_in(words: str) -> None:
    error = fault_of(401, documented(401, words))
    assert (type(error), error.reason) == (AuthenticationError, Reason.AUTH)
    assert isinstance(error, AuthenticationError)
    assert error.error == "unauthorized"


def test_a_token_for_another_api_is_named_as_such() -> None:
    error = fault_of(401, documented(900420))
    assert isinstance(error, AuthenticationError)
    assert (error.error, error.reason) == ("wrong_audience", Reason.AUTH)
    assert "scope" in error.remedy


@pytest.mark.parametrize(
    ("code", "remedy"),
    [
        (900329, "login --partner contoso"),
        (900308, "partner role"),
        (900309, "Conditional Access"),
        (2032, "partner role"),
        (999, "indirect resellers"),
        ("", "indirect resellers"),
    ],
)
def test_a_403_says_what_to_do_by_its_code(code: int | str, remedy: str) -> None:
    assert remedy in fault_of(403, documented(code)).remedy


def test_for_an_outage_that_persists_support_is_named() -> None:
    assert "if it persists, quote the correlation ID to Microsoft support" in fault_of(503).remedy


def test_a_redirect_is_distinguished_from_a_wrong_request() -> None:
    assert "redirects are not followed" in fault_of(302).remedy
    assert "redirects" not in fault_of(400).remedy


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (documented(900308, "Access is\n  denied"), "(900308: Access is denied)"),
        (b'{"statusCode":429,"message":"Rate limit is exceeded."}', "(Rate limit is exceeded.)"),
        (b"<html>\n<b>Bad Gateway</b></html>", "with '<html> <b>Bad Gateway</b></html>'"),
        (b'{"unknown": 1}', "with '{\"unknown\": 1}'"),
        (b'["no object"]', "with '[\"no object\"]'"),
        (b"  \n", "returned 500"),
        (b"", "returned 500"),
    ],
)
def test_the_message_repeats_what_the_api_says_on_one_line(body: bytes, words: str) -> None:
    assert fault_of(500, body).message.endswith(words)


@pytest.mark.parametrize(
    "body",
    [
        documented("x" * 39, "long " * 10_000),
        documented("a\nb\x1b[2J", "\x1b[31mred\r\n\x00level=info msg=forged"),
        documented(1, "\ud800 \udfff"),
        json.dumps({"code": {"a": 1}, "description": ["a", {"b": "\n"}]}).encode(),
        b'{"description": ' + b"[" * 900 + b"]" * 900 + b"}",
        b"[" * 100_000,
        b"\xff\xfe\x00",
        "\N{RIGHT-TO-LEFT OVERRIDE}evil".encode(),
    ],
)
def test_whatever_the_body_the_message_is_one_short_printable_line(body: bytes) -> None:
    message = fault_of(500, body).message
    assert message.isprintable()
    assert len(message) < 500
    assert message.encode()


def test_a_token_that_the_api_echoes_is_masked_wherever_it_is_cut() -> None:
    token = "short-token"
    for length in range(280, 310):
        words = ("ab " * 110)[:length] + f" {token} end"
        message = fault_of(500, documented(1, words), token=token).message
        assert "short-tok" not in message


def test_the_api_s_own_bearer_challenge_does_not_mean_mfa() -> None:
    error = fault_of(401, documented(401), headers={"WWW-Authenticate": "OAuth realm=urn:cpsvc:cpid:abc"})
    assert error.reason is Reason.AUTH


def test_a_code_that_is_none_is_left_out_and_a_long_description_is_cut() -> None:
    message = fault_of(500, documented("ab " * 20, "cd " * 200)).message
    assert message.endswith(f"({'cd ' * 66}c…)")


def test_a_token_in_place_of_a_code_is_masked() -> None:
    assert "short-token" not in fault_of(500, documented("short-token"), token="short-token").message


@pytest.mark.parametrize("status", [201, 204, 302, 400, 401, 403, 404, 408, 409, 429, 500, 503])
def test_whatever_the_status_the_longest_wait_that_is_asked_for_holds(status: int) -> None:
    headers = {"Retry-After": "5, 90", "x-ms-retry-after-ms": "1000"}
    assert fault_of(status, headers=headers).retry_after_seconds == 90.0
