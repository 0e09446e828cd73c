"""However connections come, change what they do and go: their number is bounded, and a newcomer gets its chance."""

from dataclasses import dataclass, field

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.web.toolkit.places import Places, Stage


@dataclass(eq=False)
class Connection:
    """An accepted socket that closes a while after it was aborted, as in an event loop."""

    aborted: bool = False

    def abort(self) -> None:
        self.aborted = True


@dataclass
class Clients:
    """Those who connect to a server with so many places."""

    places: Places
    open: list[Connection] = field(default_factory=list)

    def connect(self, stage: Stage = Stage.IDLE) -> Connection:
        """Add a connection, and close what has given way."""
        connection = Connection()
        self.places.accepted(connection)
        self.places.take(connection, stage)
        self.open.append(connection)
        assert not connection.aborted
        self.close([one for one in self.open if one.aborted])
        return connection

    def close(self, connections: list[Connection]) -> None:
        for connection in connections:
            self.open.remove(connection)
            self.places.leave(connection)


steps = st.lists(st.tuples(st.sampled_from(["come", "move", "go"]), st.sampled_from(Stage), st.integers(0)))


@given(number=st.integers(1, 12), steps=steps)
def test_there_are_never_more_connections_than_places_and_the_newest_is_one_of_them(
    number: int, steps: list[tuple[str, Stage, int]]
) -> None:
    clients = Clients(Places(number))
    for step, stage, index in steps:
        if step == "come":
            newest = clients.connect(stage)
            assert newest in clients.open
        elif clients.open:
            chosen = clients.open[index % len(clients.open)]
            if step == "go":
                clients.close([chosen])
            else:
                clients.places.move(chosen, stage)
        assert len(clients.open) <= number


@pytest.mark.parametrize("flood", Stage)
@pytest.mark.parametrize("own", Stage)
def test_whatever_the_others_do_a_connection_stays_until_a_quarter_of_the_places_has_come_to_its_stage(
    flood: Stage, own: Stage
) -> None:
    clients = Clients(Places(64))
    for stage in (*Stage, flood):
        for _ in range(64):
            clients.connect(stage)
    mine = clients.connect(own)
    for _ in range(15):
        clients.connect(flood)
    assert not mine.aborted


@given(stages=st.lists(st.sampled_from(Stage), min_size=8, max_size=8))
def test_the_longest_in_the_most_crowded_stage_gives_way(stages: list[Stage]) -> None:
    clients = Clients(Places(8))
    before = [(clients.connect(stage), stage) for stage in stages]
    clients.connect()
    crowded = max(Stage, key=stages.count)
    assert [one for one, _ in before if one.aborted] == [next(one for one, stage in before if stage is crowded)]


def test_what_has_given_way_but_is_not_closed_yet_counts() -> None:
    places = Places(16)
    connections = [Connection() for _ in range(17)]
    for connection in connections:
        assert not places.overfull
        places.accepted(connection)
        places.take(connection, Stage.WAITING)
    assert places.overfull
    assert connections[0].aborted
    # Whatever becomes of its request, it has no place any more.
    places.move(connections[0], Stage.IDLE)
    places.leave(connections[0])
    assert not places.overfull


def test_all_of_a_stage_can_be_aborted() -> None:
    clients = Clients(Places(8))
    handshake, idle = clients.connect(Stage.HANDSHAKE), clients.connect(Stage.IDLE)
    clients.places.abort(Stage.HANDSHAKE)
    assert (handshake.aborted, idle.aborted) == (True, False)


def test_where_there_is_nobody_nobody_gives_way() -> None:
    assert not Places(8).evict()
