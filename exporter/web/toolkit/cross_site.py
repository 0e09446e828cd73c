"""Requests that a browser sends because a page of another site told it to (cross-site request forgery).

The browser adds the passwords and client certificates that it has for this server. It also says where the request
comes from, in two headers that a page can't set: https://www.w3.org/TR/fetch-metadata/ and
https://www.rfc-editor.org/rfc/rfc6454#section-7. Other clients send neither.
"""

from urllib.parse import urlsplit

from starlette.datastructures import Headers

# This server's own page, or the user: the address bar, a bookmark.
_OWN = ("same-origin", "none")
_DEFAULT_PORTS = {"http": 80, "https": 443}


def is_cross_site(headers: Headers) -> bool:
    """Return whether a browser says that the request comes from a page of another origin."""
    by_site = any(site.strip().lower() not in _OWN for site in headers.getlist("sec-fetch-site"))
    return by_site or any(not _is_own(origin, headers.get("host", "")) for origin in headers.getlist("origin"))


def _is_own(origin: str, host: str) -> bool:
    """Return whether the origin is at the host that the request names; "null" and what is no origin is not.

    Only host and port are compared: behind a proxy, the browser's scheme may be another.
    """
    scheme, _, authority = origin.strip().partition("://")
    port = _DEFAULT_PORTS.get(scheme.lower())
    return port is not None and _address(authority, port) == _address(host, port) is not None


def _address(authority: str, default_port: int) -> tuple[str, int] | None:
    """Return host and port; None if there is none, or more than that."""
    try:
        parts = urlsplit(f"//{authority}")
        port = default_port if parts.port is None else parts.port
    except ValueError:
        return None
    if not parts.hostname or "@" in parts.netloc or parts.netloc != authority:
        return None
    return parts.hostname, port
