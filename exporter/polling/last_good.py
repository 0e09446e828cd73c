"""The last good data of one source: shown until newer data arrives, saved, withdrawn when too old."""

import threading
from collections.abc import Sequence

from exporter.clock import Clock
from exporter.errors import PollAborted
from exporter.logs import Logger
from exporter.metrics.detail import Detail, detail
from exporter.metrics.families import families
from exporter.metrics.snapshot import SnapshotStore
from exporter.metrics.targets import Target
from exporter.model import Answer, Row
from exporter.polling.plan import PollPlan
from exporter.polling.state import RememberedData, SourceState


class LastGood:
    """Rows and the moment they were fetched. Safe for threads."""

    def __init__(
        self,
        plan: PollPlan,
        targets: Sequence[Target],
        *,
        state: SourceState,
        snapshots: SnapshotStore,
        clock: Clock,
        log: Logger,
    ) -> None:
        self._plan = plan
        self._targets = targets
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
        """Show this answer in place of what is shown; raises PollAborted when closed meanwhile.

        Its totals are rendered, and so drained, before the lock is taken.
        """
        ready = detail(self._plan.partner, self._plan.source, answer.breakdown)
        self._show(answer.rows, ready, age_seconds=0.0)

    def _show(self, rows: tuple[Row, ...], ready: Detail | None, *, age_seconds: float) -> None:
        with self._lock:
            if self._closed:
                raise PollAborted
            self.rows, self._detail = rows, ready
            self._fetched = self._clock.monotonic() - age_seconds
            self._publish()

    def save(self) -> None:
        """Save what is shown."""
        data = self.remembered()
        if data is not None:
            self._state.save_data(data)

    def restore(self, predecessor: "LastGood | None") -> bool:
        """Show what a predecessor showed, or an earlier run saved; return whether it could be used."""
        data = predecessor.remembered() if predecessor else self._state.load_data()
        if data is None:
            return False
        age = max(self._clock.time() - data.fetched_at, 0.0)
        if age > self._plan.max_staleness_seconds:
            self._snapshots.withdraw(self._plan.partner, self._plan.source)
            self._log.warning("saved data too old, not shown", age_seconds=round(age))
            return False
        # Counts that were asked for with another detail are not shown: the operator may have removed it.
        same = data.detail is not None and set(data.detail.names) == set(self._plan.detail)
        self._show(data.rows, data.detail if same else None, age_seconds=age)
        return True

    def remembered(self) -> RememberedData | None:
        """Return the data that is shown."""
        with self._lock:
            if self._fetched is None:
                return None
            age = self._clock.monotonic() - self._fetched
            return RememberedData(self._clock.time() - age, self.rows, self._detail)

    def retarget(self, targets: Sequence[Target]) -> None:
        """Show other targets beside the same rows."""
        with self._lock:
            self._targets = targets
            if self._fetched is not None:
                self._publish()

    def withdraw_if_stale(self) -> bool:
        """Remove data that is older than max_staleness; return whether it was."""
        limit = self._plan.max_staleness_seconds
        with self._lock:
            age = 0.0 if self._fetched is None else self._clock.monotonic() - self._fetched
            if age <= limit:
                return False
            self._fetched, self.rows, self._detail = None, (), None
            self._snapshots.withdraw(self._plan.partner, self._plan.source)
        self._log.warning("data withdrawn", age_seconds=round(age), max_staleness=limit)
        return True

    def close(self) -> None:
        """Show nothing new from now on; what is shown stays until it is withdrawn or replaced."""
        with self._lock:
            self._closed = True

    def _publish(self) -> None:
        ready = families(self._plan.partner, self.rows, self._targets)
        self._snapshots.publish(self._plan.partner, self._plan.source, ready, self._detail)
