"""One thread a source: poll, publish, remember, wait."""

import random
import threading
from dataclasses import replace
from typing import Any, Protocol

from exporter.clock import Clock
from exporter.errors import InternalError, PollAborted, PollError
from exporter.logs import Logger, place_of
from exporter.metrics.snapshot import SnapshotStore
from exporter.model import Answer, Api, DropReason, Failure, PollStatus, SourceName
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


class PollObserver(Protocol):
    """Who counts polls."""

    def observe_poll(self, partner: str, source: str, *, failure: str | None) -> None:
        """Count one ended poll."""

    def observe_dropped(self, partner: str, source: str, dropped: dict[DropReason, int]) -> None:
        """Count rows that are not shown."""


class Poller:
    """Polls one source until stopped. `run` is the thread's body; the rest may be called from any thread."""

    def __init__(  # noqa: PLR0913  the composition root names each part
        self,
        plan: PollPlan,
        source: Source,
        client: PartnerCenterClient,
        *,
        state: SourceState,
        snapshots: SnapshotStore,
        observer: PollObserver,
        clock: Clock,
        rng: random.Random,
        log: Logger,
    ) -> None:
        self.plan = plan
        self._source = source
        self._client = client
        self._state = state
        self._observer = observer
        self._clock = clock
        self._rng = rng
        self._log = log
        self.data = LastGood(plan, source.name, state=state, snapshots=snapshots, clock=clock, log=log)
        self._stop = threading.Event()
        self._changed = threading.Event()
        self._lock = threading.RLock()
        self._due = clock.monotonic()
        self._not_before = 0.0
        self._failures_in_a_row = 0
        self._asked_soon = False
        self._poll: ApiPoll | None = None
        self._status = PollStatus(
            partner=plan.partner,
            source=source.name,
            api=source.api,
            interval_seconds=plan.interval_seconds,
            next_poll_at=clock.time(),
        )

    @property
    def status(self) -> PollStatus:
        """The newest state."""
        return self._status

    @property
    def stopped(self) -> bool:
        """Whether `stop` was called."""
        return self._stop.is_set()

    def restore(self, heir_of: "Poller | None" = None) -> None:
        """Take up the schedule and the young data of an earlier run, or of the poller this one replaces."""
        record = heir_of.record() if heir_of else self._state.load_poll()
        restored = self.data.restore(heir_of.data if heir_of else None)
        if record is not None:
            stale = bool(record.rows) and not restored
            self._restore_schedule(record, self._clock.time(), good=not stale)
            self._update(stale=stale)

    def save_again(self) -> None:
        """Write the schedule and the data once more; they could not be written before."""
        self.data.save()
        self._remember(finished=True)

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

        A poll under way may have begun with the old one: if it fails, the next follows at once.
        """
        with self._lock:
            self._asked_soon = True
            if self._poll is not None or self._status.up:
                return
            self._schedule(max(self._not_before - self._clock.monotonic(), 0.0))
        self._changed.set()

    def idle_seconds(self) -> float:
        """Return how long the poll under way has shown no progress; 0 between polls."""
        poll = self._poll
        return 0.0 if poll is None else self._clock.monotonic() - poll.progress_at

    def withdraw_if_stale(self) -> None:
        """Remove data that are older than max_staleness."""
        if self.data.withdraw_if_stale():
            self._update(stale=True)

    def poll_once(self) -> None:
        """Do one poll, and decide when the next one comes."""
        started_at, started = self._clock.time(), self._clock.monotonic()
        self._asked_soon = False
        self._update(last_poll_at=started_at)
        self._remember(finished=False)
        answer, failure = self._fetch()
        if self._stop.is_set():
            return
        duration = self._clock.monotonic() - started
        self._update(last_duration_seconds=duration)
        if failure is not None:
            self._failed(failure, started)
        elif answer is not None:
            self._succeeded(answer, started)
        self._remember(finished=True)

    def _fetch(self) -> tuple[Answer | None, PollError | None]:
        """Return an answer that is shown already, or a failure; neither when the exporter stops meanwhile."""
        self._poll = poll = self._client.open_poll(self._source.name, stop=self._stop, log=self._log)
        try:
            poll.sign_in()
            answer = self._source.fetch(poll)
            self.data.show(answer)
        except PollAborted:
            return None, None
        except PollError as error:
            return None, poll.with_exchange(error)
        except Exception as error:  # noqa: BLE001  one poll's fault must not end the thread
            self._log.error("internal error", error=repr(error), where=place_of(error))
            remedy = "this is a fault in the exporter: please report it with the log line before this one"
            return None, InternalError(f"{type(error).__name__} in the exporter", remedy=remedy)
        else:
            return answer, None
        finally:
            self._poll = None

    def _succeeded(self, answer: Answer, started: float) -> None:
        self.data.save()
        self._failures_in_a_row = 0
        self._not_before = 0.0
        self._update(
            up=True,
            last_success_at=self._clock.time(),
            rows=answer.usable,
            failure=None,
            stale=False,
        )
        self._schedule(
            self._remaining(started, schedule.after_success(self.plan.interval_seconds, self._rng))
        )
        self._observer.observe_poll(self.plan.partner, self._source.name, failure=None)
        self._observer.observe_dropped(self.plan.partner, self._source.name, answer.dropped)
        self._log_success(answer)

    def _log_success(self, answer: Answer) -> None:
        dropped = {f"dropped_{reason}": count for reason, count in answer.dropped.items() if count}
        log = self._log.warning if dropped or not answer.rows else self._log.info
        log(
            "poll succeeded" if answer.rows else "poll succeeded without rows",
            rows=answer.usable,
            duration=f"{self._status.last_duration_seconds or 0.0:.2f}s",
            next_in=f"{self._due - self._clock.monotonic():.0f}s",
            **dropped,
        )

    def _failed(self, error: PollError, started: float) -> None:
        self._failures_in_a_row += 1
        wait = self._remaining(
            started, schedule.after_failure(self._failures_in_a_row, self.plan.interval_seconds, self._rng)
        )
        asked = error.retry_after_seconds or 0.0
        self._not_before = self._clock.monotonic() + asked
        exchange = error.exchange
        self._update(
            up=False,
            failure=Failure(
                str(error.reason), error.message, error.remedy, exchange.correlation_id, exchange.request_id
            ),
        )
        with self._lock:
            wait = max(0.0 if self._asked_soon else wait, asked)
            self._schedule(wait)
        self._observer.observe_poll(self.plan.partner, self._source.name, failure=str(error.reason))
        self._log.error(
            "poll failed",
            reason=error.reason,
            error=error.message,
            remedy=error.remedy,
            endpoint=exchange.endpoint,
            status=exchange.status,
            retry_in=f"{wait:.0f}s",
            correlation_id=exchange.correlation_id,
            request_id=exchange.request_id,
        )

    def _remaining(self, started: float, delay_seconds: float) -> float:
        return max(started + delay_seconds - self._clock.monotonic(), 0.0)

    def _schedule(self, wait_seconds: float) -> None:
        self._due = self._clock.monotonic() + wait_seconds
        self._update(next_poll_at=self._clock.time() + wait_seconds)

    def _update(self, **changes: Any) -> None:
        """Swap the state: other threads change it too."""
        with self._lock:
            self._status = replace(self._status, **changes)

    def _restore_schedule(self, record: PollRecord, now: float, *, good: bool) -> None:
        """Go on where the schedule stood; a good poll whose data are lost (not `good`) does not count."""
        # A clock that was ahead when this was written must not stop the polls for as long.
        asked = min(max((record.not_before or 0.0) - now, 0.0), LONGEST_WAIT_SECONDS)
        self._not_before = self._clock.monotonic() + asked
        if record.api == self._source.api:
            self._failures_in_a_row = record.failures_in_a_row
            self._update(
                up=record.up,
                last_poll_at=record.last_poll_at,
                last_success_at=record.last_success_at,
                last_duration_seconds=record.last_duration_seconds,
                rows=record.rows,
                failure=record.failure,
            )
            since = max(now - record.last_poll_at, 0.0)
            settled = good and record.finished and bool(record.up)
            asked = max(asked, schedule.at_start(since, self.plan.interval_seconds, settled=settled))
        self._schedule(asked)

    def record(self, *, finished: bool = True) -> PollRecord | None:
        """Return where the schedule stands; None before the first poll."""
        status = self._status
        if status.last_poll_at is None:
            return None
        not_before = self._not_before - self._clock.monotonic()
        return PollRecord(
            identity=self.plan.identity,
            api=self._source.api,
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

    def _remember(self, *, finished: bool) -> None:
        record = self.record(finished=finished)
        if record is not None:
            self._state.save_poll(record)
