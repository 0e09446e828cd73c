"""Requests to Partner Center for one partner: headers, retries, the token, and counting.

Headers: learn.microsoft.com/partner-center/developer/headers. MS-RequestId identifies one call over its
retries, MS-CorrelationId one poll; both are what Microsoft support asks for.
"""

import random
import threading
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import KW_ONLY, dataclass, field
from functools import partial
from http import HTTPStatus
from typing import Protocol, TypeVar
from urllib.parse import unquote

import httpx

from exporter.clock import Clock
from exporter.errors import (
    AuthenticationError,
    Exchange,
    MfaRequired,
    PollAborted,
    PollError,
    Rejected,
    UpstreamTimeout,
)
from exporter.logs import Logger
from exporter.messages import Line, line
from exporter.model.rows import SourceName
from exporter.partner_center.error_responses import OK, error_for
from exporter.partner_center.retry import RetryPolicy
from exporter.redaction import Redactor, Secret
from exporter.upstream.retry_after import retry_after_seconds
from exporter.upstream.transport import HttpReply, HttpTransport, origin

T = TypeVar("T")

# A page of 10,000 rows is about 5 MB; three times that is not a page of licence data.
MAX_BODY_BYTES = 16 * 1024 * 1024
_TOKEN_STAYS = line("the token is sent to api_url only: check which server answers there")
_KNOWN_TOKENS = 4
_SIGN_IN_REFUSED = ("mfa_required", "wrong_audience")
# For how long a limit that is used up holds where the server doesn't say: its window is not documented.
_LIMIT_SECONDS = 60.0


class TokenProvider(Protocol):
    """Where access tokens come from."""

    def refresh_if_due(self) -> None:
        """Renew at the start of a poll; raises PollError."""

    def access_token(self, *, rejected: Secret | None = None) -> Secret:
        """Return a valid token, another than the rejected one; raises PollError."""

    def report_api(self, error: PollError | None) -> None:
        """Note whether the API accepts the sign-in."""

    def report_mfa(self, *, compliant: bool) -> None:
        """Note whether the API takes the sign-in for one with MFA."""


class RequestObserver(Protocol):
    """Who counts requests."""

    def observe_request(self, partner: str, source: SourceName, *, code: str, duration_seconds: float) -> None:
        """Count one request on the wire: its status, or `error`."""


@dataclass(frozen=True, slots=True)
class Dialect:
    """What is different about one API: how long it may take, and how its responses and errors are meant."""

    timeout_seconds: float = 0.0
    as_meant: Callable[[HttpReply], HttpReply] = lambda reply: reply
    explained: Callable[[PollError], PollError] = lambda error: error


_PLAIN = Dialect()


@dataclass(eq=False)
class RateLimit:
    """Until when a partner's requests wait, because the last answer said that no more are allowed; monotonic."""

    ends_at: float = 0.0

    def note(self, reply: HttpReply, *, now: float) -> None:
        """Read X-RateLimit-Remaining, which counts down to 0."""
        remaining = reply.headers.get("X-RateLimit-Remaining", "").strip()
        if remaining.isdecimal() and int(remaining[:9]) == 0:
            wait = retry_after_seconds(reply.headers, reply.received_at)
            self.ends_at = now + min(_LIMIT_SECONDS if wait is None else wait, _LIMIT_SECONDS)


@dataclass(frozen=True, slots=True)
class PartnerCenterClient:
    """Everything that the polls of one partner share. Safe for threads."""

    partner: Line
    api_url: Line
    tokens: TokenProvider
    transport: HttpTransport
    observer: RequestObserver
    clock: Clock
    retry: RetryPolicy
    rng: random.Random
    rate_limit: RateLimit = field(default_factory=RateLimit)


@dataclass(frozen=True, slots=True)
class _Request:
    method: str
    url: httpx.URL
    id: Line
    dialect: Dialect
    content: bytes | None = None


@dataclass(eq=False)
class ApiPoll:
    """One poll of one source: all its requests have one correlation ID."""

    client: PartnerCenterClient
    source: SourceName
    _: KW_ONLY
    stop: threading.Event
    log: Logger

    def __post_init__(self) -> None:
        self.correlation_id = line("{}", uuid.uuid4())
        # Knows the newest access tokens: what the API sends must not repeat them anywhere.
        self._tokens: tuple[Secret, ...] = ()
        self.redactor = self.client.transport.redactor()
        self.log = self.log.bind(correlation_id=self.correlation_id)
        # Progress and its limits: a machine that was suspended in the middle of a poll goes on with it.
        self.progress_at = self._started_at = self.client.clock.awake()
        self._last: Callable[[], Exchange] = partial(Exchange, correlation_id=self.correlation_id)

    def sign_in(self) -> None:
        """Renew the token if that is due, before the first request; raises PollError, PollAborted."""
        exchange = partial(Exchange, line("token"), correlation_id=self.correlation_id)
        self._retrying(self.client.tokens.refresh_if_due, exchange)

    def get(self, target: str, dialect: Dialect = _PLAIN) -> bytes:
        """Return the body at a path below api_url, or at a link from a response; raises PollError, PollAborted."""
        request, exchange = self._new_request("GET", target, dialect)
        body = self._retrying(lambda: self._send_with_token(request), exchange)
        self._last = partial(exchange, status=int(OK))
        return body

    def change(self, method: str, target: str, dialect: Dialect, *, content: bytes | None = None) -> bytes:
        """Return the body of the answer to a request that changes something upstream, with JSON as its content.

        It is sent once: where it fails, it may have been carried out. Raises PollError, PollAborted.
        """
        request, exchange = self._new_request(method, target, dialect, content)
        try:
            return self._send_with_token(request)
        except PollError as error:
            raise error if error.exchange.endpoint else error.replace(exchange=exchange()) from error

    def _new_request(
        self, method: str, target: str, dialect: Dialect, content: bytes | None = None
    ) -> tuple[_Request, "partial[Exchange]"]:
        request = _Request(method, self._resolve(target), line("{}", uuid.uuid4()), dialect, content)
        return request, partial(self._exchange, request.url.path, request_id=request.id)

    def redactor_with(self, *secrets: Secret) -> Redactor:
        """Return a redactor that knows these secrets too."""
        return self.client.transport.redactor(*secrets, *self._tokens)

    def carries_secret(self, text: str) -> bool:
        """Return whether a text from a response repeats the access token."""
        return self.redactor.carries(text)

    def with_exchange(self, error: PollError) -> PollError:
        """Return the error with the request it is about; one in a response's content is about the last."""
        return error if error.exchange.endpoint else error.replace(exchange=self._last())

    def _exchange(self, path: str, *, request_id: Line, status: int | None = None) -> Exchange:
        """Return what an error says of a request. Only then: to quote the path takes milliseconds."""
        return Exchange(self.redactor.quote(path), status, self.correlation_id, request_id)

    def _know(self, token: Secret) -> None:
        """Let nothing show this token or those before it: one that was refused here may be good elsewhere."""
        if not self.redactor.knows(token):
            self._tokens = (token, *self._tokens[: _KNOWN_TOKENS - 1])
            self.redactor = self.client.transport.redactor(*self._tokens)

    def _resolve(self, target: str) -> httpx.URL:
        """Return where a path or link leads, which is always below api_url."""
        base = httpx.URL(self.client.api_url.rstrip("/") + "/")
        try:
            rooted = target.startswith("/") and not target.startswith(("//", base.path))
            url = base.join(target.removeprefix("/") if rooted else target)
            elsewhere = origin(url) != origin(base)
        except (httpx.InvalidURL, ValueError) as error:
            message = line("a link in the response is not a valid URL")
            raise Rejected(message, remedy=line("check which server answers at api_url")) from error
        # httpx would send a user in the address in place of the token.
        if elsewhere or url.userinfo:
            host = self.redactor.quote(url.host)
            raise Rejected(line("a link points to another origin: {}", host), remedy=_TOKEN_STAYS)
        # Some servers ignore what follows a semicolon in a step.
        steps = (step.partition(";")[0] for step in unquote(unquote(url.path)).replace("\\", "/").split("/"))
        if not url.path.startswith(base.path) or not {".", ".."}.isdisjoint(steps):
            raise Rejected(line("a link leads out of api_url's path"), remedy=_TOKEN_STAYS)
        return url

    def _retrying(self, action: Callable[[], T], exchange: Callable[[], Exchange]) -> T:
        client = self.client
        attempt = 0
        while True:
            attempt += 1
            try:
                return action()
            except PollError as error:
                elapsed = self._elapsed()
                delay = client.retry.delay(error, attempt=attempt, elapsed_seconds=elapsed, rng=client.rng)
                if delay is None:
                    if error.exchange.endpoint:
                        raise
                    raise error.replace(exchange=exchange()) from error
                retry_in = line("{:.1f}s", delay)
                self.log.info("request failed, retrying", reason=error.reason, retry_in=retry_in, error=error.message)
                if client.clock.wait(self.stop, delay):
                    raise PollAborted from error

    def _elapsed(self) -> float:
        return self.client.clock.awake() - self._started_at

    def _send_with_token(self, request: _Request) -> bytes:
        """Send the request, and once more with a new token if the API rejects this one."""
        tokens = self.client.tokens
        token = tokens.access_token()
        result = self._send(request, token)
        if isinstance(result, MfaRequired):
            # Microsoft demands MFA of a growing share of requests: the next may pass with the same token.
            result = self._send(request, token)
        elif isinstance(result, AuthenticationError):
            result = self._send(request, tokens.access_token(rejected=token))
        if isinstance(result, bytes):
            tokens.report_api(None)
            return result
        if isinstance(result, AuthenticationError) and result.error in _SIGN_IN_REFUSED:
            tokens.report_api(result)
        raise result

    def _send(self, request: _Request, token: Secret) -> bytes | PollError:
        """Return the body, or the error that the response stands for; raises the transport's errors."""
        self._wait_for_rate_limit()
        if self.stop.is_set():
            raise PollAborted
        client = self.client
        if self._elapsed() > client.retry.poll_seconds:
            message = line("the poll is not complete after {:.0f} minutes", client.retry.poll_seconds / 60)
            raise UpstreamTimeout(message, remedy=line("ask for less: set a filter, or less detail"))
        self._know(token)
        with self.observed() as note:
            reply = client.transport.waiting(request.dialect.timeout_seconds).send(
                request.method,
                request.url,
                headers=_headers(token, request, correlation_id=self.correlation_id),
                max_bytes=MAX_BODY_BYTES,
                redactor=self.redactor,
                content=request.content,
            )
            note(reply.status)
        client.rate_limit.note(reply, now=client.clock.monotonic())
        if (compliant := reply.headers.get("isMfaCompliant", "").strip().lower()) in ("true", "false"):
            client.tokens.report_mfa(compliant=compliant == "true")
        reply = request.dialect.as_meant(reply)
        if reply.status == OK or (request.method != "GET" and OK < reply.status < HTTPStatus.MULTIPLE_CHOICES):
            return reply.body
        exchange = self._exchange(request.url.path, request_id=request.id, status=reply.status)
        return request.dialect.explained(error_for(reply, exchange=exchange, partner=client.partner))

    @contextmanager
    def observed(self) -> Iterator[Callable[[int], None]]:
        """Count and time one request; its status is given to what this yields, where there is one."""
        client = self.client
        started_at = client.clock.awake()
        codes: list[int] = []
        try:
            yield codes.append
        finally:
            self.progress_at = client.clock.awake()
            client.observer.observe_request(
                client.partner,
                self.source,
                code=str(codes[0]) if codes else "error",
                duration_seconds=self.progress_at - started_at,
            )

    def _wait_for_rate_limit(self) -> None:
        """Wait until the API allows another request; raises PollAborted."""
        clock = self.client.clock
        wait = self.client.rate_limit.ends_at - clock.monotonic()
        if wait > 0:
            self.log.info("rate limit used up, waiting", wait=line("{:.0f}s", wait))
            if clock.wait(self.stop, wait):
                raise PollAborted
            self.progress_at = clock.awake()


def _headers(token: Secret, request: _Request, *, correlation_id: Line) -> dict[str, str]:
    headers = {
        "Authorization": f"Bearer {token.reveal()}",
        "Accept": "application/json",
        "MS-RequestId": request.id,
        "MS-CorrelationId": correlation_id,
        "MS-PartnerCenter-Application": "partnercenter-exporter",
        "X-Locale": "en-US",
    }
    if request.method == "GET":
        # The answer says in isMfaCompliant whether this token has MFA.
        headers["ValidateMfa"] = "true"
    if request.content is not None:
        headers["Content-Type"] = "application/json"
    return headers
