"""Whatever the API answers in place of data, it becomes one error that is safe to show."""

import json
import math

import httpx
from hypothesis import given
from hypothesis import strategies as st

from exporter.errors import AuthenticationError, Exchange, PollError, Reason
from exporter.messages import line
from exporter.partner_center.error_responses import error_for
from exporter.redaction import Redactor, Secret
from exporter.upstream.transport import HttpReply
from tests.property.strategies import any_text, json_values, torn_text

STATUSES = st.integers(201, 599)
TOKENS = st.from_regex(r"[A-Za-z0-9_-]{8,20}\.[A-Za-z0-9_-]{20,60}\.[A-Za-z0-9_-]{8,40}", fullmatch=True)
BODIES = (
    st.binary(max_size=400)
    | json_values.map(lambda value: json.dumps(value).encode())
    | st.builds(lambda code, words: json.dumps({"code": code, "description": words}).encode(), json_values, torn_text)
)
HEADERS = st.dictionaries(
    st.sampled_from(["Retry-After", "WWW-Authenticate", "Date"]), st.text(st.characters(codec="latin-1"))
)


def error_of(status: int, body: bytes, headers: dict[str, str], phrase: str, token: str) -> PollError:
    named = httpx.Headers([(name.encode(), value.encode("latin-1")) for name, value in headers.items()])
    reply = HttpReply(
        status=status,
        headers=named,
        body=body,
        received_at=1.8e9,
        reason_phrase=phrase,
        redactor=Redactor(Secret(token)),
    )
    return error_for(reply, exchange=Exchange(line("/v1/x"), status), partner=line("contoso"))


@given(STATUSES, BODIES, HEADERS, any_text)
def test_any_answer_is_one_error_with_a_remedy_and_a_printable_message(
    status: int, body: bytes, headers: dict[str, str], phrase: str
) -> None:
    error = error_of(status, body, headers, phrase, "token")
    assert error.reason in Reason
    assert error.remedy
    assert error.message.isprintable()
    assert len(error.message) < 500
    wait = error.retry_after_seconds
    assert wait is None or 0 <= wait <= 86_400
    assert not math.isnan(wait or 0.0)
    assert isinstance(error, AuthenticationError) == (status == 401)
    if error.reason in (Reason.FORBIDDEN, Reason.NOT_FOUND, Reason.REJECTED, Reason.AUTH, Reason.MFA):
        assert not error.retryable


@given(status=STATUSES, token=TOKENS, before=st.text("ab <>{}", max_size=350), documented=st.booleans())
def test_the_token_is_never_in_the_message(status: int, token: str, before: str, *, documented: bool) -> None:
    words = f"{before} Bearer {token} {token}"
    body = json.dumps({"code": 1, "description": words}) if documented else words
    message = error_of(status, body.encode(), {}, "", token).message
    assert token not in message
    for part in token.split("."):
        assert part not in message


@given(STATUSES, TOKENS, st.sampled_from(["code", "message", "description", "other"]))
def test_the_token_is_never_in_the_message_wherever_the_body_has_it(status: int, token: str, key: str) -> None:
    assert token not in error_of(status, json.dumps({key: token}).encode(), {}, "", token).message
