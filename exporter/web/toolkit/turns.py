"""One at a time, by turns: however many come from one address, those from another wait for one of them."""

import asyncio
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field


@dataclass(eq=False)
class Turns:
    """Gives turns to those who wait, to one of each address after the other. Used from one event loop.

    The limits count whose turn it is, too. Where as many wait as may, the last one of the most crowded address makes
    room for a newcomer from a less crowded one.
    """

    max_waiting: int
    max_waiting_per_address: int
    _waiting: dict[str, deque["asyncio.Future[bool]"]] = field(default_factory=dict, init=False)  # next address first
    _running: str | None = field(default=None, init=False)

    @asynccontextmanager
    async def turn(self, address: str) -> AsyncIterator[bool]:
        """Wait, and yield whether it is this one's turn; it isn't if too many wait."""
        if not await self._wait(address):
            yield False
            return
        try:
            yield True
        finally:
            self._give_to_next()

    async def _wait(self, address: str) -> bool:
        if self._running is None:
            self._running = address
            return True
        if self._number(address) >= self.max_waiting_per_address or not self._has_room(address):
            return False
        place: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        self._waiting.setdefault(address, deque()).append(place)
        try:
            return await place
        except asyncio.CancelledError:
            if place.done() and not place.cancelled() and place.result():
                self._give_to_next()
            self._leave(address, place)
            raise

    def _has_room(self, newcomer: str) -> bool:
        """Return whether one more may wait, after the last one of a more crowded address has made room."""
        if sum(map(len, self._waiting.values())) + 1 < self.max_waiting:
            return True
        crowded = max(self._waiting, key=self._number)
        if self._number(crowded) <= self._number(newcomer) + 1:
            return False
        last = self._waiting[crowded][-1]
        self._leave(crowded, last)
        if not last.done():
            last.set_result(False)
        return True

    def _number(self, address: str) -> int:
        return len(self._waiting.get(address, ())) + (self._running == address)

    def _give_to_next(self) -> None:
        self._running = None
        while self._waiting and self._running is None:
            address = next(iter(self._waiting))
            places = self._waiting.pop(address)
            place = places.popleft()
            if places:
                self._waiting[address] = places
            if not place.done():  # cancelled, and about to leave
                place.set_result(True)
                self._running = address

    def _leave(self, address: str, place: "asyncio.Future[bool]") -> None:
        with suppress(KeyError, ValueError):
            self._waiting[address].remove(place)
            if not self._waiting[address]:
                del self._waiting[address]
