"""The sockets to listen at, bound before anything else begins, so that a mistake is told at once."""

import errno
import resource
import socket
from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack, suppress
from typing import Any

from exporter.errors import ListenError
from exporter.web.toolkit.address import split_address

# A connection that finds the queue full comes a second later, when its client's system tries again.
BACKLOG = 1024
_FIRST_PASSED = 3  # sd_listen_fds(3)
_MOST_PASSED_DIGITS = 4
_NOT_OF_THIS_MACHINE = (errno.EAFNOSUPPORT, errno.EADDRNOTAVAIL)


def raise_descriptor_limit() -> None:
    """Allow as many open files as the system grants this process; where it refuses, the limit stays."""
    _soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    with suppress(OSError, ValueError):
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def listen(addresses: Iterable[str]) -> list[socket.socket]:
    """Return sockets that listen at each `host:port` or, for `:port`, everywhere; raises ListenError."""
    with ExitStack() as opened:
        sockets = [opened.enter_context(each) for address in addresses for each in _bound(address)]
        opened.pop_all()
        return sockets


def systemd_sockets(environment: Mapping[str, str], process_id: int) -> list[socket.socket]:
    """Return the sockets that systemd passed (sd_listen_fds); raises ListenError where it passed none."""
    count = environment.get("LISTEN_FDS", "")
    is_count = count.isdecimal() and len(count) <= _MOST_PASSED_DIGITS and int(count) > 0
    if environment.get("LISTEN_PID") != str(process_id) or not is_count:
        raise ListenError(
            "systemd passed no socket", remedy="start the service through its .socket unit (Sockets=)"
        )
    with ExitStack() as opened:
        sockets = [opened.enter_context(_passed(_FIRST_PASSED + index)) for index in range(int(count))]
        opened.pop_all()
        return sockets


def address_of(listener: socket.socket) -> str:
    """Return host:port of a listening socket; of a Unix one, its path."""
    name = listener.getsockname()
    if not isinstance(name, tuple):
        return str(name)
    host, port = name[:2]
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def _passed(descriptor: int) -> socket.socket:
    try:
        listener = socket.socket(fileno=descriptor)
    except OSError as error:
        raise ListenError(f"descriptor {descriptor} from systemd is no socket: {error.strerror}") from error
    if listener.type != socket.SOCK_STREAM or not listener.getsockopt(
        socket.SOL_SOCKET, socket.SO_ACCEPTCONN
    ):
        listener.close()
        raise ListenError(
            f"descriptor {descriptor} from systemd is no socket that listens",
            remedy="give the .socket unit ListenStream= and Accept=no",
        )
    return listener


def _bound(address: str) -> Iterator[socket.socket]:
    host, port = split_address(address)
    try:
        if host:
            yield from _listen_at(host, port)
        else:
            yield _listen_everywhere(port)
    except (OSError, ValueError) as error:  # ValueError: a name that no host can have
        raise ListenError(
            f"can't listen on {address}: {getattr(error, 'strerror', None) or error}",
            remedy="stop what listens there, or choose another with --web.listen-address",
        ) from error


def _listen_at(host: str, port: int) -> Iterator[socket.socket]:
    """Listen at every address that the host has. `localhost` may have one that this machine hasn't."""
    infos = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    refused: OSError | None = None
    found = False
    for family, _, _, _, where in dict.fromkeys(infos):
        try:
            listener = _bind(family, where)
        except OSError as error:
            if error.errno not in _NOT_OF_THIS_MACHINE:
                raise
            refused = error
        else:
            found = True
            yield listener
    if refused is not None and not found:
        raise refused


def _listen_everywhere(port: int) -> socket.socket:
    """Listen on IPv6 and IPv4 with one socket, or on IPv4 where the machine has no IPv6."""
    try:
        return _bind(socket.AF_INET6, ("::", port), dual=True)
    except OSError as error:
        if socket.has_ipv6 and error.errno not in _NOT_OF_THIS_MACHINE:
            raise
        return _bind(socket.AF_INET, ("0.0.0.0", port))  # noqa: S104  every interface was asked for


def _bind(family: int, where: Any, *, dual: bool = False) -> socket.socket:
    # asyncio switches Nagle's delay off only where the protocol is named.
    listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0 if dual else 1)
        listener.bind(where)
        listener.listen(BACKLOG)
    except OSError:
        listener.close()
        raise
    return listener
