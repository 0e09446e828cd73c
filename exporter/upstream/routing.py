"""The connections of all requests: direct ones and those through each proxy, with the deadline, trust and no limit."""

import base64
import ssl
from collections.abc import Iterator

import httpcore
import httpx

from exporter.redaction import Secret
from exporter.upstream.connecting import Resolver, UselessAddresses
from exporter.upstream.deadline import Backend, TlsSocket, note_certificate
from exporter.upstream.proxies import Proxies, with_scheme

# httpx reads these by itself, even where it is told to follow no redirect and to keep no cookie: it raises whatever
# the URL makes it raise, and the standard library prints a traceback for a date that it can't read.
_UNREAD = ("Location", "Set-Cookie", "Set-Cookie2")
# A limit would be common to all partners: those whose requests hang would take the connections of the others.
_UNLIMITED = httpx.Limits(max_connections=None, max_keepalive_connections=None, keepalive_expiry=5.0)


class Routes(httpx.BaseTransport):
    """Sends each request directly or through its proxy. `context` is for servers and for proxies with TLS.

    `secrets` are what the proxies are sent as credentials.
    """

    def __init__(self, proxies: Proxies, context: ssl.SSLContext, resolver: Resolver) -> None:
        context.sslsocket_class = TlsSocket
        self._proxies = proxies
        # For what people are told of a certificate that is refused, of which ssl passes on nothing.
        context._msg_callback = note_certificate  # type: ignore[attr-defined]  # noqa: SLF001
        useless = UselessAddresses()
        direct = httpx.HTTPTransport(verify=context, limits=_UNLIMITED)
        self._direct = _bound(direct, Backend(resolver, useless))
        self._proxied: dict[str, httpx.HTTPTransport] = {}
        for url in set(proxies.urls.values()):
            proxy = _proxy(url, context)
            proxied = httpx.HTTPTransport(verify=context, limits=_UNLIMITED, proxy=proxy)
            backend = Backend(resolver, useless, proxy_speaks_tls=proxy.url.scheme == "https")
            self._proxied[url] = _bound(proxied, backend)
        self.secrets = tuple(secret for transport in self._proxied.values() for secret in _credentials(transport))

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        """Send a request its way, and return the response without what nobody here uses."""
        proxy = self._proxies.proxy_for(request.url)
        transport = self._direct if proxy is None else self._proxied[proxy]
        response = transport.handle_request(request)
        for name in _UNREAD:
            response.headers.pop(name, None)
        return response

    def close(self) -> None:
        """Close all connections."""
        for transport in (self._direct, *self._proxied.values()):
            transport.close()


def _bound(transport: httpx.HTTPTransport, backend: Backend) -> httpx.HTTPTransport:
    """Let its connections obey the deadline; httpx has no way to pass that in."""
    transport._pool._network_backend = backend  # noqa: SLF001
    return transport


def _proxy(url: str, context: ssl.SSLContext) -> httpx.Proxy:
    proxy = httpx.Proxy(with_scheme(url))
    return httpx.Proxy(with_scheme(url), ssl_context=context) if proxy.url.scheme == "https" else proxy


def _credentials(transport: httpx.HTTPTransport) -> Iterator[Secret]:
    """Yield the password of a proxy, and the header that it is sent in; httpx has no way to read them."""
    pool = transport._pool  # noqa: SLF001
    if not isinstance(pool, httpcore.HTTPProxy):
        return
    for name, value in pool._proxy_headers:  # noqa: SLF001
        if name.lower() == b"proxy-authorization":
            _, _, encoded = value.partition(b" ")
            yield Secret(encoded.decode("ascii"))
            yield Secret(base64.b64decode(encoded).partition(b":")[2].decode("utf-8", "replace"))
