"""Looks after the poll threads: restarts dead ones, withdraws old data, notices new tokens on disk."""

import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from exporter.clock import Clock
from exporter.errors import PollAborted
from exporter.logs import Logger
from exporter.polling.poller import Poller

_TICK_SECONDS = 1.0
_HEAL_EVERY_SECONDS = 30.0
_FIRST_RESTART_SECONDS = 1.0
_LONGEST_RESTART_SECONDS = 300.0


class SignIn(Protocol):
    """The sign-in of one partner, as far as the supervisor looks after it."""

    def changed_on_disk(self) -> bool:
        """Return whether somebody else replaced a token, seed or credential since last asked."""
        ...


@dataclass
class Worker:
    """One poller with its thread."""

    poller: Poller
    stuck_after_seconds: float
    thread: threading.Thread | None = None
    restarts: int = 0
    restart_at: float = 0.0

    def start(self) -> None:
        """Start the thread. It is a daemon: a request that hangs must not keep the process alive."""
        status = self.poller.status
        name = f"poll-{status.partner}-{status.source}"
        thread = threading.Thread(target=self.poller.run, name=name, daemon=True)
        thread.start()
        self.thread = thread

    @property
    def dead(self) -> bool:
        """Whether the thread has ended by a fault. A reload shows workers not started yet, or stopped."""
        return self.thread is not None and not self.thread.is_alive() and not self.poller.stopped

    @property
    def healthy(self) -> bool:
        """Whether the thread makes progress, as far as it should."""
        return not self.dead and self.poller.idle_seconds() <= self.stuck_after_seconds


@dataclass(frozen=True, slots=True)
class Unit:
    """One partner at work: its sign-in, and a worker a source."""

    sign_in: SignIn
    workers: tuple[Worker, ...]


class Supervisor:
    """A thread that looks at every partner once a second."""

    def __init__(
        self,
        units: Callable[[], tuple[Unit, ...]],
        *,
        heal_state: Callable[[], None],
        on_restart: Callable[[str, str], None],
        clock: Clock,
        log: Logger,
    ) -> None:
        self._units = units
        self._heal_state = heal_state
        self._on_restart = on_restart
        self._clock = clock
        self._log = log
        self._stop = threading.Event()
        self._heal_at = clock.monotonic() + _HEAL_EVERY_SECONDS
        self.thread = threading.Thread(target=self._run, name="supervisor", daemon=True)

    def start(self) -> None:
        """Start looking."""
        self.thread.start()

    def stop(self) -> None:
        """Stop looking; returns at once."""
        self._stop.set()

    def _run(self) -> None:
        while not self._clock.wait(self._stop, _TICK_SECONDS):
            try:
                self.look()
            except PollAborted:  # what it would have healed can't be written any more
                return
            except Exception as error:  # noqa: BLE001  the one who restarts others must not die of a fault
                self._log.error("internal error", error=repr(error))

    def look(self) -> None:
        """Look at every partner once."""
        for unit in self._units():
            changed = unit.sign_in.changed_on_disk()
            for worker in unit.workers:
                worker.poller.withdraw_if_stale()
                if changed:
                    worker.poller.poll_soon()
                if worker.dead:
                    self._restart(worker)
        if self._clock.monotonic() >= self._heal_at:
            self._heal_at = self._clock.monotonic() + _HEAL_EVERY_SECONDS
            self._heal_state()

    def _restart(self, worker: Worker) -> None:
        now = self._clock.monotonic()
        if now < worker.restart_at:
            return
        delay = min(_FIRST_RESTART_SECONDS * 2**worker.restarts, _LONGEST_RESTART_SECONDS)
        worker.restart_at = now + delay
        worker.restarts += 1
        status = worker.poller.status
        self._log.error("poll thread died, started again", partner=status.partner, source=status.source)
        self._on_restart(status.partner, status.source)
        worker.start()
