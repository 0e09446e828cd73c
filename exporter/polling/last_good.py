"""The last good data of one source: shown until newer data comes, saved on disk, withdrawn when too old."""

import threading
from collections.abc import Sequence
from dataclasses import dataclass, replace

from exporter.clock import Clock
from exporter.errors import PollAborted
from exporter.logs import Logger
from exporter.metrics.breakdown import render_breakdown, series_of_customers
from exporter.metrics.exposition import families
from exporter.metrics.snapshot import SnapshotStore
from exporter.metrics.targets import CustomerSeries, Target, Targets
from exporter.model.chart import Chart, chart_of
from exporter.model.rows import Answer, Row
from exporter.polling.plan import PollPlan
from exporter.polling.state import FetchedData, SourceState


@dataclass(frozen=True, slots=True)
class View:
    """What pages ask of the data, worked out once for each poll: its chart, and the targets that match some series."""

    chart: Chart | None = None
    used_targets: frozenset[Target] = frozenset()


@dataclass(kw_only=True, eq=False)
class LastGood:
    """The data that is shown, and its age. Safe for threads; `view` is swapped as a whole."""

    plan: PollPlan
    state: SourceState
    snapshots: SnapshotStore
    clock: Clock
    log: Logger

    def __post_init__(self) -> None:
        self._lock = threading.RLock()
        self._closed = False
        self._targets: tuple[Target, ...] = ()
        self._data: FetchedData | None = None
        self._fetched = 0.0  # monotonic: the wall clock may be set
        self.view = View()

    def show(self, answer: Answer) -> None:
        """Show this answer instead of any other; raises PollAborted if closed in the meantime.

        Its breakdown is rendered first, before anything waits for it; that empties it.
        """
        breakdown = render_breakdown(self.plan.partner, self.plan.source, answer.breakdown)
        if answer.keeps_breakdown and (shown := self.current()):
            breakdown = shown.breakdown
        self._show(FetchedData(self.clock.time(), answer.rows, breakdown))

    def breakdown_version(self) -> str:
        """Return the version of the breakdown that is shown; empty for none."""
        data = self.current()
        return data.breakdown.version if data and data.breakdown else ""

    def save(self) -> None:
        """Save what is shown."""
        data = self.current()
        if data is not None:
            self.state.save_data(data)

    def restore(self, data: FetchedData | None) -> bool:
        """Show what a predecessor showed, or an earlier run saved; return whether it could be used."""
        if data is None:
            return False
        age = self.clock.time() - data.fetched_at
        if age > self.plan.max_staleness_seconds:
            self.snapshots.withdraw(self.plan.partner, self.plan.source)
            self.log.warning("saved data too old, not shown", age_seconds=round(age))
            return False
        # A breakdown by other labels isn't shown: the operator may no longer want these.
        if data.breakdown and set(data.breakdown.names) != set(self.plan.detail_labels):
            data = replace(data, breakdown=None)
        self._show(data)
        return True

    def current(self) -> FetchedData | None:
        """Return the data that is shown."""
        with self._lock:
            if self._data is None:
                return None
            return replace(self._data, fetched_at=self.clock.time() - self._age())

    def retarget(self, targets: tuple[Target, ...]) -> None:
        """Show these targets with the rows."""
        with self._lock:
            if targets != self._targets:
                self._targets = targets
                self._publish()

    def withdraw_if_stale(self) -> bool:
        """Remove data older than max_staleness; return whether it was."""
        with self._lock:
            age, max_staleness = self._age(), self.plan.max_staleness_seconds
            if self._data is None or age <= max_staleness:
                return False
            self._data, self.view = None, View()
            self.snapshots.withdraw(self.plan.partner, self.plan.source)
        self.log.warning("data withdrawn", age_seconds=round(age), max_staleness=max_staleness)
        return True

    def close(self) -> None:
        """Show nothing new from now on; what is shown stays until it is withdrawn or replaced."""
        with self._lock:
            self._closed = True

    def _show(self, data: FetchedData) -> None:
        with self._lock:
            if self._closed:
                raise PollAborted
            self._data = data
            self._fetched = self.clock.monotonic() - max(self.clock.time() - data.fetched_at, 0.0)
            self._publish()

    def _age(self) -> float:
        return self.clock.monotonic() - self._fetched

    def _publish(self) -> None:
        if self._data is not None:
            partner, rows = self.plan.partner, self._data.rows
            targets = Targets(self._targets)
            customers = series_of_customers(self._data.breakdown, targets.customers)
            ready = families(partner, rows, self._targets, customers)
            self.snapshots.publish(partner, self.plan.source, ready, self._data.breakdown)
            self.view = _view(partner, rows, targets, customers)


def _view(partner: str, rows: Sequence[Row], targets: Targets, customers: Sequence[CustomerSeries]) -> View:
    def target_of(row: Row) -> float | None:
        target = targets.of(partner, row)
        return target.ratio if target else None

    return View(chart_of(partner, rows, target_of), targets.used(partner, rows, customers))
