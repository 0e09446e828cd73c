"""The proxy that httpx will use, checked before it does: its own errors quote the URL, which may contain a password."""

import ipaddress
import os
import re
from urllib.request import getproxies_environment

import httpx

from exporter.errors import ConfigurationError, Problem

_FIX = "use http://host:port or http://user:password@host:port, with %XX for special characters in the password"
_NO_PROXY_FIX = "use host names, domains and IP addresses separated by commas, without brackets; no IPv6 network"
_MAX_PORT = 65_535
_HOST = re.compile(r"[A-Za-z0-9._-]+")


def check_proxies(configured: str | None) -> None:
    """Raise ConfigurationError, without the value, unless httpx can use http.proxy_url or, without it, the environment.

    The variables are those of python-httpx.org/environment_variables: HTTP_PROXY, HTTPS_PROXY, ALL_PROXY, NO_PROXY.
    """
    if configured is not None:
        if not is_usable(configured):
            raise ConfigurationError("configuration", (Problem(0, "http.proxy_url", _FIX),))
        return
    proxies = getproxies_environment()
    excepted = [entry.strip() for entry in proxies.get("no", "").split(",")]
    if "*" in excepted:  # httpx ignores the others then
        return
    wrong = [_variable(kind) for kind in ("http", "https", "all") if kind in proxies and not is_usable(proxies[kind])]
    problems = [Problem(0, name, _FIX) for name in wrong]
    if not all(_is_pattern(entry) for entry in excepted if entry):
        problems.append(Problem(0, _variable("no"), _NO_PROXY_FIX))
    if problems:
        raise ConfigurationError("environment", tuple(problems))


def is_usable(proxy: str) -> bool:
    """Return whether httpx can use a proxy's URL, and a resolver its host."""
    try:
        url = httpx.URL(proxy if "://" in proxy else f"http://{proxy}")
    except (httpx.InvalidURL, ValueError):
        return False
    # Anything behind the port is the rest of a password that contains a slash, a question mark or a hash.
    bare = url.path in ("", "/") and not url.query and not url.fragment
    numbered = url.port is None or 0 < url.port <= _MAX_PORT
    return url.scheme in ("http", "https") and _is_host(url.raw_host.decode("ascii")) and numbered and bare


def _is_host(name: str) -> bool:
    try:
        return bool(ipaddress.ip_address(name) if ":" in name else _HOST.fullmatch(name) and name.encode("idna"))
    except ValueError:  # a UnicodeError too, which the resolver's codec raises
        return False


def _is_pattern(host: str) -> bool:
    """Return whether httpx can read an entry of NO_PROXY, which it makes a URL of."""
    try:
        httpx.URL(host if "://" in host else f"all://{_as_url_host(host)}")
    except (httpx.InvalidURL, ValueError):
        return False
    return True


def _as_url_host(host: str) -> str:
    try:
        version = ipaddress.ip_address(host.partition("/")[0]).version
    except ValueError:
        return f"*{host}"
    return f"[{host}]" if version == 6 else host  # noqa: PLR2004  IPv6


def _variable(kind: str) -> str:
    """Return the variable's name as it is set; urllib prefers the lower-case one, then the last."""
    name = f"{kind}_proxy"
    return name if os.environ.get(name) else [other for other in os.environ if other.lower() == name][-1]
