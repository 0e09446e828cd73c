"""One request over httpx with a deadline and a size limit; every failure comes out as one of our errors.

httpx has no time-out for a whole answer and no limit to its size: a body dripped slowly, or one that
expands without end, would hold a poll for ever.
"""

import ssl
import threading
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import httpx

from exporter import __version__
from exporter.clock import Clock
from exporter.errors import NetworkError, PayloadError, PollError, TruncatedBody, UpstreamTimeout
from exporter.files import Signature, signature

USER_AGENT = f"partnercenter-exporter/{__version__}"


@dataclass(frozen=True, slots=True)
class HttpReply:
    """A complete answer; header names in any case, the body decoded, `received_at` in Unix seconds."""

    status: int
    headers: Mapping[str, str]
    body: bytes
    received_at: float
    reason_phrase: str = ""


_this_thread = threading.local()


class _DeadlineSocket(ssl.SSLSocket):
    """Ends the reading of a head that is dripped: httpx's own time-out begins anew with every byte.

    Two things don't come over it: a proxy's own answer to CONNECT, which is read before TLS begins, and all
    that comes through an https:// proxy, as TLS within TLS is no socket. A head dripped there holds a poll
    until /-/healthy finds its thread stuck and says so.
    """

    def recv(self, buflen: int = 1024, flags: int = 0) -> bytes:
        """Read as usual; raises TimeoutError once the request of this thread is over."""
        if time.monotonic() > _this_thread.request_ends_at:
            raise TimeoutError
        return super().recv(buflen, flags)


class HttpTransport:
    """Sends requests through one shared connection pool. Safe to use from several threads."""

    def __init__(self, client: httpx.Client, *, clock: Clock, timeout_seconds: float) -> None:
        self._client = client
        self._clock = clock
        self._timeout_seconds = timeout_seconds

    def send(
        self,
        method: str,
        url: str,
        *,
        headers: Mapping[str, str],
        max_bytes: int,
        content: bytes | None = None,
    ) -> HttpReply:
        """Send one request and read its whole answer; redirects are not followed.

        Raises NetworkError, UpstreamTimeout, TruncatedBody or PayloadError (too large, or a content
        encoding that can't be undone).
        """
        deadline = self._clock.monotonic() + self._timeout_seconds
        _this_thread.request_ends_at = time.monotonic() + self._timeout_seconds
        response: httpx.Response | None = None
        try:
            with self._client.stream(method, url, headers=headers, content=content) as response:
                body = self._read(response, deadline, max_bytes)
                return HttpReply(
                    response.status_code,
                    response.headers,
                    body,
                    received_at=self._clock.time(),
                    reason_phrase=response.reason_phrase,
                )
        # UnicodeError: a host that no name can be, as `api..example`; the resolver's codec lets it out.
        except (httpx.HTTPError, httpx.InvalidURL, httpx.StreamError, UnicodeError) as error:
            raise self._translate(error, answered=response is not None) from error

    def _read(self, response: httpx.Response, deadline: float, max_bytes: int) -> bytes:
        chunks: list[bytes] = []
        size = 0
        for chunk in response.iter_bytes():
            size += len(chunk)
            if size > max_bytes:
                raise PayloadError(
                    f"the answer is larger than {max_bytes:,} bytes",
                    remedy="look at what answers at this address: licence data is far smaller",
                )
            if self._clock.monotonic() > deadline:
                raise self._too_slow()
            chunks.append(chunk)
        return b"".join(chunks)

    def _too_slow(self) -> UpstreamTimeout:
        return UpstreamTimeout(
            f"no complete answer within {self._timeout_seconds:g} s",
            remedy="look at the network and a proxy in between; poll.timeout sets the limit",
        )

    def _translate(self, error: Exception, *, answered: bool) -> PollError:
        """Map every exception that httpx documents to one of ours."""
        words = str(error) or type(error).__name__
        if isinstance(error, httpx.TimeoutException):
            return self._too_slow()
        if isinstance(error, httpx.DecodingError):
            return PayloadError(
                f"the answer's content encoding can't be undone: {words}",
                remedy="look at what answers at this address",
            )
        if answered and isinstance(error, httpx.RemoteProtocolError | httpx.ReadError):
            return TruncatedBody(
                f"the connection ended in the middle of the answer: {words}",
                remedy="nothing to do: it is tried again; where it lasts, look at a proxy in between",
            )
        if isinstance(error, httpx.ProxyError):
            return NetworkError(f"the proxy refuses: {words}", remedy="look at http.proxy_url")
        if "CERTIFICATE_VERIFY_FAILED" in words:
            return NetworkError(
                f"the server's certificate is not trusted: {words}", remedy=_certificate_remedy(words)
            )
        return NetworkError(words, remedy="look at name resolution, the network and http.proxy_url")


def _certificate_remedy(words: str) -> str:
    """Return what mends a certificate that OpenSSL refuses with these words."""
    if "has expired" in words or "not yet valid" in words:
        return "look at this machine's clock, and at who answers: its certificate is not valid now"
    if "mismatch" in words:
        return "look at who answers at this address: its certificate is for another host name"
    return "add the authority that issued it with http.ca_file"


def open_client(
    *, timeout_seconds: float, ca_file: Path | None = None, proxy_url: str | None = None
) -> httpx.Client:
    """Return the shared HTTP client: the system's authorities plus `ca_file`, proxies as configured.

    Raises OSError or ssl.SSLError when `ca_file` can't be read.
    """
    # httpx would trust certifi's list; operators expect the system's, where their own authority is.
    context = ssl.create_default_context()
    context.sslsocket_class = _DeadlineSocket
    hooks = [] if ca_file is None else [_Trust(context, ca_file).refresh]
    return httpx.Client(
        verify=context,
        proxy=proxy_url,
        timeout=timeout_seconds,
        follow_redirects=False,
        event_hooks={"request": hooks},
        headers={"User-Agent": USER_AGENT, "Accept-Encoding": "gzip, deflate"},
    )


class _Trust:
    """The operator's own authorities, taken up anew when the file changes.

    OpenSSL can add authorities to a context in use but remove none: a withdrawn one counts until a restart.
    """

    def __init__(self, context: ssl.SSLContext, file: Path) -> None:
        self._context = context
        self._file = file
        self._loaded: Signature = ()
        self._load()

    def refresh(self, _request: httpx.Request) -> None:
        """Load the file where it has changed; one that can't be read now changes nothing."""
        with suppress(OSError, ssl.SSLError):
            self._load()

    def _load(self) -> None:
        found = signature(self._file)
        if found != self._loaded:
            self._context.load_verify_locations(cafile=self._file)
            self._loaded = found
