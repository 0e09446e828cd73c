"""Whatever Entra ID answers: a grant that can be used and stored, or a refusal in words."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from exporter.auth.credential import ClientSecret
from exporter.auth.entra import EntraApplication, Registration
from exporter.auth.msal_http import MsalHttp
from exporter.errors import PollError, Reason
from exporter.local_text import local_text
from exporter.messages import line
from exporter.model.status import Identity
from exporter.redaction import Secret
from exporter.upstream.transport import HttpTransport
from partnercenter_simulator import Fault
from tests.reliability.conftest import MakeRig
from tests.reliability.examples import as_json, examples, mutated, texts, values
from tests.reliability.rig import Rig
from tests.support.clock import FakeClock
from tests.support.config import token_file
from tests.support.logs import LogStream
from tests.support.upstream import MockUpstream

LOGIN = "https://login.example/tenant"
DISCOVERY = {
    "authorization_endpoint": f"{LOGIN}/oauth2/v2.0/authorize",
    "token_endpoint": f"{LOGIN}/oauth2/v2.0/token",
    "issuer": f"{LOGIN}/v2.0",
}
GRANT = {
    "token_type": "Bearer",
    "scope": "https://api.example/user_impersonation",
    "expires_in": 3_600,
    "access_token": "header.eyJhbXIiOlsibWZhIl19.signature",
    "refresh_token": "1.AX0A",
    "id_token": "header.eyJwcmVmZXJyZWRfdXNlcm5hbWUiOiJhIn0.signature",
    "client_info": "eyJ1aWQiOiJhIiwidXRpZCI6ImIifQ",
}
REFUSAL = {
    "error": "invalid_grant",
    "error_description": "AADSTS50173: The grant has expired.\r\nTrace ID: 1\r\nCorrelation ID: 2",
    "error_codes": [50173],
    "correlation_id": "2",
    "suberror": "bad_token",
    "claims": "{}",
}
ID_TOKENS = (
    "",
    "a.b.c",
    "..",
    "header.bnVsbA.s",  # null
    "header.W10.s",  # []
    "header.eyJleHAiOjFlMzAwfQ.s",  # {"exp":1e300}
    "header.eyJleHAiOiJ4In0.s",  # {"exp":"x"}
    "header.eyJwcmVmZXJyZWRfdXNlcm5hbWUiOiJcdWQ4MDAifQ.s",  # a lone surrogate for a name
    "header.eyJhbXIiOlsxLHt9XX0.s",  # {"amr":[1,{}]}
    "header.W1tbW1tbW1s.s",  # [[[[[[[[
)
REFRESH_TOKEN = "1.AX0A-the-token-that-is-redeemed-and-must-never-be-shown-to-anybody"
CLIENT_SECRET = "the~client~secret~that~must~never~be~shown~to~anybody"


def almost(document: Mapping[str, Any], **special: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    """Return a strategy for a document with hostile values at known keys, or without some of them."""
    hostile = {key: special.get(key, st.nothing()) | texts | values for key in document}
    changed = st.fixed_dictionaries({}, optional=hostile).map(lambda changes: {**document, **changes})
    lacking = st.sets(st.sampled_from(sorted(document))).map(
        lambda gone: {key: value for key, value in document.items() if key not in gone}
    )
    return changed | lacking


grants = almost(
    GRANT,
    expires_in=st.sampled_from(("3599", "-1", 0, 1e999, 10**400, "1e400", True)),
    id_token=st.sampled_from(ID_TOKENS),
    access_token=st.sampled_from(ID_TOKENS),
)
refusals = almost(
    REFUSAL,
    error_codes=st.lists(st.integers() | values, max_size=3),
    error_description=texts.map(lambda text: f"AADSTS50076: {text}"),
)
bodies = st.one_of(
    st.builds(as_json, grants),
    st.builds(as_json, refusals),
    st.builds(as_json, values),
    mutated(as_json(GRANT)),
    st.binary(max_size=40),
)
statuses = st.sampled_from((200, 200, 400, 401, 403, 404, 302, 429, 500, 503))
headers = st.fixed_dictionaries(
    {},
    optional={
        "Retry-After": st.text(st.characters(codec="ascii", exclude_categories=["Cc"]), max_size=30),
        "Content-Type": st.sampled_from(("text/html", "application/json; charset=x", ";")),
    },
)


@dataclass
class Upstream:
    """Answers the metadata and the token request as it is told, and notes where each request went."""

    token: httpx.Response
    discovery: httpx.Response = field(default_factory=lambda: httpx.Response(200, json=DISCOVERY))
    asked: list[httpx.URL] = field(default_factory=list)

    def __call__(self, request: httpx.Request) -> httpx.Response:
        """Answer one request."""
        if request.method == "GET":
            return self.discovery
        self.asked.append(request.url)
        return self.token


def redeem(upstream: Upstream) -> PollError | None:
    """Redeem a refresh token; return the refusal, and check what a grant holds."""
    registration = Registration(
        partner=line("contoso"),
        identity=Identity("global", "t", "c"),
        authority=local_text(LOGIN),
        scope="https://api.example/x",
    )
    secret = ClientSecret(value=Secret(CLIENT_SECRET))
    with httpx.Client(transport=MockUpstream(upstream)) as client:
        transport = HttpTransport(client, clock=FakeClock(), timeout_seconds=30.0)
        application = EntraApplication(registration, secret, MsalHttp(transport, partner=line("contoso")))
        try:
            grant = application.redeem(Secret(REFRESH_TOKEN))
        except PollError as error:
            return error
    for token in (grant.access_token, grant.refresh_token):
        # What can stand in a header, and in a file as UTF-8.
        assert token is None or (token.reveal().isascii() and token.reveal().isprintable())
    assert 0 < grant.lifetime_seconds < 30 * 86_400
    (grant.account or "").encode()
    return None


def check_words(error: PollError | None) -> None:
    """A refusal has a reason other than a fault of our own, a remedy, and no secret."""
    if error is None:
        return
    assert error.reason is not Reason.INTERNAL
    assert error.remedy
    description = f"{error.message} {error.remedy} {error.exchange}"
    description.encode()
    assert REFRESH_TOKEN not in description
    assert CLIENT_SECRET not in description
    assert len(description) < 2_000


@given(status=statuses, body=bodies, extra=headers)
@example(status=400, body=as_json({**REFUSAL, "correlation_id": "\ud800"}), extra={})
@example(status=400, body=as_json({**REFUSAL, "error_description": REFRESH_TOKEN + CLIENT_SECRET}), extra={})
@example(status=200, body=as_json({**GRANT, "access_token": "é\n"}), extra={})
@example(status=200, body=as_json({**GRANT, "refresh_token": "\ud800"}), extra={})
@example(status=200, body=b"[" * 50_000, extra={})
@examples(60)
def test_any_answer_of_the_token_endpoint_is_a_grant_or_a_refusal(
    status: int, body: bytes, extra: dict[str, str]
) -> None:
    check_words(redeem(Upstream(httpx.Response(status, content=body, headers=extra))))


@given(status=statuses, body=st.builds(as_json, almost(DISCOVERY) | values) | mutated(as_json(DISCOVERY)))
@example(status=200, body=as_json({**DISCOVERY, "token_endpoint": "http://login.example/token"}))
@example(status=200, body=as_json({**DISCOVERY, "token_endpoint": "//login.example/token"}))
@example(status=200, body=as_json({**DISCOVERY, "token_endpoint": 5, "issuer": None}))
@examples(60)
def test_any_metadata_leads_to_a_grant_or_a_refusal_and_always_over_tls(status: int, body: bytes) -> None:
    upstream = Upstream(token=httpx.Response(200, json=GRANT), discovery=httpx.Response(status, content=body))
    check_words(redeem(upstream))
    assert all(url.scheme == "https" for url in upstream.asked)


@pytest.fixture
def rig(make_rig: MakeRig) -> Rig:
    """An exporter after a good poll."""
    rig = make_rig(sources={"deployment": {"enabled": False}})
    rig.start()
    rig.settle()
    return rig


@given(status=statuses, body=bodies)
@example(status=400, body=as_json({**REFUSAL, "error": {"code": "BadGateway"}}))
@example(status=400, body=as_json({**REFUSAL, "error": "é"}))
@example(status=200, body=as_json({**GRANT, "refresh_token": "\ud800"}))
@example(status=200, body=as_json({**GRANT, "error": None}))
@examples(15)
def test_any_answer_of_entra_id_leaves_data_token_and_pages_intact(
    rig: Rig, log_stream: LogStream, status: int, body: bytes
) -> None:
    before = rig.see()
    rig.simulator.faults.add(Fault(kind="replace_body", endpoint="token", status=status, content=body))
    rig.next_poll()
    rig.simulator.faults.clear()
    seen = rig.see()
    assert seen.of_source("poll_failures_total", reason="internal") == 0
    assert not log_stream.of("internal error")
    assert seen.scrape.data == before.scrape.data or seen.of_source("up") == 1
    assert rig.openmetrics().data == seen.scrape.data
    assert rig.page("/")
    assert stored_token(token_file(rig.file)) in (before.refresh_token, granted(body))
    rig.sign_in_anew()
    rig.next_poll()
    assert rig.see().status.failure is None


def stored_token(file: Path) -> Any:
    """Return the refresh token in a store's file, which must be whole."""
    return json.loads(file.read_bytes())["refresh_token"]


def granted(body: bytes) -> Any:
    """Return the refresh token that an answer brought, if it did."""
    try:
        return json.loads(body.decode("utf-8-sig")).get("refresh_token")
    except (ValueError, RecursionError, AttributeError):
        return None
