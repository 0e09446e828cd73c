"""One request over httpx with a deadline and a size limit; every failure becomes one of our errors.

httpx limits neither the time nor the size of a whole response, keeps the cookies that it is sent, and quotes the
server in its errors.
"""

import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, suppress
from dataclasses import KW_ONLY, dataclass, field, replace
from http import HTTPStatus
from http.cookiejar import CookieJar, DefaultCookiePolicy
from pathlib import Path
from typing import Self

import httpx

from exporter import __version__
from exporter.clock import Clock
from exporter.errors import RETRIED, NetworkError, PayloadError, PollAborted, PollError, TruncatedBody, UpstreamTimeout
from exporter.messages import Line, line
from exporter.redaction import Redactor, Secret
from exporter.upstream.connecting import Resolver
from exporter.upstream.deadline import start_request
from exporter.upstream.decoding import ACCEPT_ENCODING, decoded
from exporter.upstream.failures import explained
from exporter.upstream.proxies import chosen_proxies
from exporter.upstream.routing import Routes
from exporter.upstream.server_clock import ServerClock
from exporter.upstream.trust import Trust

USER_AGENT = f"partnercenter-exporter/{__version__}"

_IN_BETWEEN = line("check which server answers at this address, and any firewall or proxy in between")
_PROXY_PASSWORD = line(
    "check user and password in http.proxy_url, HTTPS_PROXY or ALL_PROXY, with %XX for special characters"
)
# Error responses are cut here, before anything reads them: what they say is shorter.
_MAX_ERROR_BYTES = 8 * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class HttpReply:
    """A response, complete unless it is an error; header names in any case, the body decompressed.

    `received_at` is in Unix seconds; `redactor` knows the secrets of the request.
    """

    status: int
    headers: Mapping[str, str]
    body: bytes
    received_at: float
    redactor: Redactor
    reason_phrase: str = ""

    def json_object(self) -> Mapping[str, object] | None:
        """Return the body as a JSON object, None if it isn't one; a byte-order mark is skipped."""
        try:
            value = json.loads(self.body.decode("utf-8-sig"))
        except (ValueError, RecursionError):
            return None
        return value if isinstance(value, dict) else None


# What httpx raises for a failed request. UnicodeError: the resolver's codec raises it for a host that can't
# be a name, such as `api..example`.
_REQUEST_ERRORS = (httpx.HTTPError, httpx.InvalidURL, httpx.StreamError, UnicodeError)


@dataclass(frozen=True, eq=False)
class HttpTransport:
    """Sends requests through one connection pool, which it owns. Safe to use from several threads.

    `secrets` are those of every request, a proxy's.
    """

    client: httpx.Client
    _: KW_ONLY
    clock: Clock
    timeout_seconds: float
    secrets: tuple[Secret, ...] = ()
    server_clock: ServerClock = field(default_factory=ServerClock)

    @classmethod
    def open(
        cls,
        *,
        clock: Clock,
        timeout_seconds: float,
        ca_file: Path | None = None,
        proxy_url: str | None = None,
        server_clock: ServerClock | None = None,
        resolver: Resolver | None = None,
    ) -> Self:
        """Return a transport that trusts the system's CAs and `ca_file`; raises OSError if it can't be read.

        Raises ConfigurationError for a proxy that can't be used.
        """
        return cls.trusting(
            Trust(ca_file),
            clock=clock,
            timeout_seconds=timeout_seconds,
            proxy_url=proxy_url,
            server_clock=server_clock,
            resolver=resolver,
        )

    @classmethod
    def trusting(
        cls,
        trust: Trust,
        *,
        clock: Clock,
        timeout_seconds: float,
        proxy_url: str | None = None,
        server_clock: ServerClock | None = None,
        resolver: Resolver | None = None,
    ) -> Self:
        """Return one with other settings of TLS; raises ConfigurationError for a proxy that can't be used."""
        routes = Routes(chosen_proxies(proxy_url), trust.context, resolver or Resolver())
        client = httpx.Client(
            transport=routes,
            trust_env=False,
            timeout=timeout_seconds,
            follow_redirects=False,
            event_hooks={"request": [lambda _request: trust.refresh()]},
            headers={"User-Agent": USER_AGENT, "Accept-Encoding": ACCEPT_ENCODING},
            # The client is every partner's: the cookies of one would be sent with the requests of another.
            cookies=CookieJar(DefaultCookiePolicy(allowed_domains=())),
        )
        return cls(
            client,
            clock=clock,
            timeout_seconds=timeout_seconds,
            secrets=routes.secrets,
            server_clock=server_clock or ServerClock(),
        )

    def close(self) -> None:
        """Close the connections. A request that another thread is sending, and any later one, is aborted."""
        self.client.close()

    def waiting(self, timeout_seconds: float) -> Self:
        """Return this transport for a server that may take longer, if that is longer than requests may take anyway."""
        return replace(self, timeout_seconds=max(self.timeout_seconds, timeout_seconds))

    def redactor(self, *secrets: Secret) -> Redactor:
        """Return what makes text fit to be shown that the answer to a request with these secrets brings."""
        return Redactor(*secrets, *self.secrets)

    def send(
        self,
        method: str,
        url: httpx.URL | str,
        *,
        headers: Mapping[str, str],
        max_bytes: int,
        redactor: Redactor,
        content: bytes | None = None,
    ) -> HttpReply:
        """Send one request and return the response, even a redirect; raises PollError, PollAborted once closed."""
        sent = self.client.stream(method, url, headers=headers, content=content, timeout=self.timeout_seconds)
        return self._exchange(sent, url, redactor, lambda response: b"".join(_limited(response, max_bytes)))

    def download(
        self, url: httpx.URL, *, max_bytes: int, redactor: Redactor, take: Callable[[Iterator[bytes]], None]
    ) -> HttpReply:
        """Let `take` have the body of a success as it arrives, decompressed, in pieces; the response is without it.

        Raises PollError, also what `take` raises, and PollAborted once closed.
        """

        def read(response: httpx.Response) -> bytes:
            take(_limited(response, max_bytes))
            return b""

        return self._exchange(self.client.stream("GET", url, timeout=self.timeout_seconds), url, redactor, read)

    def _exchange(
        self,
        sent: AbstractContextManager[httpx.Response],
        url: httpx.URL | str,
        redactor: Redactor,
        read: Callable[[httpx.Response], bytes],
    ) -> HttpReply:
        start_request(self.timeout_seconds)
        response: httpx.Response | None = None
        try:
            with sent as response:
                self.server_clock.note(response.headers, self.clock.time())
                is_success = response.status_code == HTTPStatus.OK
                return HttpReply(
                    status=response.status_code,
                    headers=response.headers,
                    body=read(response) if is_success else self._beginning(response),
                    received_at=self.clock.time(),
                    redactor=redactor,
                    reason_phrase=response.reason_phrase,
                )
        except (*_REQUEST_ERRORS, RuntimeError, ValueError) as error:
            if self.client.is_closed:  # closed by another thread, it may raise any of these
                raise PollAborted from error
            if isinstance(error, _REQUEST_ERRORS):
                raise self._error_for(error, url, redactor, responding=response is not None) from error
            raise

    def _beginning(self, response: httpx.Response) -> bytes:
        """Return the first bytes of an error response, up to where it can't be read any further.

        Its status and headers stay what they are: Retry-After holds whatever follows. Raises PollAborted once closed.
        """
        body = bytearray()
        with suppress(httpx.HTTPError, httpx.StreamError, PollError):
            for piece in _pieces(response):
                body += piece
                if len(body) >= _MAX_ERROR_BYTES:
                    break
        if self.client.is_closed:
            raise PollAborted
        return bytes(body[:_MAX_ERROR_BYTES])

    def _error_for(self, error: Exception, url: httpx.URL | str, redactor: Redactor, *, responding: bool) -> PollError:
        """Return our error for any exception that httpx documents; its text quotes the server and the proxy."""
        if failed := explained(error, redactor, timeout_seconds=self.timeout_seconds):
            return failed
        text = redactor.quote(str(error) or type(error).__name__)
        host = _host_of(url, redactor)
        if isinstance(error, httpx.TimeoutException):
            return UpstreamTimeout(
                line("no complete response from {} within {:g} s", host, self.timeout_seconds),
                remedy=line("check the network and any proxy in between; poll.timeout sets the limit"),
            )
        if responding and isinstance(error, httpx.RemoteProtocolError | httpx.ReadError):
            return TruncatedBody(
                line("{} closed the connection in the middle of the response: {}", host, text),
                remedy=line("{}; if it persists, check any proxy in between", RETRIED),
            )
        if isinstance(error, httpx.ProxyError):
            # Its status is shown even where its own words are withheld.
            status, _, phrase = str(error).partition(" ")
            remedy = _PROXY_PASSWORD if status == "407" else line("check http.proxy_url")
            if status.isascii() and status.isdigit():
                text = line("{} {}", int(status[:3]), redactor.quote(phrase))
            return NetworkError(line("the proxy refused the connection: {}", text), remedy=remedy)
        return NetworkError(
            line("no response from {}: {}", host, text), remedy=line("{}; if it persists, {}", RETRIED, _IN_BETWEEN)
        )


def _host_of(url: httpx.URL | str, redactor: Redactor) -> Line:
    with suppress(httpx.InvalidURL):
        return redactor.quote_host(httpx.URL(url).host)
    return line("an address that is no URL")


def _limited(response: httpx.Response, max_bytes: int) -> Iterator[bytes]:
    """Yield the body up to the limit; raises PayloadError for more."""
    left = max_bytes
    for piece in _pieces(response):
        left -= len(piece)
        if left < 0:
            raise PayloadError(
                line("the response is larger than {:,} bytes", max_bytes),
                remedy=line("check which server answers at this address: licence data is far smaller"),
            )
        yield piece


def _pieces(response: httpx.Response) -> Iterator[bytes]:
    return decoded(response.iter_raw(), response.headers.get("Content-Encoding", ""))


def origin(url: httpx.URL | str) -> tuple[str, str, str, int | None]:
    """Return scheme, host as it is read and as it is sent, and port: URLs that differ in one lead elsewhere.

    Raises ValueError for a URL that the client can't use, such as one whose host can't be read back from Punycode.
    """
    try:
        parts = httpx.URL(url)
    except httpx.InvalidURL as error:
        raise ValueError from error
    port = {"https": 443, "http": 80}.get(parts.scheme) if parts.port is None else parts.port
    return (parts.scheme, parts.host, parts.raw_host.decode("ascii").lower(), port)
