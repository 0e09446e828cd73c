"""Why no connection came about: whose host it was, at which addresses, and what to do about it.

httpx says neither the host nor the address, and of a proxy not even that it was the proxy.
"""

import socket
import ssl
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, assert_never

import httpcore

from exporter.errors import NOTHING, NetworkError, PollError, UpstreamTimeout
from exporter.messages import Line, joined, line
from exporter.redaction import Redactor
from exporter.upstream.trust import remedy_for

_MAX_SHOWN = 6
_LIMIT = line("poll.timeout sets the limit")
_OUR_NAME = line("check its spelling in `authority` or `api_url`, and this machine's DNS")
_OUR_PROXY_NAME = line("check its spelling in http.proxy_url, HTTPS_PROXY or ALL_PROXY, and this machine's DNS")
_OUR_SERVER = line("check the firewall, and host and port in `authority` or `api_url`")
_OUR_PROXY = line("check that the proxy runs, and its host and port in http.proxy_url, HTTPS_PROXY or ALL_PROXY")
_VIA_PROXY = line("where only a proxy leads out, set http.proxy_url")
_PROXY_NAME = line("write a host name that the certificate is for in http.proxy_url, HTTPS_PROXY or ALL_PROXY")
_ANOTHER_HOST = (62, 64)  # X509_V_ERR_… of openssl/x509_vfy.h
_NO_TLS = line("check which server answers at this address and port, and any firewall in between: TLS comes to nothing")
_NO_PROXY_TLS = line("check whether the proxy speaks TLS on this port: if not, write http:// in http.proxy_url")


@dataclass(frozen=True, slots=True)
class Peer:
    """The host that a connection is made to. Of a proxy, `speaks_tls` says that its own TLS comes first."""

    host: str
    port: int
    is_proxy: bool = False
    speaks_tls: bool = False


@dataclass(frozen=True, slots=True)
class Unresolved:
    """The host's name leads to no address."""

    peer: Peer
    error: BaseException


@dataclass(frozen=True, slots=True)
class Unconnected:
    """No address accepted a connection. `tried` are the addresses; those without an error did not answer in time."""

    peer: Peer
    error: BaseException
    tried: Sequence[tuple[Any, OSError | None]]


@dataclass(frozen=True, slots=True)
class TlsFailed:
    """TLS came to nothing with `host`, connected to `place`; `sent` is the Certificate message, if one came."""

    peer: Peer
    error: BaseException
    host: str
    place: Any
    sent: bytes = field(repr=False)


Failure = Unresolved | Unconnected | TlsFailed


def for_httpx(failure: Failure) -> httpcore.ConnectTimeout | httpcore.ConnectError:
    """Return what httpx expects, with the failure as its argument: httpcore cuts off what led to an error."""
    is_late = isinstance(failure.error, TimeoutError)
    return httpcore.ConnectTimeout(failure) if is_late else httpcore.ConnectError(failure)


def explained(error: BaseException, redactor: Redactor, *, timeout_seconds: float) -> PollError | None:
    """Return what to tell people about a connection that did not come about, None for any other error."""
    failure = _failure_of(error)
    if failure is None:
        return None
    message, remedy = _said(failure, redactor)
    if not isinstance(failure.error, TimeoutError):
        return NetworkError(message, remedy=remedy)
    message = line("{} within {:g} s", message, timeout_seconds)
    return UpstreamTimeout(message, remedy=line("{}; {}", remedy, _LIMIT))


def _failure_of(error: BaseException | None) -> Failure | None:
    while error is not None:
        for argument in error.args:
            if isinstance(argument, Failure):
                return argument
        error = error.__cause__
    return None


def _said(failure: Failure, redactor: Redactor) -> tuple[Line, Line]:
    match failure:
        case Unresolved():
            return _unresolved(failure, redactor)
        case Unconnected():
            return _unconnected(failure, redactor)
        case TlsFailed():
            return _tls_failed(failure, redactor)
        case _:
            assert_never(failure)


def _unresolved(failure: Unresolved, redactor: Redactor) -> tuple[Line, Line]:
    peer = failure.peer
    host = redactor.quote_host(peer.host)
    remedy = _OUR_PROXY_NAME if peer.is_proxy else line("{}; {}", _OUR_NAME, _VIA_PROXY)
    if isinstance(failure.error, TimeoutError):
        return line("DNS gave no answer for {} host name {}", _whose(peer), host), remedy
    if isinstance(failure.error, socket.gaierror) and failure.error.errno == socket.EAI_AGAIN:
        remedy = line("check the name servers in /etc/resolv.conf, and whether they answer; {}", remedy)
    # The codec that finds a name impossible quotes it.
    why = line("it is not a host name") if isinstance(failure.error, UnicodeError) else _words(failure.error, redactor)
    return line("can't resolve {} host name {}: {}", _whose(peer), host, why), remedy


def _unconnected(failure: Unconnected, redactor: Redactor) -> tuple[Line, Line]:
    peer = failure.peer
    where = line("{} {} port {}", _who(peer), redactor.quote_host(peer.host), peer.port)
    remedy = _OUR_PROXY if peer.is_proxy else line("{}; {}", _OUR_SERVER, _VIA_PROXY)
    words = {_address(place): _words(error, redactor) if error else NOTHING for place, error in failure.tried}
    shown = joined(list(words)[:_MAX_SHOWN], ", ") or line("no address")
    if isinstance(failure.error, TimeoutError):
        return line("no connection to {} ({})", where, shown), remedy
    if len(set(words.values())) > 1:
        shown = joined([line("{}: {}", at, why) for at, why in words.items()][:_MAX_SHOWN], ", ")
        return line("can't connect to {} ({})", where, shown), remedy
    return line("can't connect to {} ({}): {}", where, shown, _words(failure.error, redactor)), remedy


def _tls_failed(failure: TlsFailed, redactor: Redactor) -> tuple[Line, Line]:
    peer, error = failure.peer, failure.error
    at = line("{} port {}", _address(failure.place), peer.port)
    if peer.is_proxy and not peer.speaks_tls:
        at = line("through the proxy {}, {}", redactor.quote_host(peer.host), at)
    where = line("{} ({})", redactor.quote_host(failure.host), at)
    whose = _whose(peer if peer.speaks_tls else None)
    if isinstance(error, ssl.SSLCertVerificationError):
        # It takes long to import, and is hardly ever needed.
        from exporter.upstream.certificates import detail_of  # noqa: PLC0415

        why = line("{}{}", redactor.quote(error.verify_message), detail_of(failure.sent, error.verify_code, redactor))
        remedy = _PROXY_NAME if peer.speaks_tls and error.verify_code in _ANOTHER_HOST else remedy_for(error)
        return line("{} certificate is not trusted: {}: {}", whose, where, why), remedy
    remedy = _NO_PROXY_TLS if peer.speaks_tls else _NO_TLS
    if isinstance(error, TimeoutError):
        return line("no TLS handshake with {}", where), remedy
    return line("TLS with {} failed: {}", where, _words(error, redactor)), remedy


def _whose(peer: Peer | None) -> Line:
    return line("the proxy's") if peer and peer.is_proxy else line("the server's")


def _who(peer: Peer) -> Line:
    return line("the proxy") if peer.is_proxy else line("the server")


def _address(place: Any) -> Line:
    """Return an address without its port: the system's own, and no text from outside."""
    return Redactor().quote_host(str(place[0])) if isinstance(place, tuple) else line("an unknown address")


def _words(error: BaseException, redactor: Redactor) -> Line:
    if isinstance(error, OSError) and not isinstance(error, ssl.SSLError):
        return line("{}", error)
    return redactor.quote(str(error) or type(error).__name__)
