"""Listen addresses as Prometheus writes them, and the sockets that are bound to them.

They are bound before anything else starts, so that an address in use is an error at once, with exit status 1.
"""

import errno
import os
import re
import resource
import socket
from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack, suppress
from typing import Any

from exporter.errors import ListenError
from exporter.flags import usage_error
from exporter.local_text import local_text
from exporter.messages import Line, line

# A connection that finds the queue full comes a second later, when its client's system tries again.
BACKLOG = 1024
_ADDRESS = re.compile(r"(?:\[([^\[\]]*)\]|([^\[\]:]*)):([0-9]{1,5})")
_MAX_PORT = 65_535
_FIRST_PASSED = 3  # sd_listen_fds(3)
_COUNT = re.compile(r"[1-9][0-9]{0,3}")
_NOT_AVAILABLE_HERE = (errno.EAFNOSUPPORT, errno.EADDRNOTAVAIL)


def split_address(address: str) -> tuple[str, int]:
    """Return host and port of `host:port`, `:port` or `[v6]:port`; raises ConfigurationError."""
    match = _ADDRESS.fullmatch(address)
    if match is None or int(match[3]) > _MAX_PORT:
        shown = local_text(address, limit=100)
        raise usage_error("--web.listen-address", f"invalid address {shown!r}: use host:port or :port")
    return match[1] or match[2] or "", int(match[3])


def raise_descriptor_limit() -> None:
    """Allow as many open files as the system grants this process; if it refuses, the limit stays."""
    _soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    with suppress(OSError, ValueError):
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def listen(addresses: Iterable[str]) -> list[socket.socket]:
    """Return sockets that listen on each `host:port`; `:port` means all interfaces. Raises ListenError."""
    return _all_or_none(listener for address in addresses for listener in _bound(address))


def systemd_sockets(environment: Mapping[str, str], process_id: int) -> list[socket.socket]:
    """Return the sockets that systemd passed (sd_listen_fds); raises ListenError if it passed none."""
    count = _COUNT.fullmatch(environment.get("LISTEN_FDS", ""))
    if environment.get("LISTEN_PID") != str(process_id) or count is None:
        remedy = line("start the service through its .socket unit (Sockets=)")
        raise ListenError(line("systemd passed no socket"), remedy=remedy)
    return _all_or_none(_passed(_FIRST_PASSED + index) for index in range(int(count[0])))


def address_of(listener: socket.socket) -> str:
    """Return host:port of a listening socket; of a Unix one, its path."""
    name = listener.getsockname()
    if not isinstance(name, tuple):
        return str(name)
    host, port = name[:2]
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def _all_or_none(sockets: Iterable[socket.socket]) -> list[socket.socket]:
    """Return the sockets; if one can't be had, close those before it."""
    with ExitStack() as opened:
        listeners = [opened.enter_context(listener) for listener in sockets]
        opened.pop_all()
        return listeners


def _passed(descriptor: int) -> socket.socket:
    try:
        listener = socket.socket(fileno=descriptor)
    except OSError as error:
        raise ListenError(line("descriptor {} from systemd is not a socket: {}", descriptor, error)) from error
    if listener.type != socket.SOCK_STREAM or not listener.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN):
        listener.close()
        raise ListenError(
            line("descriptor {} from systemd is not a listening socket", descriptor),
            remedy=line("set ListenStream= and Accept=no in the .socket unit"),
        )
    return listener


def _bound(address: str) -> Iterator[socket.socket]:
    host, port = split_address(address)
    try:
        if host:
            yield from _on_host(host, port)
        else:
            yield _on_all_interfaces(port)
    except (OSError, ValueError) as error:  # ValueError: a name that no host can have
        raise ListenError(
            line("can't listen on {}: {}", local_text(address), _reason(error)), remedy=remedy_for(error)
        ) from error


def remedy_for(error: OSError | ValueError) -> Line:
    """Return what to do where nothing can listen."""
    number = error.errno if isinstance(error, OSError) else None
    if number == errno.EADDRINUSE:
        return line("stop the process that listens there, or choose another address with --web.listen-address")
    if number in (errno.EACCES, errno.EPERM):
        return line("ports below 1024 need CAP_NET_BIND_SERVICE: choose another with --web.listen-address, or add it")
    if isinstance(error, ValueError | socket.gaierror) or number in _NOT_AVAILABLE_HERE:
        return line(
            "this machine has no such address: choose one that `ip address` shows with --web.listen-address, or :PORT "
            "for all"
        )
    return line("choose another address with --web.listen-address")


def _reason(error: OSError | ValueError) -> Line | OSError:
    return error if isinstance(error, OSError) else local_text(str(error))


def _on_host(host: str, port: int) -> Iterator[socket.socket]:
    """Listen on every address of the host that this machine has: `localhost` may have one more."""
    infos = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    unavailable: list[OSError] = []
    addresses = dict.fromkeys((family, address) for family, _, _, _, address in infos)
    for family, address in addresses:
        try:
            yield _bind(family, address)
        except OSError as error:
            if error.errno not in _NOT_AVAILABLE_HERE:
                raise
            unavailable.append(error)
    if len(unavailable) == len(addresses):
        raise unavailable[-1]


def _on_all_interfaces(port: int) -> socket.socket:
    """Listen on IPv6 and IPv4 with one socket, or on IPv4 if the machine has no IPv6."""
    try:
        return _bind(socket.AF_INET6, ("::", port), dual=True)
    except (OSError, ValueError) as error:  # ValueError: Python was built without IPv6
        if isinstance(error, OSError) and error.errno not in _NOT_AVAILABLE_HERE:
            raise
        return _bind(socket.AF_INET, ("0.0.0.0", port))  # noqa: S104  every interface was asked for


def _bind(family: int, address: Any, *, dual: bool = False) -> socket.socket:
    try:
        listener = socket.create_server(address, family=family, backlog=BACKLOG, dualstack_ipv6=dual)
    except OSError as error:
        raise OSError(error.errno, os.strerror(error.errno or 0)) from error  # without the address, which we name
    # asyncio switches Nagle's delay off only for a socket that names its protocol.
    return socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP, fileno=listener.detach())
