"""Cases of which a desk runs some, and CI runs all."""

import os
from collections.abc import Iterable, Sequence
from itertools import product
from typing import Any, TypeVar

T = TypeVar("T")

IN_CI = "CI" in os.environ


def cases(*always: T, in_ci: Iterable[T] = ()) -> list[T]:
    """Return cases for `parametrize`: further ones of the same kind, which take long, are for CI only."""
    return [*always, *(in_ci if IN_CI else ())]


def combinations(*axes: Sequence[Any]) -> list[tuple[Any, ...]]:
    """Return every combination of values for `parametrize` in CI, on a desk only so many that each value is there."""
    if IN_CI:
        return list(product(*axes))
    return [tuple(axis[at % len(axis)] for axis in axes) for at in range(max(map(len, axes)))]


def every_third(rows: Sequence[T]) -> Sequence[T]:
    """Return all rows in CI, on a desk every third: of a table whose neighbours are alike."""
    return rows if IN_CI else rows[::3]
