"""GET requests to Partner Center for one partner: headers, retries, the token, and counting.

Headers: learn.microsoft.com/partner-center/developer/headers. MS-RequestId identifies one call over its
retries, MS-CorrelationId one poll; both are what Microsoft support asks for.
"""

import random
import threading
import uuid
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Protocol, TypeVar
from urllib.parse import urljoin, urlsplit

from exporter.clock import Clock
from exporter.errors import AuthenticationError, Exchange, MfaRequired, PollAborted, PollError, Rejected
from exporter.logs import Logger
from exporter.partner_center.faults import OK, error_for
from exporter.partner_center.retry import RetryPolicy
from exporter.redaction import Secret
from exporter.upstream.transport import HttpTransport, origin

T = TypeVar("T")

# A page of 10,000 rows is about 5 MB; ten times that is not a page of licence data.
MAX_BODY_BYTES = 64 * 1024 * 1024
_SIGN_IN_REFUSED = ("mfa_required", "wrong_audience")


class TokenProvider(Protocol):
    """Where access tokens come from."""

    def refresh_if_due(self) -> None:
        """Renew at the start of a poll; raises PollError."""

    def access_token(self) -> Secret:
        """Return a valid token; raises PollError."""

    def renew(self, rejected: Secret) -> Secret:
        """Return another token than the rejected one; raises PollError."""

    def report_api(self, error: PollError | None) -> None:
        """Note whether the API accepts the sign-in."""


class RequestObserver(Protocol):
    """Who counts requests."""

    def observe_request(self, partner: str, source: str, *, code: str, duration_seconds: float) -> None:
        """Count one request on the wire: its status, or `error`."""


@dataclass(frozen=True, slots=True)
class PartnerCenterClient:
    """Everything that the polls of one partner share. Safe for threads."""

    partner: str
    api_url: str
    tokens: TokenProvider
    transport: HttpTransport
    observer: RequestObserver
    clock: Clock
    retry: RetryPolicy
    rng: random.Random

    def open_poll(self, source: str, *, stop: threading.Event, log: Logger) -> "ApiPoll":
        """Begin one poll: all its requests have one correlation id."""
        return ApiPoll(self, source, stop=stop, log=log)


class ApiPoll:
    """The requests of one poll of one source."""

    def __init__(self, client: PartnerCenterClient, source: str, *, stop: threading.Event, log: Logger) -> None:
        self._client = client
        self._source = source
        self._stop = stop
        self._started_at = client.clock.monotonic()
        self.progress_at = self._started_at
        self.correlation_id = str(uuid.uuid4())
        self._last_exchange = Exchange(correlation_id=self.correlation_id)
        self.log = log.bind(correlation_id=self.correlation_id)

    def sign_in(self) -> None:
        """Renew the token if that is due, before the first request; raises PollError, PollAborted."""
        exchange = Exchange(endpoint="token", correlation_id=self.correlation_id)
        self._retrying(self._client.tokens.refresh_if_due, exchange)

    def get(self, target: str) -> bytes:
        """Return the body of a page: a path below api_url, or a link from a response.

        Raises PollError; PollAborted when the exporter stops meanwhile.
        """
        url = self._resolve(target)
        exchange = Exchange(
            endpoint=urlsplit(url).path, correlation_id=self.correlation_id, request_id=str(uuid.uuid4())
        )
        body = self._retrying(lambda: self._get_with_token(url, exchange), exchange)
        self._last_exchange = replace(exchange, status=int(OK))
        return body

    def with_exchange(self, error: PollError) -> PollError:
        """Return the error with the request it is about; one in a response's content is about the last."""
        return error if error.exchange.endpoint else error.replace(exchange=self._last_exchange)

    def _resolve(self, target: str) -> str:
        base = self._client.api_url.rstrip("/")
        try:
            url = base + target if target.startswith("/v1/") else urljoin(base + "/", target)
            url.encode()
            # httpx would send a user in the address in place of the token.
            foreign = origin(url) != origin(base) or "@" in urlsplit(url).netloc
        except ValueError as error:
            raise Rejected(
                "a link in the response is not a valid URL", remedy="check which server answers at api_url"
            ) from error
        if foreign:
            raise Rejected(
                f"a link points to another origin: {origin(url)[1]}",
                remedy="the token is sent to api_url only: check which server answers there",
            )
        return url

    def _retrying(self, action: Callable[[], T], exchange: Exchange) -> T:
        clock, retry, rng = self._client.clock, self._client.retry, self._client.rng
        attempt = 0
        while True:
            attempt += 1
            try:
                return action()
            except PollError as error:
                elapsed = clock.monotonic() - self._started_at
                delay = retry.delay(error, attempt=attempt, elapsed_seconds=elapsed, rng=rng)
                if delay is None:
                    if error.exchange.endpoint:
                        raise
                    raise error.replace(exchange=exchange) from error
                retry_in = f"{delay:.1f}s"
                self.log.info("request failed, retrying", reason=error.reason, retry_in=retry_in, error=error.message)
                if clock.wait(self._stop, delay):
                    raise PollAborted from error

    def _get_with_token(self, url: str, exchange: Exchange) -> bytes:
        """Send the request, and once more with a new token if the API rejects this one."""
        tokens = self._client.tokens
        token = tokens.access_token()
        result = self._send(url, exchange, token)
        if isinstance(result, AuthenticationError) and not isinstance(result, MfaRequired):
            result = self._send(url, exchange, tokens.renew(token))
        if isinstance(result, bytes):
            tokens.report_api(None)
            return result
        if isinstance(result, AuthenticationError) and result.error in _SIGN_IN_REFUSED:
            tokens.report_api(result)
        raise result

    def _send(self, url: str, exchange: Exchange, token: Secret) -> bytes | PollError:
        """Return the body, or the error that the response stands for; raises the transport's errors."""
        if self._stop.is_set():
            raise PollAborted
        client = self._client
        started_at = client.clock.monotonic()
        code = "error"
        try:
            reply = client.transport.send("GET", url, headers=_headers(exchange, token), max_bytes=MAX_BODY_BYTES)
            code = str(reply.status)
        finally:
            self.progress_at = client.clock.monotonic()
            client.observer.observe_request(
                client.partner, self._source, code=code, duration_seconds=self.progress_at - started_at
            )
        if reply.status == OK:
            return reply.body
        exchange = replace(exchange, status=reply.status)
        return error_for(reply, exchange=exchange, partner=client.partner, token=token)


def _headers(exchange: Exchange, token: Secret) -> dict[str, str]:
    return {
        "Authorization": f"Bearer {token.reveal()}",
        "Accept": "application/json",
        "MS-RequestId": exchange.request_id,
        "MS-CorrelationId": exchange.correlation_id,
        "MS-PartnerCenter-Application": "partnercenter-exporter",
        "X-Locale": "en-US",
    }
