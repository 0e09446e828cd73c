"""One thread per source: poll, publish, save, wait."""

import random
import threading
from collections.abc import Sequence
from typing import Protocol

from exporter.clock import Clock
from exporter.errors import InternalError, PollAborted, PollError
from exporter.logs import Logger, place_of
from exporter.metrics.own import OwnMetrics
from exporter.metrics.snapshot import SnapshotStore
from exporter.metrics.targets import Target
from exporter.model import Answer, Api, Failure, PollStatus, SourceName
from exporter.partner_center.client import ApiPoll, PartnerCenterClient
from exporter.polling import schedule
from exporter.polling.last_good import LastGood
from exporter.polling.plan import PollPlan
from exporter.polling.state import PollRecord, SourceState
from exporter.upstream.retry_after import LONGEST_WAIT_SECONDS


class Source(Protocol):
    """What a poller polls."""

    @property
    def name(self) -> SourceName:
        """The value of the label `source`."""
        ...

    @property
    def api(self) -> Api:
        """Which API feeds it."""
        ...

    def fetch(self, poll: ApiPoll) -> Answer:
        """Return one complete answer; raises PollError."""
        ...


class Poller:
    """Polls one source until stopped. `run` is its thread; the rest may be called from any thread."""

    def __init__(  # noqa: PLR0913  the composition root names each part
        self,
        plan: PollPlan,
        source: Source,
        client: PartnerCenterClient,
        *,
        targets: Sequence[Target],
        state: SourceState,
        snapshots: SnapshotStore,
        own: OwnMetrics,
        clock: Clock,
        rng: random.Random,
        log: Logger,
    ) -> None:
        self.plan = plan
        self.source = source
        self._client = client
        self._state = state
        self._own = own
        self._clock = clock
        self._rng = rng
        self._log = log
        self.data = LastGood(plan, targets, state=state, snapshots=snapshots, clock=clock, log=log)
        self._stop = threading.Event()
        self._changed = threading.Event()
        self._lock = threading.RLock()
        self._thread: threading.Thread | None = None
        self._restarts = 0
        self._restart_at = 0.0
        self._due = clock.monotonic()
        self._not_before = 0.0
        self._failures_in_a_row = 0
        self._asked_soon = False
        self._poll: ApiPoll | None = None
        self._status = PollStatus(
            plan.partner, source.name, source.api, plan.interval_seconds, next_poll_at=clock.time()
        )

    @property
    def status(self) -> PollStatus:
        """The newest state."""
        return self._status

    @property
    def running(self) -> bool:
        """Whether the thread is alive: a poll may be in progress."""
        return self._thread is not None and self._thread.is_alive()

    @property
    def dead(self) -> bool:
        """Whether the thread has died of a fault. During a reload some are not started yet, or stopped."""
        return self._thread is not None and not self._thread.is_alive() and not self._stop.is_set()

    @property
    def stuck(self) -> bool:
        """Whether the poll in progress has shown no progress for too long."""
        poll = self._poll
        return poll is not None and self._clock.monotonic() - poll.progress_at > self.plan.stuck_after_seconds

    def start(self) -> None:
        """Start the thread. It is a daemon: a request that hangs must not keep the process alive."""
        name = f"poll-{self.plan.partner}-{self.plan.source}"
        thread = threading.Thread(target=self.run, name=name, daemon=True)
        thread.start()
        self._thread = thread

    def restart_if_dead(self) -> None:
        """Start the thread again where it has died, less and less often."""
        now = self._clock.monotonic()
        if not self.dead or now < self._restart_at:
            return
        self._restart_at = now + schedule.after_death(self._restarts)
        self._restarts += 1
        self._log.error("poll thread died, restarted")
        self._own.observe_restart(self.plan.partner, self.plan.source)
        self.start()

    def run(self) -> None:
        """Poll on schedule until stopped, or until nothing may be written any more."""
        while not self._stop.is_set():
            remaining = self._due - self._clock.monotonic()
            if remaining > 0:
                self._clock.wait(self._changed, remaining)
                self._changed.clear()
                continue
            try:
                self.poll_once()
            except PollAborted:
                return

    def stop(self) -> None:
        """End the thread: at once while it waits or between two requests of a poll."""
        self._stop.set()
        self.data.close()
        self._changed.set()

    def poll_soon(self) -> None:
        """Poll now if the last poll failed: a token or credential is new. Retry-After still holds.

        A poll in progress may have begun with the old one: if it fails, the next follows at once.
        """
        with self._lock:
            self._asked_soon = True
            if self._poll is not None or self._status.up:
                return
            self._schedule(max(self._not_before - self._clock.monotonic(), 0.0))
        self._changed.set()

    def withdraw_if_stale(self) -> None:
        """Remove data that is older than max_staleness."""
        if self.data.withdraw_if_stale():
            with self._lock:
                self._status = self._status.withdrawn()

    def restore(self, predecessor: "Poller | None" = None) -> None:
        """Take over the schedule and the data of an earlier run, or of the poller that this one replaces."""
        record = predecessor.record() if predecessor else self._state.load_poll()
        restored = self.data.restore(predecessor.data if predecessor else None)
        if record is None:
            return
        stale = bool(record.rows) and not restored
        self._restore_schedule(record, self._clock.time(), data_lost=stale)
        if stale:
            with self._lock:
                self._status = self._status.withdrawn()

    def save_again(self) -> None:
        """Write the schedule and the data once more; they could not be written before."""
        self.data.save()
        self._save_schedule(finished=True)

    def poll_once(self) -> None:
        """Do one poll, and schedule the next one."""
        started = self._clock.monotonic()
        with self._lock:
            self._asked_soon = False
            self._status = self._status.started(self._clock.time())
        self._save_schedule(finished=False)
        outcome = self._fetch()
        if outcome is None or self._stop.is_set():
            return
        if isinstance(outcome, PollError):
            self._failed(outcome, started)
        else:
            self._succeeded(outcome, started)
        self._save_schedule(finished=True)

    def _fetch(self) -> Answer | PollError | None:
        """Return an answer that is shown already, or a failure; None when the exporter stops meanwhile."""
        self._poll = poll = self._client.open_poll(self.plan.source, stop=self._stop, log=self._log)
        try:
            poll.sign_in()
            answer = self.source.fetch(poll)
            self.data.show(answer)
        except PollAborted:
            return None
        except PollError as error:
            return poll.with_exchange(error)
        except Exception as error:  # noqa: BLE001  one poll's fault must not end the thread
            self._log.error("internal error", error=repr(error), where=place_of(error))
            remedy = "this is a bug in the exporter: please report it with the log line before this one"
            return InternalError(f"{type(error).__name__} in the exporter", remedy=remedy)
        else:
            return answer
        finally:
            self._poll = None

    def _succeeded(self, answer: Answer, started: float) -> None:
        self.data.save()
        duration = self._clock.monotonic() - started
        with self._lock:
            self._failures_in_a_row = 0
            self._not_before = 0.0
            self._status = self._status.succeeded(
                at=self._clock.time(), duration_seconds=duration, rows=answer.usable
            )
            next_in = self._schedule_from(
                started, schedule.after_success(self.plan.interval_seconds, self._rng)
            )
        self._own.observe_poll(self.plan.partner, self.plan.source, failure=None)
        self._own.observe_dropped(self.plan.partner, self.plan.source, answer.dropped)
        dropped = {f"dropped_{reason}": count for reason, count in answer.dropped.items() if count}
        log = self._log.warning if dropped or not answer.rows else self._log.info
        log(
            "poll succeeded" if answer.rows else "poll succeeded without rows",
            rows=answer.usable,
            duration=f"{duration:.2f}s",
            next_in=f"{next_in:.0f}s",
            **dropped,
        )

    def _failed(self, error: PollError, started: float) -> None:
        retry_after = error.retry_after_seconds or 0.0
        now = self._clock.monotonic()
        with self._lock:
            self._failures_in_a_row += 1
            self._not_before = now + retry_after
            self._status = self._status.failed(Failure.of(error), duration_seconds=now - started)
            back_off = schedule.after_failure(self._failures_in_a_row, self.plan.interval_seconds, self._rng)
            retry_in = self._schedule_from(
                started, 0.0 if self._asked_soon else back_off, at_least=retry_after
            )
        self._own.observe_poll(self.plan.partner, self.plan.source, failure=error.reason)
        exchange = error.exchange
        self._log.error(
            "poll failed",
            reason=error.reason,
            error=error.message,
            remedy=error.remedy,
            endpoint=exchange.endpoint,
            status=exchange.status,
            retry_in=f"{retry_in:.0f}s",
            correlation_id=exchange.correlation_id,
            request_id=exchange.request_id,
        )

    def _schedule_from(self, started: float, delay_seconds: float, *, at_least: float = 0.0) -> float:
        """Set the next poll, counted from the start of the last one; return in how many seconds it is due."""
        wait = max(started + delay_seconds - self._clock.monotonic(), at_least)
        self._schedule(wait)
        return wait

    def _schedule(self, wait_seconds: float) -> None:
        with self._lock:
            self._due = self._clock.monotonic() + wait_seconds
            self._status = self._status.scheduled(self._clock.time() + wait_seconds)

    def _restore_schedule(self, record: PollRecord, now: float, *, data_lost: bool) -> None:
        """Continue a schedule; a successful poll whose data is lost does not count."""
        # A clock that was ahead when this was written must not stop the polls for as long.
        wait = min(max((record.not_before or 0.0) - now, 0.0), LONGEST_WAIT_SECONDS)
        self._not_before = self._clock.monotonic() + wait
        if record.api == self.source.api:
            self._failures_in_a_row = record.failures_in_a_row
            with self._lock:
                self._status = record.resumed(self._status)
            since = max(now - record.last_poll_at, 0.0)
            settled = not data_lost and record.finished and bool(record.up)
            wait = max(wait, schedule.at_start(since, self.plan.interval_seconds, settled=settled))
        self._schedule(wait)

    def record(self, *, finished: bool = True) -> PollRecord | None:
        """Return the schedule as it is saved; None before the first poll."""
        status = self._status
        if status.last_poll_at is None:
            return None
        not_before = self._not_before - self._clock.monotonic()
        return PollRecord(
            identity=self.plan.identity,
            api=status.api,
            last_poll_at=status.last_poll_at,
            finished=finished and self._poll is None,
            up=status.up,
            last_success_at=status.last_success_at,
            last_duration_seconds=status.last_duration_seconds,
            rows=status.rows,
            failures_in_a_row=self._failures_in_a_row,
            not_before=self._clock.time() + not_before if not_before > 0 else None,
            failure=status.failure,
        )

    def _save_schedule(self, *, finished: bool) -> None:
        record = self.record(finished=finished)
        if record is not None:
            self._state.save_poll(record)
