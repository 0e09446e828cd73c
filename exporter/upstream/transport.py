"""One request over httpx with a deadline and a size limit; every failure becomes one of our errors.

httpx limits neither the time nor the size of a whole response: one sent byte by byte, or one that
decompresses without end, would hold up a poll forever.
"""

import json
import math
import re
import ssl
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import KW_ONLY, dataclass
from pathlib import Path
from typing import Any, Self
from urllib.parse import urlsplit

import httpx

from exporter import __version__
from exporter.clock import Clock
from exporter.errors import RETRIED, NetworkError, PayloadError, PollAborted, PollError, TruncatedBody, UpstreamTimeout
from exporter.files import signature
from exporter.upstream.proxies import check_proxies

USER_AGENT = f"partnercenter-exporter/{__version__}"


@dataclass(frozen=True, slots=True)
class HttpReply:
    """A complete response; header names in any case, the body decompressed, `received_at` in Unix seconds."""

    status: int
    headers: Mapping[str, str]
    body: bytes
    received_at: float
    reason_phrase: str = ""

    def json_object(self) -> dict[str, Any] | None:
        """Return the body as a JSON object, None if it isn't one; a byte-order mark is skipped."""
        try:
            value = json.loads(self.body.decode("utf-8-sig"))
        except (ValueError, RecursionError):
            return None
        return value if isinstance(value, dict) else None


# What httpx raises for a failed request. UnicodeError: the resolver's codec raises it for a host that can't
# be a name, such as `api..example`.
_REQUEST_ERRORS = (httpx.HTTPError, httpx.InvalidURL, httpx.StreamError, UnicodeError)
# What OpenSSL says of a certificate that it refuses, and the fix; the first that fits counts.
_CERTIFICATE_REMEDIES = {
    "expired|not yet valid": "check this machine's clock and which server answers: its certificate is not valid now",
    "mismatch": "check which server answers at this address: its certificate is for another host name",
    "": "add the CA that issued it to http.ca_file",
}

_this_thread = threading.local()


@dataclass(frozen=True, eq=False)
class HttpTransport:
    """Sends requests through one connection pool, which it owns. Safe to use from several threads."""

    client: httpx.Client
    _: KW_ONLY
    clock: Clock
    timeout_seconds: float

    @classmethod
    def open(
        cls, *, clock: Clock, timeout_seconds: float, ca_file: Path | None = None, proxy_url: str | None = None
    ) -> Self:
        """Return a transport that trusts the system's CAs and `ca_file`; raises OSError if it can't be read.

        Raises ConfigurationError for a proxy that can't be used.
        """
        check_proxies(proxy_url)
        # httpx would trust certifi's list; operators expect the system's, which holds their own CA.
        context = ssl.create_default_context()
        context.sslsocket_class = _DeadlineSocket
        hooks = [_load_authorities(context, ca_file)] if ca_file else []
        client = httpx.Client(
            verify=context,
            proxy=proxy_url,
            timeout=timeout_seconds,
            follow_redirects=False,
            event_hooks={"request": hooks},
            headers={"User-Agent": USER_AGENT, "Accept-Encoding": "gzip, deflate"},
        )
        return cls(client, clock=clock, timeout_seconds=timeout_seconds)

    def close(self) -> None:
        """Close the connections. A request that another thread is sending, and any later one, is aborted."""
        self.client.close()

    def send(
        self, method: str, url: str, *, headers: Mapping[str, str], max_bytes: int, content: bytes | None = None
    ) -> HttpReply:
        """Send one request and return the response, even a redirect; raises PollError, PollAborted once closed."""
        deadline = self.clock.monotonic() + self.timeout_seconds
        _this_thread.request_ends_at = time.monotonic() + self.timeout_seconds
        response: httpx.Response | None = None
        try:
            with self.client.stream(method, url, headers=headers, content=content) as response:
                body = self._read(response, deadline, max_bytes)
                return HttpReply(
                    response.status_code, response.headers, body, self.clock.time(), response.reason_phrase
                )
        except (*_REQUEST_ERRORS, RuntimeError, ValueError) as error:
            if self.client.is_closed:  # closed by another thread, it may raise any of these
                raise PollAborted from error
            if isinstance(error, _REQUEST_ERRORS):
                raise self._error_for(error, responding=response is not None) from error
            raise

    def _read(self, response: httpx.Response, deadline: float, max_bytes: int) -> bytes:
        body = bytearray()
        for chunk in response.iter_bytes():
            body += chunk
            if len(body) > max_bytes:
                raise PayloadError(
                    f"the response is larger than {max_bytes:,} bytes",
                    remedy="check which server answers at this address: licence data is far smaller",
                )
            if self.clock.monotonic() > deadline:
                raise httpx.ReadTimeout("")
        return bytes(body)

    def _error_for(self, error: Exception, *, responding: bool) -> PollError:
        """Return our error for any exception that httpx documents."""
        text = str(error) or type(error).__name__
        if isinstance(error, httpx.TimeoutException):
            return UpstreamTimeout(
                f"no complete response within {self.timeout_seconds:g} s",
                remedy="check the network and any proxy in between; poll.timeout sets the limit",
            )
        if isinstance(error, httpx.DecodingError):
            return PayloadError(
                f"the response can't be decompressed: {text}", remedy="check which server answers at this address"
            )
        if responding and isinstance(error, httpx.RemoteProtocolError | httpx.ReadError):
            return TruncatedBody(
                f"the connection closed in the middle of the response: {text}",
                remedy=f"{RETRIED}; if it persists, check any proxy in between",
            )
        if isinstance(error, httpx.ProxyError):
            return NetworkError(f"the proxy refused the connection: {text}", remedy="check http.proxy_url")
        if "CERTIFICATE_VERIFY_FAILED" in text:
            found = (remedy for pattern, remedy in _CERTIFICATE_REMEDIES.items() if re.search(pattern, text))
            return NetworkError(f"the server's certificate is not trusted: {text}", remedy=next(found))
        return NetworkError(text, remedy="check name resolution, the network and http.proxy_url")


class _DeadlineSocket(ssl.SSLSocket):
    """Stops reading a response head that is sent byte by byte: httpx's own timeout restarts with every byte.

    Two things don't pass through it: a proxy's own response to CONNECT, which is read before TLS begins, and
    everything through an https:// proxy, as TLS within TLS is not a socket. A head sent byte by byte there
    holds up a poll until /-/healthy reports its thread as stuck.
    """

    def recv(self, buflen: int = 1024, flags: int = 0) -> bytes:
        """Read as usual; raises TimeoutError once the time for this thread's request is up."""
        if time.monotonic() > getattr(_this_thread, "request_ends_at", math.inf):
            raise TimeoutError
        return super().recv(buflen, flags)


def _load_authorities(context: ssl.SSLContext, file: Path) -> Callable[[httpx.Request], None]:
    """Trust the operator's own CAs, and return a hook that loads them again when the file changes.

    A file that can't be read by then changes nothing. OpenSSL can add CAs to a context in use but not
    remove them: a withdrawn one stays trusted until a restart.
    """
    loaded = signature(file)
    context.load_verify_locations(cafile=file)

    def reload(_request: httpx.Request) -> None:
        nonlocal loaded
        found = signature(file)
        if found != loaded:
            with suppress(OSError, ssl.SSLError):
                context.load_verify_locations(cafile=file)
                loaded = found

    return reload


def origin(url: str) -> tuple[str, str, int | None]:
    """Return scheme, host and port: two URLs that differ in one of them lead elsewhere. Raises ValueError."""
    parts = urlsplit(url)
    default = {"https": 443, "http": 80}.get(parts.scheme)
    return (parts.scheme, parts.hostname or "", parts.port or default)
