"""Listen addresses as Prometheus writes them."""

from exporter.errors import ConfigurationError, Problem

_HIGHEST_PORT = 65_535
_MOST_DIGITS = 5


def split_address(address: str) -> tuple[str, int]:
    """Return host and port of `host:port`, `:port` or `[v6]:port`; raises ConfigurationError."""
    host, colon, port = address.rpartition(":")
    bracketed = host.startswith("[") and host.endswith("]")
    bare = host[1:-1] if bracketed else host
    is_port = port.isascii() and port.isdecimal() and len(port) <= _MOST_DIGITS and int(port) <= _HIGHEST_PORT
    is_host = not any(c in bare for c in "[]") and (bracketed or ":" not in bare)
    if not colon or not is_port or not is_host:
        problem = Problem(
            0, "--web.listen-address", f"{address!r} is no address: write it as host:port or :port"
        )
        raise ConfigurationError("command line", (problem,))
    return bare, int(port)
