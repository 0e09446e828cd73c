"""Whoever waits, no address keeps the others waiting, and the number of those who wait is bounded."""

import asyncio
from collections import Counter
from dataclasses import dataclass, field

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.web.toolkit.turns import Busy, Turns, network_of

MOST, MOST_PER_NETWORK = 32, 8


@dataclass
class Queue:
    """Clients who want in, one of whom is in until the test lets him out."""

    turns: Turns = field(default_factory=Turns)
    entered: list[str] = field(default_factory=list)
    refused: list[str] = field(default_factory=list)
    out: asyncio.Event = field(default_factory=asyncio.Event)
    tasks: list[asyncio.Task[None]] = field(default_factory=list)

    async def _visit(self, address: str) -> None:
        try:
            async with self.turns.turn(address):
                self.entered.append(address)
                await self.out.wait()
        except Busy:
            self.refused.append(address)

    async def come(self, *addresses: str) -> None:
        """Let clients join, one after the other."""
        for address in addresses:
            self.tasks.append(asyncio.create_task(self._visit(address)))
            await settled()

    async def let_all_out(self) -> None:
        """Let everyone have his turn."""
        self.out.set()
        await asyncio.gather(*self.tasks, return_exceptions=True)


async def settled() -> None:
    """Let every task go on as far as it can."""
    for _ in range(5):
        await asyncio.sleep(0)


def played(*addresses: str) -> Queue:
    """Return the queue after everyone has come, and then everyone had his turn."""

    async def play() -> Queue:
        queue = Queue()
        await queue.come(*addresses)
        await queue.let_all_out()
        return queue

    return asyncio.run(play())


def test_addresses_take_turns() -> None:
    assert "".join(played(*"aaaabbc").entered) == "abcabaa"


def test_an_address_has_eight_at_most() -> None:
    queue = played(*"a" * 20, "b")
    assert Counter(queue.entered) == {"a": MOST_PER_NETWORK, "b": 1}
    assert queue.refused == ["a"] * 12


def test_if_it_is_full_the_address_with_the_most_gives_way_to_a_new_one() -> None:
    queue = played(*"a" * 8, *"b" * 8, *"c" * 8, *"d" * 8, *"xyz")
    assert sorted(Counter(queue.entered).values()) == [1, 1, 1, 7, 7, 7, 8]
    assert set(queue.entered[:7]) == set("abcdxyz")
    assert len(queue.refused) == 3


def test_a_new_address_comes_in_however_many_others_there_are() -> None:
    others = [str(number) for number in range(40)]
    queue = played(*others, "new")
    assert "new" in queue.entered
    assert len(queue.entered) == MOST


def test_with_as_many_as_any_other_an_address_gives_way_itself() -> None:
    queue = played(*[f"{number}" for number in range(16) for _ in range(2)], "0", "0")
    assert queue.refused == ["0", "0"]


@given(addresses=st.lists(st.sampled_from("abcdef"), max_size=80))
def test_nobody_waits_longer_than_one_turn_of_every_other_address(addresses: list[str]) -> None:
    queue = played(*addresses)
    assert len(queue.entered) <= MOST
    assert Counter(queue.entered) + Counter(queue.refused) == Counter(addresses)
    # Of the first one for each address, and of everyone's first ones.
    for turn in range(MOST_PER_NETWORK):
        later = [address for address, count in Counter(queue.entered).items() if count > turn]
        positions = [_position(queue.entered, address, turn) for address in later]
        assert all(position < (turn + 1) * len(set(addresses)) for position in positions)


def _position(entered: list[str], address: str, turn: int) -> int:
    return [at for at, one in enumerate(entered) if one == address][turn]


@given(st.data())
def test_whoever_is_given_up_the_others_get_their_turns(data: st.DataObject) -> None:
    async def play() -> tuple[Queue, set[int]]:
        queue = Queue()
        await queue.come(*data.draw(st.lists(st.sampled_from("abc"), min_size=1, max_size=12)))
        given_up = data.draw(st.sets(st.integers(0, len(queue.tasks) - 1)))
        for index in given_up:
            queue.tasks[index].cancel()
        if data.draw(st.booleans()):
            await settled()
        await queue.let_all_out()
        await queue.come("z")
        return queue, given_up

    queue, given_up = asyncio.run(play())
    assert queue.entered[-1] == "z"
    assert len(queue.entered) - 1 + len(queue.refused) >= len(queue.tasks) - 1 - len(given_up)


@pytest.mark.parametrize(
    ("address", "network"),
    [
        ("192.0.2.1", "192.0.2.1"),
        ("::ffff:192.0.2.1", "192.0.2.1"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("2001:db8:1:2::", "2001:db8:1:2::/64"),
        ("2001:db8:1:3::1", "2001:db8:1:3::/64"),
        ("fe80::1%eth0", "fe80::/64"),
        ("::1", "::/64"),
        ("", ""),
        ("/run/exporter.sock", "/run/exporter.sock"),
    ],
)
def test_what_a_client_can_choose_of_its_address_does_not_count(address: str, network: str) -> None:
    assert network_of(address) == network
