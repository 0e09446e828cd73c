"""Addresses that lead nowhere, as name resolution returns them."""

import socket
import struct
from collections.abc import Iterator
from contextlib import contextmanager

from exporter.upstream.connecting import Address
from tests.support.https import listening
from tests.support.proxy import closed_port, silent_server

STREAM = socket.SOCK_STREAM
UNSUPPORTED: Address = (99, STREAM, 0, "", ("unheard of", 1))
"""One of a family that this machine lacks."""


def ipv4(port: int, host: str = "127.0.0.1") -> Address:
    """Return an IPv4 address."""
    return (socket.AF_INET, STREAM, 6, "", (host, port))


def ipv6(port: int) -> Address:
    """Return this machine's own IPv6 address."""
    return (socket.AF_INET6, STREAM, 6, "", ("::1", port, 0, 0))


@contextmanager
def black_hole() -> Iterator[Address]:
    """Yield an address that answers nothing: its queue of connections is full."""
    with silent_server(backlog=0) as listener, socket.create_connection(listener.getsockname()):
        yield ipv4(listener.getsockname()[1])


@contextmanager
def refusing() -> Iterator[Address]:
    """Yield an address that refuses."""
    with closed_port() as port:
        yield ipv4(port)


@contextmanager
def refusing_ipv6() -> Iterator[Address]:
    """Yield an IPv6 address that refuses, or that this machine can't reach."""
    with closed_port() as port:
        yield ipv6(port)


@contextmanager
def unsupported() -> Iterator[Address]:
    """Yield an address of a family that this machine lacks."""
    yield UNSUPPORTED


@contextmanager
def impossible() -> Iterator[Address]:
    """Yield an address to which nothing leads: connecting fails before anything is sent."""
    yield ipv4(9, "255.255.255.255")


@contextmanager
def silent() -> Iterator[Address]:
    """Yield an address that accepts connections and says nothing."""
    with silent_server() as listener:
        yield ipv4(listener.getsockname()[1])


@contextmanager
def hanging_up(*, reset: bool = False) -> Iterator[Address]:
    """Yield an address that accepts connections and ends them."""

    def end(connection: socket.socket) -> None:
        if reset:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        connection.close()

    with listening(end) as (_, port):
        yield ipv4(port)
