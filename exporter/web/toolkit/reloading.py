"""A value that is made from files, and made again when they change."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Generic, TypeVar

from exporter.clock import Clock
from exporter.errors import ConfigurationError
from exporter.local_text import local_text
from exporter.logs import get_logger

T = TypeVar("T")

# A file that was last changed this long ago is not being written any more.
SETTLED_SECONDS = 1.0
_RETRY_SECONDS = 10.0


class NotYetError(Exception):
    """The files may be half written: they are read again soon, and until then the previous value is good."""


@dataclass(eq=False)
class Reloading(Generic[T]):
    """Returns the newest good value whenever it is called: a change that fails keeps the previous one.

    `make` gets the previous value, or None at the start, when its errors are raised. Later, it is called when
    `signature` has changed and, while it fails, every ten seconds: what is wrong may be in a file that isn't
    watched, like a certificate that a new configuration names. Files that were written while they were read are
    read again. A failure is logged once; `problem` says why the newest files are not in use, and is empty if they are.
    """

    name: str
    make: Callable[[T | None], T]
    signature: Callable[[], object]
    clock: Clock

    def __post_init__(self) -> None:
        self.problem = ""
        self._retry_at = math.inf
        self._changed_at = self.clock.monotonic()
        self._seen = self.signature()
        self._value = self.make(None)

    def __call__(self) -> T:
        """Return the value, made again if the files have changed."""
        seen, now = self.signature(), self.clock.monotonic()
        if seen != self._seen:
            self._seen, self._changed_at, self._retry_at = seen, now, now
        if now >= self._retry_at:
            self._reload()
        return self._value

    @property
    def unchanged_for_seconds(self) -> float:
        """How long ago a change of the files was noticed."""
        return self.clock.monotonic() - self._changed_at

    def _reload(self) -> None:
        try:
            value = self.make(self._value)
        except NotYetError:
            self._retry_at = self.clock.monotonic() + SETTLED_SECONDS
        except (ConfigurationError, OSError, ValueError) as error:
            if self.signature() == self._seen:
                self._refuse(str(error))
        else:
            if self.signature() == self._seen:
                self._value, self._retry_at, self.problem = value, math.inf, ""
                get_logger().info(f"{self.name} reloaded")

    def _refuse(self, problem: str) -> None:
        self._retry_at = self.clock.monotonic() + _RETRY_SECONDS
        if problem != self.problem:
            self.problem = problem
            get_logger().error(
                f"{self.name} not reloaded, keeping the previous one", error=local_text(problem, limit=2_000)
            )
