"""A clock for several threads at once: time stands still until a test moves it."""

import threading

from tests.support.process import until

_LOOK_EVERY_SECONDS = 0.002


class SteppedClock:
    """Waiting threads sleep until `advance` reaches the end of their wait, or until their event is set.

    `advance` first lets every thread come to rest, so that none is overtaken between reading the clock and
    going to sleep. `end_thread` makes one sleeping thread die, as by a fault in this program.
    """

    def __init__(self, *, now: float = 1_800_000_000.0) -> None:
        self._changed = threading.Condition()
        self._wall = now
        self._monotonic = 1_000.0
        # By thread and not by name: a reload starts threads while their namesakes still end.
        self._sleeping: dict[threading.Thread, tuple[float, threading.Event]] = {}
        self._doomed: set[str] = set()

    def time(self) -> float:
        """Return seconds since the epoch."""
        with self._changed:
            return self._wall

    def monotonic(self) -> float:
        """Return seconds that never go back."""
        with self._changed:
            return self._monotonic

    def wait(self, event: threading.Event, timeout_seconds: float) -> bool:
        """Sleep until the event is set or the clock has moved on; return whether the event is set."""
        thread = threading.current_thread()
        with self._changed:
            end = self._monotonic + max(timeout_seconds, 0.0)
            self._sleeping[thread] = (end, event)
            try:
                while not event.is_set() and self._monotonic < end and thread.name not in self._doomed:
                    self._changed.wait(_LOOK_EVERY_SECONDS)
            finally:
                del self._sleeping[thread]
            if thread.name in self._doomed:
                self._doomed.remove(thread.name)
                raise RuntimeError("a fault that nobody has thought of")
        return event.is_set()

    def asleep(self, *names: str) -> bool:
        """Return whether threads with names that begin so are all asleep, at least one each."""
        resting = self._resting()
        return all(any(each.startswith(name) for each in resting) for name in names)

    def advance(self, seconds: float, *, sleepers: int) -> None:
        """Move time on once that many threads sleep."""
        until(lambda: len(self._resting()) >= sleepers)
        with self._changed:
            self._wall += seconds
            self._monotonic += seconds
            self._changed.notify_all()

    def end_thread(self, name: str) -> None:
        """Let the thread of this name die in its sleep."""
        until(lambda: self.asleep(name))
        with self._changed:
            self._doomed.add(name)
            self._changed.notify_all()
        until(lambda: name not in {thread.name for thread in threading.enumerate()})

    def _resting(self) -> list[str]:
        """Return the names of the threads that nothing has woken yet."""
        with self._changed:
            return [
                thread.name
                for thread, (end, event) in self._sleeping.items()
                if end > self._monotonic and not event.is_set()
            ]
