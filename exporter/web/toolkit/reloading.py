"""A value that is made from files, and made again when they change."""

import math
from collections.abc import Callable
from typing import Generic, TypeVar

from exporter.clock import Clock
from exporter.errors import ConfigurationError
from exporter.logs import Logger

T = TypeVar("T")

_RETRY_SECONDS = 10.0


class Reloading(Generic[T]):
    """Returns the newest good value whenever it is called: a change that fails keeps the previous one.

    `make` gets the previous value, or None at the start, when its errors are raised. Later, it is called when
    `signature` has changed and, while it fails, every ten seconds: what is wrong may be in a file that isn't
    watched, like a certificate that a new configuration names. A failure is logged once.
    """

    def __init__(
        self, name: str, make: Callable[[T | None], T], *, signature: Callable[[], object], clock: Clock, log: Logger
    ) -> None:
        self._name = name
        self._make = make
        self._signature = signature
        self._clock = clock
        self._log = log
        self._logged = ""
        self._retry_at = math.inf
        self._seen = signature()
        self._value = make(None)

    def __call__(self) -> T:
        """Return the value, made again if the files have changed."""
        seen = self._signature()
        if seen != self._seen or self._clock.monotonic() >= self._retry_at:
            self._seen = seen
            self._reload()
        return self._value

    def _reload(self) -> None:
        try:
            self._value = self._make(self._value)
        except (ConfigurationError, OSError, ValueError) as error:
            self._retry_at = self._clock.monotonic() + _RETRY_SECONDS
            if str(error) != self._logged:
                self._logged = str(error)
                self._log.error(f"{self._name} not reloaded, keeping the previous one", error=str(error))
        else:
            self._retry_at, self._logged = math.inf, ""
            self._log.info(f"{self._name} reloaded")
