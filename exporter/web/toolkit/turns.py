"""One at a time, in turns by address, so that no client keeps the others waiting."""

import asyncio
import ipaddress
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

_MOST = 32
_MOST_PER_NETWORK = 8
# Of IPv6, one customer has as many addresses as this leaves.
_IPV6_PREFIX = 64


class Busy(Exception):
    """Too many are waiting, and this one gives way."""


class Turns:
    """Lets one in at a time. Networks take turns, whatever the number that waits from each.

    Each may have eight in it, the one let in included, and all of them 32. Above that, the network with the most
    gives way to one with fewer.
    """

    def __init__(self) -> None:
        self._inside: str | None = None
        self._waiting: dict[str, deque[asyncio.Future[bool]]] = {}  # the next turn is the first network's

    @asynccontextmanager
    async def turn(self, address: str) -> AsyncIterator[None]:
        """Wait for the turn of an address; raises Busy at once, or when it has to give way."""
        await self._enter(network_of(address))
        try:
            yield
        finally:
            self._let_next_in()

    async def _enter(self, network: str) -> None:
        if self._inside is None:
            self._inside = network
            return
        self._make_room(network)
        turn = asyncio.get_running_loop().create_future()
        self._waiting.setdefault(network, deque()).append(turn)
        try:
            if not await turn:
                raise Busy
        except asyncio.CancelledError:
            if turn.done() and not turn.cancelled() and turn.result():
                self._let_next_in()
            else:
                self._forget(network, turn)
            raise

    def _make_room(self, network: str) -> None:
        """Let the one that came last from the most crowded network give way; raises Busy if that is this one."""
        own = self._count(network)
        if own >= _MOST_PER_NETWORK:
            raise Busy
        if sum(map(self._count, {*self._waiting, self._inside or network})) < _MOST:
            return
        crowded = max(reversed(self._waiting), key=self._count, default=network)
        if self._count(crowded) <= own:
            raise Busy
        last = self._waiting[crowded][-1]
        self._forget(crowded, last)
        if not last.done():
            last.set_result(False)

    def _let_next_in(self) -> None:
        served, self._inside = self._inside, None
        if served is not None and served in self._waiting:
            self._waiting[served] = self._waiting.pop(served)  # it comes last now
        while self._waiting and self._inside is None:
            network, line = next(iter(self._waiting.items()))
            turn = line[0]
            self._forget(network, turn)
            if not turn.done():  # it is, where a request was cancelled just now
                turn.set_result(True)
                self._inside = network

    def _count(self, network: str) -> int:
        return len(self._waiting.get(network, ())) + (network == self._inside)

    def _forget(self, network: str, turn: asyncio.Future[bool]) -> None:
        line = self._waiting.get(network, deque())
        if turn in line:
            line.remove(turn)
            if not line:
                del self._waiting[network]


def network_of(address: str) -> str:
    """Return what one client can't choose of its address: an IPv4 address, the first 64 bits of an IPv6 one."""
    try:
        ip = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return address  # a Unix socket has none
    if isinstance(ip, ipaddress.IPv4Address):
        return str(ip)
    if ip.ipv4_mapped is not None:
        return str(ip.ipv4_mapped)
    return str(ipaddress.IPv6Network((int(ip), _IPV6_PREFIX), strict=False))
