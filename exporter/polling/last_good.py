"""The last good data of one source: shown until newer come, remembered on disk, withdrawn when too old."""

import threading
from dataclasses import replace

from exporter.clock import Clock
from exporter.errors import PollAborted
from exporter.logs import Logger
from exporter.metrics.detail import Detail, detail
from exporter.metrics.families import families
from exporter.metrics.snapshot import SnapshotStore
from exporter.metrics.targets import Target
from exporter.model import Answer, Row, SourceName
from exporter.polling.plan import PollPlan
from exporter.polling.state import RememberedData, SourceState


class LastGood:
    """Rows and the moment they were fetched. Safe for threads."""

    def __init__(
        self,
        plan: PollPlan,
        source: SourceName,
        *,
        state: SourceState,
        snapshots: SnapshotStore,
        clock: Clock,
        log: Logger,
    ) -> None:
        self.plan = plan
        self._source = source
        self._state = state
        self._snapshots = snapshots
        self._clock = clock
        self._log = log
        self._lock = threading.RLock()
        self._closed = False
        self._fetched: float | None = None  # monotonic: the wall clock may be set
        self.rows: tuple[Row, ...] = ()
        self._detail: Detail | None = None

    def show(self, answer: Answer) -> None:
        """Show this answer in place of all others; raises PollAborted when closed meanwhile.

        Its counts are rendered before anything else waits for it, and are no more after.
        """
        ready = detail(self.plan.partner, self._source, answer.breakdown)
        self._show(answer.rows, ready, age_seconds=0.0)

    def _show(self, rows: tuple[Row, ...], ready: Detail | None, *, age_seconds: float) -> None:
        with self._lock:
            if self._closed:
                raise PollAborted
            self.rows, self._detail = rows, ready
            self._fetched = self._clock.monotonic() - age_seconds
            self._publish()

    def save(self) -> None:
        """Remember what is shown."""
        data = self.remembered()
        if data is not None:
            self._state.save_data(data.rows, fetched_at=data.fetched_at, detail=data.detail)

    def restore(self, heir_of: "LastGood | None") -> bool:
        """Show what a predecessor showed, or an earlier run saved; return whether there was any of use."""
        data = heir_of.remembered() if heir_of else self._state.load_data()
        if data is None:
            return False
        age = max(self._clock.time() - data.fetched_at, 0.0)
        if age > self.plan.max_staleness_seconds:
            self._snapshots.withdraw(self.plan.partner, self._source)
            self._log.warning("remembered data too old, not shown", age_seconds=round(age))
            return False
        # What was asked before with other detail is shown without: the operator may have taken it away.
        same = data.detail is not None and set(data.detail.names) == set(self.plan.detail)
        self._show(data.rows, data.detail if same else None, age_seconds=age)
        return True

    def remembered(self) -> RememberedData | None:
        """Return the data that are shown."""
        with self._lock:
            if self._fetched is None:
                return None
            age = self._clock.monotonic() - self._fetched
            return RememberedData(self._clock.time() - age, self.rows, self._detail)

    def retarget(self, targets: tuple[Target, ...]) -> None:
        """Show other targets beside the same rows."""
        with self._lock:
            self.plan = replace(self.plan, targets=targets)
            if self._fetched is not None:
                self._publish()

    def withdraw_if_stale(self) -> bool:
        """Remove data that are older than max_staleness; return whether they were."""
        with self._lock:
            if self._fetched is None:
                return False
            age = self._clock.monotonic() - self._fetched
            if age <= self.plan.max_staleness_seconds:
                return False
            self._fetched, self.rows, self._detail = None, (), None
            self._snapshots.withdraw(self.plan.partner, self._source)
        self._log.warning(
            "data withdrawn", age_seconds=round(age), max_staleness=self.plan.max_staleness_seconds
        )
        return True

    def close(self) -> None:
        """Show nothing new from now on; what is shown stays until somebody withdraws or replaces it."""
        with self._lock:
            self._closed = True

    def _publish(self) -> None:
        ready = families(self.plan.partner, self.rows, self.plan.targets)
        self._snapshots.publish(self.plan.partner, self._source, ready, self._detail)
