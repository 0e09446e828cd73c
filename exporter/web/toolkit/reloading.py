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

_RETRY_SECONDS = 10.0


@dataclass(eq=False)
class Reloading(Generic[T]):
    """Returns the newest good value whenever it is called: a change that fails keeps the previous one.

    `make` gets the previous value, or None at the start, when its errors are raised. Later, it is called when
    `signature` has changed and, while it fails, every ten seconds: what is wrong may be in a file that isn't
    watched, like a certificate that a new configuration names. A failure is logged once.
    """

    name: str
    make: Callable[[T | None], T]
    signature: Callable[[], object]
    clock: Clock

    def __post_init__(self) -> None:
        self._logged = ""
        self._retry_at = math.inf
        self._seen = self.signature()
        self._value = self.make(None)

    def __call__(self) -> T:
        """Return the value, made again if the files have changed."""
        seen = self.signature()
        if seen != self._seen or self.clock.monotonic() >= self._retry_at:
            self._seen = seen
            self._reload()
        return self._value

    def _reload(self) -> None:
        try:
            self._value = self.make(self._value)
        except (ConfigurationError, OSError, ValueError) as error:
            self._retry_at = self.clock.monotonic() + _RETRY_SECONDS
            if str(error) != self._logged:
                self._logged = str(error)
                get_logger().error(
                    f"{self.name} not reloaded, keeping the previous one", error=local_text(str(error), limit=2_000)
                )
        else:
            self._retry_at, self._logged = math.inf, ""
            get_logger().info(f"{self.name} reloaded")
