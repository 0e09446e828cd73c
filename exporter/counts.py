"""Two sums for each of up to a million label sets, small in memory and given back piece by piece."""

import math
from array import array
from collections.abc import Iterator

Labels = tuple[str, ...]
Names = dict[str, tuple[float, str]]
"""An id's newest name, and when it was processed (Unix seconds; 0 where that is not known)."""

# Inside only: in the arrays there is no None.
_ABSENT = math.nan


class Counts:
    """Label sets, each with two sums and the newest date. A value that never came stays absent.

    `names` are the label names after `partner`. Not safe for threads: whoever fills or drains it owns it.
    """

    def __init__(self, names: Labels) -> None:
        self.names = names
        self.places: dict[Labels, int] = {}
        self.first = array("d")
        self.second = array("d")
        self.newest = array("d")

    def __len__(self) -> int:
        return len(self.places)

    def place(self, labels: Labels) -> int:
        """Return where the sums of these labels are, made where they are new."""
        place = self.places.get(labels)
        if place is None:
            place = self.places[labels] = len(self.first)
            for values in (self.first, self.second, self.newest):
                values.append(_ABSENT)
        return place

    @property
    def measured(self) -> bool:
        """Whether any value came at all."""
        return any(value == value for values in (self.first, self.second) for value in values)  # noqa: PLR0124  only NaN differs from itself

    def sums(self) -> Iterator[tuple[Labels, float | None, float | None, float | None]]:
        """Yield each label set with its two sums and its newest date."""
        for labels, place in self.places.items():
            yield (
                labels,
                _present(self.first[place]),
                _present(self.second[place]),
                _present(self.newest[place]),
            )

    def drain(self) -> Iterator[tuple[Labels, float, float]]:
        """Yield each label set with its two sums, NaN for absent, and forget it.

        To drop a dict of a million entries at once would stop every thread for a tenth of a second.
        """
        while self.places:
            labels, place = self.places.popitem()
            yield labels, self.first[place], self.second[place]

    def keep_smallest(self, limit: int) -> int:
        """Keep this many label sets, the smallest: the same ones at every poll. Return how many went."""
        over = len(self.places) - limit
        if over <= 0:
            return 0
        last = _nth_smallest(list(self.places), limit)
        for labels in list(self.places):
            if labels > last:
                del self.places[labels]
        return over


def empty(entries: dict[str, tuple[float, str]] | dict[str, str]) -> None:
    """Empty a dict that may be large without stopping every other thread for it."""
    while entries:
        entries.popitem()


def _nth_smallest(keys: list[Labels], n: int) -> Labels:
    """Return the n-th smallest of different keys (the first is 1).

    No sort: one call over a million keys would hold the interpreter's lock for seconds.
    """
    while True:
        pivot = keys[len(keys) // 2]
        below = [key for key in keys if key < pivot]
        if n == len(below) + 1:
            return pivot
        if n <= len(below):
            keys = below
        else:
            n -= len(below) + 1
            keys = [key for key in keys if key > pivot]


def _present(value: float) -> float | None:
    return None if math.isnan(value) else value
