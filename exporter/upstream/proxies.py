"""Which proxy a request goes through: http.proxy_url, or without it those of the environment.

Read here and not by httpx, which raises for some values, quotes the URL, which may contain a password, and takes
networks in NO_PROXY for host names.
"""

import ipaddress
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.request import getproxies_environment

import httpx

from exporter.errors import NOTHING, ConfigurationError, Problem
from exporter.logs import get_logger
from exporter.messages import Line, joined, line
from exporter.redaction import Redactor
from exporter.upstream.no_proxy import Exemption, read_entry

_FIX = "use http://host:port or http://user:password@host:port, with %XX for special characters in the password"
_NO_SOCKS = "SOCKS proxies are not supported"
_NO_PROXY_FIX = line("use host names, domains, IP addresses and networks, separated by commas")
_MAX_PORT = 65_535
_MAX_SHOWN = 10
_HOST = re.compile(r"[A-Za-z0-9._-]+")
# What editors, shells and Kubernetes Secrets leave around a value.
_AROUND = "\ufeff \t\r\n"


@dataclass(frozen=True, slots=True)
class Proxies:
    """The proxies' URLs by the scheme of the request, and the hosts that are reached without one."""

    urls: Mapping[str, str]
    exemptions: tuple[Exemption, ...] = ()

    def proxy_for(self, url: httpx.URL) -> str | None:
        """Return the proxy's URL, None for a direct connection."""
        proxy = self.urls.get(url.scheme)
        return None if proxy is None or any(entry.covers(url) for entry in self.exemptions) else proxy


def chosen_proxies(configured: str | None) -> Proxies:
    """Return the proxies to use; raises ConfigurationError, without the value, for one that can't be used.

    http.proxy_url is for all requests: beside it, no variable counts, NO_PROXY neither.
    """
    if configured is None:
        return _of_environment(getproxies_environment())
    if not is_usable(configured):
        raise ConfigurationError("configuration", (Problem(0, "http.proxy_url", fix_for(configured)),))
    return Proxies(dict.fromkeys(("http", "https"), configured))


def _of_environment(variables: Mapping[str, str]) -> Proxies:
    """Read HTTP_PROXY, HTTPS_PROXY, ALL_PROXY and NO_PROXY, in lower case too."""
    variables = {kind: bare(value) for kind, value in variables.items() if bare(value)}
    entries = re.split(r"[,\s]+", variables.get("no", ""))
    if "*" in entries:
        return Proxies({})
    # All requests are https: ALL_PROXY is not for any if there is an HTTPS_PROXY.
    kinds = ("http", "https") if "https" in variables else ("http", "all")
    problems = [
        Problem(0, _variable(kind), fix_for(variables[kind]))
        for kind in kinds
        if kind in variables and not is_usable(variables[kind])
    ]
    if problems:
        raise ConfigurationError("environment", tuple(problems))
    for_the_rest = "" if "https" in variables else variables.get("all", "")
    found = ((scheme, variables.get(scheme) or for_the_rest) for scheme in ("http", "https"))
    return Proxies({scheme: proxy for scheme, proxy in found if proxy}, _exemptions(entries))


def _exemptions(entries: list[str]) -> tuple[Exemption, ...]:
    """Return what the entries of NO_PROXY mean, and warn once of those that mean nothing."""
    understood: list[Exemption] = []
    wrong: list[Line] = []
    # Part of a password may have become an entry of its own.
    secret = any("@" in entry for entry in entries)
    for number, entry in enumerate(entries, 1):
        try:
            understood += [read_entry(entry)] if entry else []
        except ValueError:
            shown = NOTHING if secret else Redactor().quote(entry)
            wrong.append(shown or line("entry {}", number))
    if wrong:
        get_logger().warning(
            "wrong entries ignored",
            variable=Redactor().quote(_variable("no")),
            entries=joined(wrong[:_MAX_SHOWN], ", "),
            count=len(wrong),
            remedy=_NO_PROXY_FIX,
        )
    return tuple(understood)


def bare(value: str) -> str:
    """Return a value without the byte-order mark, blanks and line ends around it."""
    return value.strip(_AROUND)


def is_usable(proxy: str) -> bool:
    """Return whether httpx can use a proxy's URL, and a resolver its host."""
    try:
        url = httpx.URL(with_scheme(proxy))
    except (httpx.InvalidURL, ValueError):
        return False
    # Anything behind the port is the rest of a password that contains a slash, a question mark or a hash.
    bare = url.path in ("", "/") and not url.query and not url.fragment
    numbered = url.port is None or 0 < url.port <= _MAX_PORT
    return url.scheme in ("http", "https") and _is_host(url.raw_host.decode("ascii")) and numbered and bare


def fix_for(proxy: str, fix: str = _FIX) -> str:
    """Return how to mend a proxy's URL that can't be used."""
    return f"{fix}; {_NO_SOCKS}" if proxy.lower().startswith("socks") else fix


def with_scheme(proxy: str) -> str:
    """Return a proxy's URL with the scheme that may be left out."""
    return proxy if "://" in proxy else f"http://{proxy}"


def _is_host(name: str) -> bool:
    try:
        return bool(ipaddress.ip_address(name) if ":" in name else _HOST.fullmatch(name) and name.encode("idna"))
    except ValueError:  # a UnicodeError too, which the resolver's codec raises
        return False


def _variable(kind: str) -> str:
    """Return the variable's name as it is set; urllib prefers the lower-case one, then the last."""
    name = f"{kind}_proxy"
    return name if os.environ.get(name) else [other for other in os.environ if other.lower() == name][-1]
