"""--config.enable-auto-reload: a thread that reloads after a change, beside SIGHUP and /-/reload."""

import math
import threading
from typing import Protocol

from exporter.clock import Clock
from exporter.config.watch import WatchedConfig
from exporter.logs import get_logger, place_of
from exporter.messages import class_name

# A change counts once it has stayed for so long: files are written in pieces, and for a moment there may be none.
_SETTLED_SECONDS = 1.0
# What never stays is read as it is.
_MOST_LOOKS = 10
# What failed may have failed for a reason that isn't in the files, such as a lack of descriptors.
_RETRY_SECONDS = 600.0


class Reloadable(Protocol):
    """What is reloaded; both methods return what is wrong, or nothing."""

    def reload(self) -> str:
        """Reload, all or nothing, and log how it ended."""

    def retry_reload(self) -> str:
        """Try again if the last reload failed, and log only what is news."""


class AutoReload:
    """Looks every `interval_seconds`, from `start` to `stop`."""

    def __init__(self, config: WatchedConfig, *, interval_seconds: float, clock: Clock) -> None:
        self.config = config
        self._interval_seconds = interval_seconds
        self._clock = clock
        self._stop = threading.Event()
        self._retry_at = math.inf

    def start(self, exporter: Reloadable) -> None:
        """Look on a thread of its own: reading from a file system that hangs must hold up nothing else."""
        threading.Thread(target=self.run, args=[exporter], name="auto-reload", daemon=True).start()

    def stop(self) -> None:
        """Begin no other reload."""
        self._stop.set()

    def run(self, exporter: Reloadable) -> None:
        """Look until stopped."""
        while not self._clock.wait(self._stop, self._interval_seconds):
            try:
                self._look(exporter)
            except Exception as error:  # noqa: BLE001  a bug must not be the end of all later changes
                get_logger().error("internal error", error=class_name(error), where=place_of(error))

    def _look(self, exporter: Reloadable) -> None:
        if self._has_changed():
            exporter.reload()
        elif self._clock.monotonic() >= self._retry_at:
            exporter.retry_reload()
        else:
            return
        self._retry_at = self._clock.monotonic() + _RETRY_SECONDS

    def _has_changed(self) -> bool:
        """Return whether there is something new that stays."""
        found = self.config.checksum()
        for _ in range(_MOST_LOOKS):
            if found == self.config.seen:
                return False
            if self._clock.wait(self._stop, _SETTLED_SECONDS):
                return False
            before, found = found, self.config.checksum()
            if found == before:
                break
        return found != self.config.seen
