"""One thread for each source: poll, publish, save, wait."""

import math
import random
import threading
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass

from exporter.clock import Clock
from exporter.errors import InternalError, PollAborted, PollError
from exporter.logs import Logger, place_of
from exporter.messages import Line, class_name, line
from exporter.metrics.exporter_metrics import ExporterMetrics
from exporter.model.rows import Answer
from exporter.model.status import Failure, PollStatus
from exporter.partner_center.client import ApiPoll, PartnerCenterClient
from exporter.polling import schedule
from exporter.polling.last_good import LastGood
from exporter.polling.plan import PollPlan
from exporter.polling.state import PollRecord, Remembered, SourceState
from exporter.upstream.retry_after import MAX_WAIT_SECONDS


@dataclass(kw_only=True, eq=False)
class Poller:
    """Polls one source on a thread of its own until stopped. All methods may be called from any thread.

    `fetch` returns one complete answer, or raises PollError.
    """

    plan: PollPlan
    fetch: Callable[[ApiPoll], Answer]
    client: PartnerCenterClient
    data: LastGood
    state: SourceState
    metrics: ExporterMetrics
    clock: Clock
    rng: random.Random
    log: Logger

    def __post_init__(self) -> None:
        self._thread: threading.Thread | None = None
        self._begin = threading.Event()
        self._restarts = 0
        self._restart_at = 0.0
        self._stop = threading.Event()
        self._wake = threading.Event()
        self._lock = threading.RLock()
        self._due = self.clock.monotonic()
        self._retry_after_ends = 0.0  # monotonic
        self._poll_soon = False
        self._polled_query = self.plan.query
        self._poll: ApiPoll | None = None
        # When something was done last, or the next poll is due; on the clock that stands still in a suspended machine.
        self._progress_at = math.inf
        # The newest state; any thread may read it.
        self.status = PollStatus(
            partner=self.plan.partner,
            source=self.plan.source,
            api=self.plan.api,
            interval_seconds=self.plan.interval_seconds,
            max_series=self.plan.max_series,
            next_poll_at=self.clock.time(),
        )

    @property
    def alive(self) -> bool:
        """Whether its thread is running, which may be so for a while after `stop`."""
        return self._thread is not None and self._thread.is_alive()

    @property
    def dead(self) -> bool:
        """Whether it polls no more: its thread has ended, because of a bug, or was told to."""
        return self._thread is not None and (self._stop.is_set() or not self._thread.is_alive())

    @property
    def stuck(self) -> bool:
        """Whether a poll has made no progress for too long, from when it is due until it is saved."""
        poll = self._poll
        progress_at = max(self._progress_at, poll.progress_at) if poll else self._progress_at
        return self.clock.awake() - progress_at > self.plan.stuck_after_seconds

    def prepare(self) -> None:
        """Create the thread, which waits for `start`; raises RuntimeError where the system has none left.

        It is a daemon: a request that hangs must not keep the process alive.
        """
        name = f"poll-{self.plan.partner}-{self.plan.source}"
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._thread.start()

    def start(self) -> None:
        """Let the thread poll."""
        self._progress_at = self.clock.awake()
        self._begin.set()

    def restart_if_dead(self) -> None:
        """Start the thread again if it died, after a longer pause each time."""
        now = self.clock.monotonic()
        if not self.dead or self._stop.is_set() or now < self._restart_at:
            return
        self._restart_at = now + schedule.after_death(self._restarts)
        self._restarts += 1
        self.metrics.observe_restart(self.plan.partner, self.plan.source)
        self.log.error("poll thread died, restarted")
        self.prepare()

    def stop(self) -> None:
        """End the thread: at once while it waits or between two requests of a poll."""
        self._stop.set()
        self.data.close()
        self._wake.set()
        self._begin.set()

    def remembered(self) -> Remembered:
        """Return where its schedule stands, and the data that is shown."""
        return Remembered(self.record(), self.data.current())

    def restore(self, remembered: Remembered, *, has_token: bool) -> None:
        """Resume the schedule and the data of an earlier run, or of the poller that this one replaces.

        Without a token, which there was for the last poll, it polls soon, and so says what is wrong with the sign-in.
        """
        record = remembered.record
        restored = self.data.restore(remembered.data)
        if record is None:
            return
        lost = bool(record.rows) and not restored
        status = self.status.withdrawn() if lost else self.status
        now = self.clock.time()
        # A clock that was ahead when this was written must not stop the polls for as long.
        wait = min(max((record.not_before or 0.0) - now, 0.0), MAX_WAIT_SECONDS)
        due = self._retry_after_ends = self.clock.monotonic() + wait
        if record.api == self.plan.api:
            status = record.restored(status)
            since = max(now - record.last_poll_at, 0.0)
            self._polled_query = record.query if isinstance(record.query, str) else self.plan.query
            asks_the_same = self._polled_query == self.plan.query
            settled = record.finished and bool(record.up) and has_token and not lost and asks_the_same
            wait = schedule.at_start(since, self.plan.interval_seconds, settled=settled)
            due = max(due, self.clock.monotonic() + wait)
        self._schedule(status, due)

    def poll_soon(self) -> None:
        """Poll now if the last poll failed: a token or credential is new. Retry-After still holds.

        The current poll may have begun with the old one: if it fails, the next one follows at once.
        """
        with self._lock:
            self._poll_soon = True
            if self._poll is None and not self.status.up:
                self._schedule(self.status, self._retry_after_ends)
                self._wake.set()

    def poll_on_request(self) -> None:
        """Poll now, unless a poll is under way or it is too soon; then nothing changes."""
        with self._lock:
            now, last = self.clock.monotonic(), self.status.last_poll_at
            since = math.inf if last is None else self.clock.time() - last
            wait = schedule.on_request(since, self._retry_after_ends - now)
            if self._poll is not None or wait > 0:
                self.log.info("poll requested, not begun", next_in=self._due_in())
                return
            self._schedule(self.status, now)
            self._wake.set()
        self.log.info("poll requested")

    def withdraw_if_stale(self) -> None:
        """Remove data older than max_staleness."""
        if self.data.withdraw_if_stale():
            with self._lock:
                self.status = self.status.withdrawn()

    def poll_once(self) -> None:
        """Do one poll, and decide when the next one comes; raises PollAborted when stopped meanwhile."""
        started, began = self.clock.monotonic(), self.clock.awake()
        self._progress_at = began
        self._polled_query = self.plan.query
        with self._lock:
            self._poll_soon = False
            self.status = self.status.started(at=self.clock.time())
        self._save_record(finished=False)
        outcome = self._fetch()
        if self._stop.is_set():
            raise PollAborted
        self._progress_at = self.clock.awake()
        duration = self._progress_at - began
        if isinstance(outcome, Answer):
            self._succeeded(outcome, started, duration)
        else:
            self._failed(outcome, started, duration)
        self._save_record(finished=True)
        self._progress_at = math.inf

    def record(self, *, finished: bool = True) -> PollRecord | None:
        """Return where the schedule stands; None before the first poll."""
        status, wait = self.status, self._retry_after_ends - self.clock.monotonic()
        if status.last_poll_at is None:
            return None
        return PollRecord(
            identity=self.plan.identity,
            api=status.api,
            query=self._polled_query,
            last_poll_at=status.last_poll_at,
            finished=finished and self._poll is None,
            up=status.up,
            last_success_at=status.last_success_at,
            last_duration_seconds=status.last_duration_seconds,
            rows=status.rows,
            failures_in_a_row=status.failures_in_a_row,
            not_before=self.clock.time() + wait if wait > 0 else None,
            failure=status.failure,
            notes=status.notes,
        )

    def _run(self) -> None:
        """Poll on schedule until stopped, or until nothing may be written any more."""
        self._begin.wait()
        while not self._stop.is_set():
            remaining = self._due - self.clock.monotonic()
            if remaining > 0:
                self._progress_at = self.clock.awake() + remaining
                self.clock.wait(self._wake, remaining)
                self._wake.clear()
                continue
            try:
                self.poll_once()
            except PollAborted:
                return

    def _fetch(self) -> Answer | PollError:
        """Return an answer, which is shown already, or what failed; raises PollAborted."""
        self._poll = poll = ApiPoll(self.client, self.plan.source, stop=self._stop, log=self.log)
        try:
            poll.sign_in()
            answer = self.fetch(poll)
            self.data.show(answer)
        except PollAborted:
            raise
        except PollError as error:
            return poll.with_exchange(error)
        except Exception as error:  # noqa: BLE001  a bug in one poll must not end the thread
            self.log.error("internal error", error=class_name(error), where=place_of(error))
            remedy = line("this is a bug in the exporter: please report it with the log line before this one")
            return InternalError(line("{} in the exporter", class_name(error)), remedy=remedy)
        else:
            return answer
        finally:
            self._poll = None

    def _succeeded(self, answer: Answer, started: float, duration_seconds: float) -> None:
        self.data.save()
        due = started + schedule.after_success(min(self.plan.interval_seconds, answer.again_seconds), self.rng)
        self._log_changes(self.status.notes, answer.notes)
        # Counted before it is shown: who sees the status sees the counters too.
        self.metrics.observe_poll(self.plan.partner, self.plan.source, failure=None)
        self.metrics.observe_dropped(self.plan.partner, self.plan.source, answer.dropped)
        with self._lock:
            self._retry_after_ends = 0.0
            status = self.status.succeeded(
                at=self.clock.time(), rows=answer.usable, duration_seconds=duration_seconds, notes=answer.notes
            )
            self._schedule(status, due)
        dropped = {f"dropped_{reason}": count for reason, count in answer.dropped.items() if count}
        log = self.log.warning if dropped or not answer.rows else self.log.info
        log(
            "poll succeeded" if answer.rows else "poll succeeded without rows",
            rows=answer.usable,
            duration=line("{:.2f}s", duration_seconds),
            next_in=self._due_in(),
            **dropped,
        )

    def _log_changes(self, before: Sequence[Line], now: Sequence[Line]) -> None:
        """Log each note when it comes, and when it goes."""
        for note in now:
            if note not in before:
                self.log.warning("data incomplete", what=note)
        for note in before:
            if note not in now:
                self.log.info("data complete again", was=note)

    def _failed(self, error: PollError, started: float, duration_seconds: float) -> None:
        now = self.clock.monotonic()
        self.metrics.observe_poll(self.plan.partner, self.plan.source, failure=error.reason)
        with self._lock:
            self._retry_after_ends = now + (error.retry_after_seconds or 0.0)
            status = self.status.failed(Failure.of(error), duration_seconds=duration_seconds)
            interval, failures = self.plan.interval_seconds, status.failures_in_a_row
            due = now if self._poll_soon else started + schedule.after_failure(failures, interval, self.rng)
            self._schedule(status, max(due, self._retry_after_ends))
        self.log.error(
            "poll failed",
            reason=error.reason,
            error=error.message,
            remedy=error.remedy,
            **asdict(error.exchange),
            retry_in=self._due_in(),
        )

    def _schedule(self, status: PollStatus, due: float) -> None:
        """Set this status, with the next poll at a monotonic time."""
        with self._lock:
            now = self.clock.monotonic()
            self._due = max(due, now)
            self.status = status.scheduled(at=self.clock.time() + self._due - now)

    def _due_in(self) -> Line:
        return line("{:.0f}s", self._due - self.clock.monotonic())

    def _save_record(self, *, finished: bool) -> None:
        record = self.record(finished=finished)
        if record is not None:
            self.state.save_poll(record)
