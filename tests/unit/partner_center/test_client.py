"""Requests of one poll: where they go, what they carry, and when the token is renewed."""

import random
import threading
import uuid
from collections.abc import Callable

import httpx
import pytest

from exporter.errors import (
    AuthenticationError,
    Exchange,
    MfaRequired,
    NetworkError,
    PayloadError,
    PollAborted,
    PollError,
    Rejected,
    UpstreamTimeout,
)
from exporter.local_text import local_text
from exporter.logs import get_logger
from exporter.messages import line
from exporter.model.rows import SourceName
from exporter.partner_center.client import ApiPoll, Dialect, PartnerCenterClient
from exporter.partner_center.retry import RetryPolicy
from exporter.redaction import Secret
from exporter.upstream.transport import HttpTransport
from tests.support.clock import FakeClock
from tests.support.upstream import MockUpstream

PATH = "/v1/analytics/licenses/usage"
Answer = Callable[[httpx.Request], httpx.Response]


class Tokens:
    """A sign-in that hands out token-1, token-2, …, and remembers what it is told."""

    def __init__(self) -> None:
        self.issued = 1
        self.refreshed = 0
        self.values: dict[int, str] = {}
        self.reports: list[PollError | None] = []
        self.mfa: list[bool] = []

    def refresh_if_due(self) -> None:
        self.refreshed += 1

    def access_token(self, *, rejected: Secret | None = None) -> Secret:
        if rejected is not None:
            assert rejected == self.access_token()
            self.issued += 1
        return Secret(self.values.get(self.issued, f"token-{self.issued}"))

    def report_api(self, error: PollError | None) -> None:
        self.reports.append(error)

    def report_mfa(self, *, compliant: bool) -> None:
        self.mfa.append(compliant)


class Api:
    """A client whose answers a test gives, one after the other; the last one stays."""

    def __init__(self, *answers: Answer | int, api_url: str = "https://api.example", attempts: int = 1) -> None:
        self.requests: list[httpx.Request] = []
        self.codes: list[str] = []
        self.tokens = Tokens()
        self.clock = FakeClock()
        self.stop = threading.Event()
        self._answers = list(answers or [200])
        transport = MockUpstream(self._answer)
        self._client = PartnerCenterClient(
            partner=line("contoso"),
            api_url=local_text(api_url),
            tokens=self.tokens,
            transport=HttpTransport(httpx.Client(transport=transport), clock=self.clock, timeout_seconds=30.0),
            observer=self,
            clock=self.clock,
            retry=RetryPolicy(attempts=attempts),
            rng=random.Random(1),  # noqa: S311  it spreads retries
        )

    def poll(self) -> ApiPoll:
        return ApiPoll(self._client, SourceName.USAGE, stop=self.stop, log=get_logger())

    def observe_request(self, partner: str, source: str, *, code: str, duration_seconds: float) -> None:
        assert (partner, source) == ("contoso", "usage")
        assert duration_seconds >= 0
        self.codes.append(code)

    @property
    def addresses(self) -> list[str]:
        return [str(request.url) for request in self.requests]

    def header(self, name: str) -> list[str]:
        return [request.headers[name] for request in self.requests]

    def _answer(self, request: httpx.Request) -> httpx.Response:
        self.requests.append(request)
        answer = self._answers.pop(0) if len(self._answers) > 1 else self._answers[0]
        return httpx.Response(answer, content=b"{}") if isinstance(answer, int) else answer(request)


def refused(code: int) -> Answer:
    return lambda _request: httpx.Response(401, json={"code": str(code), "description": "No."})


def broken(_request: httpx.Request) -> httpx.Response:
    raise httpx.ConnectError("connection refused")


def test_a_request_carries_the_token_and_the_documented_headers() -> None:
    api = Api()
    assert api.poll().get(PATH) == b"{}"
    (request,) = api.requests
    assert (request.method, str(request.url)) == ("GET", f"https://api.example{PATH}")
    assert request.headers["Authorization"] == "Bearer token-1"
    assert request.headers["Accept"] == "application/json"
    assert request.headers["X-Locale"] == "en-US"
    assert request.headers["MS-PartnerCenter-Application"] == "partnercenter-exporter"
    for header in ("MS-RequestId", "MS-CorrelationId"):
        assert str(uuid.UUID(request.headers[header])) == request.headers[header]


def test_a_poll_keeps_its_correlation_id_and_a_request_its_own_over_its_retries() -> None:
    api = Api(503, 200, attempts=3)
    poll = api.poll()
    poll.get(PATH)
    poll.get(PATH)
    api.poll().get(PATH)
    assert [len(set(api.header("MS-CorrelationId")[:3])), len(set(api.header("MS-CorrelationId")))] == [1, 2]
    first, again, second, other = api.header("MS-RequestId")
    assert first == again
    assert len({first, second, other}) == 3


@pytest.mark.parametrize(
    ("api_url", "target", "address"),
    [
        ("https://api.example", PATH, f"https://api.example{PATH}"),
        ("https://api.example/", PATH, f"https://api.example{PATH}"),
        ("https://gateway.example/partner", PATH, f"https://gateway.example/partner{PATH}"),
        ("https://api.example:8443", PATH, f"https://api.example:8443{PATH}"),
        ("https://api.example", "usage?skip=1", "https://api.example/usage?skip=1"),
        ("https://api.example", "/partner/v1/x?skip=1", "https://api.example/partner/v1/x?skip=1"),
        ("https://api.example", "https://api.example/x", "https://api.example/x"),
        ("https://api.example", "https://API.example:443/x", "https://api.example/x"),
        ("https://gateway.example/partner", "/partner/v1/x?skip=1", "https://gateway.example/partner/v1/x?skip=1"),
        ("https://gateway.example/partner", "/v2/x", "https://gateway.example/partner/v2/x"),
        ("https://gateway.example/partner", "https://gateway.example/partner/x", "https://gateway.example/partner/x"),
        ("https://[::1]", "https://[::1]:443/x", "https://[::1]/x"),
    ],
)
def test_a_path_or_a_link_leads_to_the_api(api_url: str, target: str, address: str) -> None:
    api = Api(api_url=api_url)
    api.poll().get(target)
    assert api.addresses == [address]


@pytest.mark.parametrize(
    ("api_url", "link"),
    [
        ("https://[::1]", "https://[::1]55555/x"),
        ("https://[::1]:8443", "https://[::1]/x"),
        ("https://gateway.example/partner", "https://gateway.example/x"),
        ("https://gateway.example/partner", "https://gateway.example/partnership/x"),
        ("https://gateway.example/partner", "../x"),
        ("https://gateway.example/partner", "/v1/../../x"),
        ("https://gateway.example/partner", "v1/%2e%2e/%2e%2e/x"),
        ("https://gateway.example/partner", "/partner/..;/x"),
        ("https://gateway.example/partner", "v1/%2e%2e%3bx=y/%2e%2e;/x"),
        ("https://gateway.example/partner", "/v1/..%2f..%2fx"),
        ("https://gateway.example/partner", "/v1/%252e%252e/x"),
        ("https://gateway.example/partner", "/v1/..\\..\\x"),
        ("https://api.example", "https://api.example\\@elsewhere.example/x"),
    ],
)
def test_a_link_leads_below_the_api_s_own_path_or_nowhere(api_url: str, link: str) -> None:
    api = Api(api_url=api_url)
    with pytest.raises(Rejected) as caught:
        api.poll().get(link)
    assert caught.value.remedy
    assert api.requests == []


def test_a_link_that_repeats_the_token_is_refused_without_it() -> None:
    api = Api()
    poll = api.poll()
    poll.get(PATH)
    with pytest.raises(Rejected) as caught:
        poll.get("https://token-1.example/token-1")
    assert "token-1" not in caught.value.message


def test_a_poll_of_many_pages_ends_in_time() -> None:
    api = Api()
    poll = api.poll()
    poll.get(PATH)
    api.clock.advance(3_601.0)
    with pytest.raises(UpstreamTimeout, match="not complete after 60 minutes"):
        poll.get(PATH)
    assert len(api.requests) == 1


@pytest.mark.parametrize(
    "link",
    [
        "https://elsewhere.example/x",
        "//elsewhere.example/x",
        "http://api.example/x",
        "https://api.example:444/x",
        "https://api.example@elsewhere.example/",
        "https://user:password@api.example/",
        "https://api.example.elsewhere.example/",
        "ftp://api.example/x",
        "javascript:alert(1)",
        "https://[::1",
        "https://api.example:port/",
        "https://api.example:99999/",
        "x\ud800y",
    ],
)
def test_a_link_to_another_host_is_refused_before_the_token_is_sent_there(link: str) -> None:
    api = Api()
    with pytest.raises(Rejected) as error:
        api.poll().get(link)
    assert error.value.remedy
    assert api.requests == []


def test_a_rejected_token_is_renewed_once() -> None:
    api = Api(refused(401), 200)
    assert api.poll().get(PATH) == b"{}"
    assert api.header("Authorization") == ["Bearer token-1", "Bearer token-2"]
    assert api.tokens.reports == [None]
    assert api.codes == ["401", "200"]


def test_no_token_of_a_poll_is_shown_when_the_api_repeats_it() -> None:
    first, second = "eyJ0-first-Xq83kd02", "eyJ0-second-Lw95mf7h"

    def repeats(_request: httpx.Request) -> httpx.Response:
        return httpx.Response(400, json={"description": f"not {first}, not {second}"})

    api = Api(refused(401), 200, repeats)
    api.tokens.values = {1: first, 2: second}
    poll = api.poll()
    poll.get(PATH)
    with pytest.raises(Rejected) as caught:
        poll.get(PATH)
    assert api.header("Authorization") == [f"Bearer {first}", f"Bearer {second}", f"Bearer {second}"]
    assert not any(piece in caught.value.message for piece in (first[-8:], second[-8:]))


def test_a_renewed_token_that_is_rejected_too_ends_the_poll() -> None:
    api = Api(refused(401))
    with pytest.raises(AuthenticationError) as error:
        api.poll().get(PATH)
    assert len(api.requests) == 2
    assert api.tokens.reports == []
    assert error.value.exchange == Exchange(
        local_text(PATH), 401, local_text(api.header("MS-CorrelationId")[0]), local_text(api.header("MS-RequestId")[0])
    )


def test_a_token_without_a_second_factor_is_not_renewed_but_tried_once_more_and_reported() -> None:
    api = Api(refused(900421))
    with pytest.raises(MfaRequired):
        api.poll().get(PATH)
    assert api.header("Authorization") == ["Bearer token-1"] * 2
    assert [type(report) for report in api.tokens.reports] == [MfaRequired]


def test_a_second_factor_that_is_demanded_of_one_request_only_fails_nothing() -> None:
    api = Api(refused(900421), 200)
    assert api.poll().get(PATH) == b"{}"
    assert api.header("Authorization") == ["Bearer token-1"] * 2
    assert api.tokens.reports == [None]


@pytest.mark.parametrize(
    ("said", "noted"),
    [("true", [True]), ("True", [True]), (" FALSE ", [False]), ("", []), ("maybe", []), ("1", []), (None, [])],
)
def test_what_the_api_says_of_the_second_factor_is_noted(said: str | None, noted: list[bool]) -> None:
    headers = {} if said is None else {"isMfaCompliant": said}
    api = Api(lambda _request: httpx.Response(200, headers=headers, content=b"{}"))
    api.poll().get(PATH)
    assert api.header("ValidateMfa") == ["true"]
    assert api.tokens.mfa == noted


@pytest.mark.parametrize(
    ("headers", "waits"),
    [
        ({"X-RateLimit-Remaining": "0"}, [60.0]),
        ({"X-RateLimit-Remaining": "0", "Retry-After": "7"}, [7.0]),
        ({"X-RateLimit-Remaining": "0", "Retry-After": "86400"}, [60.0]),
        ({"X-RateLimit-Remaining": " 0 "}, [60.0]),
        ({"X-RateLimit-Remaining": "1"}, []),
        ({"X-RateLimit-Remaining": "-1"}, []),
        ({"X-RateLimit-Remaining": "none"}, []),
        ({"X-RateLimit-Remaining": "9" * 9_999}, []),
        ({"X-RateLimit-Limit": "10"}, []),
    ],
)
def test_a_limit_that_is_used_up_is_waited_for_before_the_next_request(
    headers: dict[str, str], waits: list[float]
) -> None:
    api = Api(lambda _request: httpx.Response(200, headers=headers, content=b"{}"), 200)
    api.poll().get(PATH)
    assert api.clock.waits == []
    for _ in range(2):
        api.poll().get(PATH)
    assert api.clock.waits == waits


def test_a_poll_that_ends_does_not_wait_for_a_limit() -> None:
    api = Api(lambda _request: httpx.Response(200, headers={"X-RateLimit-Remaining": "0"}, content=b"{}"))
    poll = api.poll()
    poll.get(PATH)
    api.stop.set()
    with pytest.raises(PollAborted):
        poll.get(PATH)
    assert len(api.requests) == 1


@pytest.mark.parametrize(("least", "timeout"), [(0.0, 30.0), (12.0, 30.0), (120.0, 120.0)])
def test_a_request_may_take_as_long_as_its_api_may_but_never_less_than_configured(least: float, timeout: float) -> None:
    api = Api()
    api.poll().get(PATH, Dialect(timeout_seconds=least))
    assert {request.extensions["timeout"]["read"] for request in api.requests} == {timeout}


def test_a_token_for_another_api_is_reported() -> None:
    api = Api(refused(900420))
    with pytest.raises(AuthenticationError):
        api.poll().get(PATH)
    assert len(api.tokens.reports) == 1


@pytest.mark.parametrize("answer", [403, 404, 500, broken])
def test_no_other_failure_changes_the_sign_in_status(answer: Answer | int) -> None:
    api = Api(answer)
    with pytest.raises(PollError):
        api.poll().get(PATH)
    assert api.tokens.reports == []


def test_a_request_that_gets_no_answer_is_counted_as_an_error() -> None:
    api = Api(broken)
    with pytest.raises(NetworkError) as error:
        api.poll().get(PATH)
    assert api.codes == ["error"]
    assert (error.value.exchange.endpoint, error.value.exchange.status) == (PATH, None)
    assert error.value.exchange.correlation_id == api.header("MS-CorrelationId")[0]


def test_temporary_failures_are_retried_as_often_as_the_policy_says() -> None:
    api = Api(503, broken, 429, 200, attempts=4)
    assert api.poll().get(PATH) == b"{}"
    assert api.codes == ["503", "error", "429", "200"]
    assert len(api.clock.waits) == 3


def test_retry_after_is_waited_for() -> None:
    api = Api(lambda _request: httpx.Response(429, headers={"Retry-After": "57"}), 200, attempts=2)
    api.poll().get(PATH)
    assert api.clock.waits == [57.0]


def test_a_stop_ends_the_poll_before_its_next_request() -> None:
    api = Api()
    api.stop.set()
    with pytest.raises(PollAborted):
        api.poll().get(PATH)
    assert api.requests == []


def test_a_stop_during_a_wait_ends_the_poll() -> None:
    def stop_and_fail(_request: httpx.Request) -> httpx.Response:
        api.stop.set()
        return httpx.Response(503)

    api = Api(stop_and_fail, attempts=4)
    with pytest.raises(PollAborted):
        api.poll().get(PATH)
    assert len(api.requests) == 1


def test_the_token_is_renewed_if_due_when_a_poll_signs_in() -> None:
    api = Api()
    api.poll().sign_in()
    assert (api.tokens.refreshed, api.requests) == (1, [])


def test_an_error_in_an_answers_content_names_the_request_that_brought_it() -> None:
    api = Api()
    poll = api.poll()
    poll.get(PATH)
    error = PayloadError(line("no rows"))
    complete = poll.with_exchange(error)
    assert complete.exchange == Exchange(
        local_text(PATH), 200, poll.correlation_id, local_text(api.header("MS-RequestId")[0])
    )
    assert (complete.message, error.exchange) == ("no rows", Exchange())
    elsewhere = PayloadError(line("x"), exchange=Exchange(line("elsewhere")))
    assert poll.with_exchange(elsewhere) is elsewhere
