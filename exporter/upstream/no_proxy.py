"""The entries of NO_PROXY: the hosts that are reached without a proxy.

Every program reads them differently. Here an entry is a host name, which stands for its subdomains too, a domain
(`.example.com`, `*.example.com`), an IP address or network, IPv6 with brackets or without, each with a port or without.
"""

import re
from contextlib import suppress
from dataclasses import KW_ONLY, dataclass
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network

import httpx

Network = IPv4Network | IPv6Network

_SCHEMES = ("", "all", "http", "https")
_DEFAULT_PORTS = {"http": 80, "https": 443}
_MAX_PORT = 65_535
_PLACE = re.compile(r"(\[[^\[\]]+\](?:/[0-9]+)?|[^:\[\]]+)(?::([0-9]{1,5}))?")
_NAME = re.compile(r"(?:\*?\.)?\w[\w.-]*")


@dataclass(frozen=True, slots=True)
class Exemption:
    """One entry. A name is in ASCII and lower case; with a dot before it, only its subdomains are meant."""

    host: str | Network
    _: KW_ONLY
    scheme: str = ""
    port: int | None = None

    def covers(self, url: httpx.URL) -> bool:
        """Return whether a request goes there. Names are not resolved: a network covers URLs with an address."""
        if self.scheme not in ("", "all", url.scheme):
            return False
        if self.port not in (None, url.port or _DEFAULT_PORTS.get(url.scheme)):
            return False
        host = url.raw_host.decode("ascii").lower().removesuffix(".")
        if isinstance(self.host, str):
            return host == self.host or host.endswith(self.host if self.host.startswith(".") else f".{self.host}")
        with suppress(ValueError):
            return ip_address(host.strip("[]")) in self.host
        return False


def read_entry(entry: str) -> Exemption:
    """Return what an entry means; raises ValueError."""
    scheme, _, place = entry.rpartition("://")
    scheme = scheme.lower()
    if scheme not in _SCHEMES:
        raise ValueError("unknown scheme")
    place = place.removesuffix("/")
    with suppress(ValueError):  # an IPv6 address has colons of its own
        return Exemption(ip_network(place, strict=False), scheme=scheme)
    parts = _PLACE.fullmatch(place)
    if parts is None:
        raise ValueError("neither a host nor a network")
    host, port = parts[1], int(parts[2]) if parts[2] else None
    if port is not None and not 0 < port <= _MAX_PORT:
        raise ValueError("impossible port")
    return Exemption(_host(host), scheme=scheme, port=port)


def _host(text: str) -> str | Network:
    """Return a name or a network; raises ValueError."""
    bare = text.replace("[", "").replace("]", "")
    with suppress(ValueError):
        return ip_network(bare, strict=False)
    name = text.removesuffix(".")
    if not _NAME.fullmatch(name) or name.rpartition(".")[2].isdigit():  # no name's last label is a number
        raise ValueError("not a host name")
    try:
        ascii_name = httpx.URL(f"http://{name.removeprefix('*').removeprefix('.')}").raw_host.decode("ascii").lower()
    except httpx.InvalidURL as error:
        raise ValueError("not a host name") from error
    return f".{ascii_name}" if name[0] in "*." else ascii_name
