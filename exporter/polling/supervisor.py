"""A thread that checks once a second whether everything else still works."""

import threading
from collections.abc import Callable

from exporter.clock import Clock
from exporter.errors import PollAborted
from exporter.logs import Logger, place_of

_TICK_SECONDS = 1.0


class Supervisor:
    """Calls `check` once a second until stopped, whatever it raises."""

    def __init__(self, check: Callable[[], None], *, clock: Clock, log: Logger) -> None:
        self._check = check
        self._clock = clock
        self._log = log
        self._stop = threading.Event()
        self.thread = threading.Thread(target=self._run, name="supervisor", daemon=True)

    def start(self) -> None:
        """Start checking."""
        self.thread.start()

    def stop(self) -> None:
        """Stop checking; returns at once."""
        self._stop.set()

    def _run(self) -> None:
        while not self._clock.wait(self._stop, _TICK_SECONDS):
            try:
                self._check()
            except PollAborted:  # what it would have saved can't be written any more
                return
            except Exception as error:  # noqa: BLE001  what restarts others must not die of a bug
                self._log.error("internal error", error=repr(error), where=place_of(error))
