"""Licence counts added up, for up to a million label sets."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TypeVar

import msgspec

K = TypeVar("K")
V = TypeVar("V")

Labels = tuple[str, ...]
Names = dict[str, tuple[float, str]]
"""An id's newest name, and when it was processed (Unix seconds; 0 where that is not known)."""


class Total(msgspec.Struct, gc=False):
    """Two counts added up, and the newest date in Unix seconds; None where no row gave it.

    The garbage collector skips these (`gc=False`): a full collection would otherwise scan a million of them.
    """

    part: float | None = None
    whole: float | None = None
    processed_at: float | None = None

    @property
    def ratio(self) -> float | None:
        """How much of the whole the part is; None where one is missing, or the whole is 0."""
        return None if self.part is None or not self.whole else self.part / self.whole

    def add(self, part: float | None, whole: float | None, processed_at: float | None) -> None:
        """Add the values that are given."""
        if part is not None:
            self.part = part if self.part is None else self.part + part
        if whole is not None:
            self.whole = whole if self.whole is None else self.whole + whole
        if processed_at is not None and (self.processed_at is None or self.processed_at < processed_at):
            self.processed_at = processed_at


Sums = dict[Labels, Total]


@dataclass(frozen=True, slots=True)
class Breakdown:
    """Totals by customer and product, to be drained once.

    `labels` are the label names after `partner`; `names` those of customers and products, by the label that
    has the id. `version` is equal as long as the same data is behind it, where the API says so.
    """

    labels: Labels
    sums: Sums
    names: dict[str, Names]
    version: str = ""


def drain(entries: dict[K, V]) -> Iterator[tuple[K, V]]:
    """Yield and forget each entry: to drop a dict of a million at once stops every thread for 120 ms."""
    while entries:
        yield entries.popitem()


def keep_smallest(sums: Sums, limit: int) -> int:
    """Keep `limit` label sets, the smallest: the same ones at every poll. Return how many were removed."""
    over = len(sums) - limit
    if over <= 0:
        return 0
    last = _nth_smallest(list(sums), limit)
    for labels in list(sums):
        if labels > last:
            del sums[labels]
    return over


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
