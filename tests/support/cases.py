"""Cases of which a desk runs some and CI runs all."""

import os
from collections.abc import Iterable
from typing import TypeVar

T = TypeVar("T")


def cases(*always: T, in_ci: Iterable[T] = ()) -> list[T]:
    """Return cases for `parametrize`: further ones of the same kind, which take long, are for CI only."""
    return [*always, *(in_ci if "CI" in os.environ else ())]
