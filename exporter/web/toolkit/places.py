"""The places for connections: how many there are, and who gives way when another one comes."""

from dataclasses import dataclass, field
from enum import Enum, auto
from typing import Protocol


class Stage(Enum):
    """What a connection is doing. Where two stages are equally crowded, the first gives way."""

    HANDSHAKE = auto()
    IDLE = auto()  # no request in progress
    SLOW = auto()  # does not take its answer as fast as it comes
    WAITING = auto()  # for the answer to its request


class Occupant(Protocol):
    """An accepted socket, in whatever stage."""

    def abort(self) -> None:
        """Close it at once."""


@dataclass(eq=False)
class Places:
    """Every accepted socket has a place from its acceptance on.

    If none is free, the longest in the most crowded stage gives way, but never the newest connection: whatever clients
    do, a connection has a place until a quarter of `number` newer ones have come to its stage.
    """

    number: int
    _open: set[Occupant] = field(default_factory=set, init=False)
    _stages: dict[Occupant, Stage] = field(default_factory=dict, init=False)
    _crowds: dict[Stage, dict[Occupant, None]] = field(init=False)  # dicts, for their order

    def __post_init__(self) -> None:
        self._crowds = {stage: {} for stage in Stage}

    @property
    def at_once(self) -> int:
        """How many may be accepted in one round: few, so that each has several rounds for its request."""
        return max(1, self.number // 16)

    @property
    def crowded(self) -> bool:
        """Whether an eighth of the places is taken: by far more than scrapers need."""
        return 8 * len(self._stages) >= self.number

    @property
    def overfull(self) -> bool:
        """Whether too many sockets are open still that give way: they close within a round or two."""
        return len(self._open) >= self.number + self.at_once

    def accepted(self, newest: Occupant) -> None:
        """Count a socket from its acceptance on."""
        self._open.add(newest)

    def take(self, newest: Occupant, stage: Stage) -> None:
        """Give the newest a place, another one's if none is free."""
        if len(self._stages) >= self.number:
            self.evict()
        self._enter(newest, stage)

    def move(self, occupant: Occupant, stage: Stage) -> None:
        """Note what a connection does from now on; one that has given way stays without a place."""
        if occupant in self._stages:
            self._give_up(occupant)
            self._enter(occupant, stage)

    def evict(self) -> bool:
        """Abort the longest in the most crowded stage; return whether there was one."""
        crowded = max(self._crowds, key=lambda stage: len(self._crowds[stage]))
        longest = next(iter(self._crowds[crowded]), None)
        if longest is None:
            return False
        self._give_up(longest)
        longest.abort()
        return True

    def abort(self, *stages: Stage) -> None:
        """Abort every connection in these stages."""
        for occupant in [occupant for stage in stages for occupant in self._crowds[stage]]:
            occupant.abort()

    def leave(self, occupant: Occupant) -> None:
        """Free the place of a closed socket."""
        self._give_up(occupant)
        self._open.discard(occupant)

    def _enter(self, occupant: Occupant, stage: Stage) -> None:
        self._stages[occupant] = stage
        self._crowds[stage][occupant] = None

    def _give_up(self, occupant: Occupant) -> None:
        stage = self._stages.pop(occupant, None)
        if stage is not None:
            del self._crowds[stage][occupant]
