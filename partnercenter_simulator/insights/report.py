"""A scheduled report and its executions, and where each of them stands at a time of the data."""

import uuid
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from partnercenter_simulator.insights.pages import Fields
from partnercenter_simulator.insights.quirks import InsightsQuirks
from partnercenter_simulator.insights.report_request import ReportRequest

_KEPT = timedelta(days=90)


@dataclass(frozen=True, slots=True)
class Execution:
    """One run of a report, due at a time of the data."""

    execution_id: str
    due: datetime


@dataclass(slots=True, kw_only=True)
class Report:
    """A report and where it stands; `created` and `modified` are on the wall clock, the rest in the data's time.

    `next_due` is None once it has run as often as asked.
    """

    report_id: str
    fields: Fields
    request: ReportRequest
    query: str
    user: str
    created: datetime
    modified: datetime
    next_due: datetime | None
    left: int | None
    paused_at: datetime | None = None
    executions: list[Execution] = field(default_factory=list)

    def advance(self, now: datetime) -> None:
        """Add the executions that are due by now; while the report is paused they are left out."""
        while self.next_due is not None and self.next_due <= now:
            if self.paused_at is None:
                self.executions.append(Execution(str(uuid.uuid4()), self.next_due))
                self.left = None if self.left is None else self.left - 1
            over = self.request.execute_now or self.left == 0
            self.next_due = None if over else self.next_due + timedelta(hours=self.request.interval)
        self.executions = [each for each in self.executions if each.due >= now - _KEPT]

    def status_of(self, execution: Execution, now: datetime, quirks: InsightsQuirks) -> str:
        """Return an execution's status; only the newest one can be stuck or paused."""
        newest = execution is self.executions[-1]
        if newest and self.paused_at is not None and self.paused_at < completion(execution, quirks):
            return "Paused"
        if now < execution.due + timedelta(seconds=quirks.queue_seconds):
            return "Pending"
        if newest and quirks.stuck_status:
            return quirks.stuck_status
        return "Running" if now < completion(execution, quirks) else "Completed"

    def status(self, now: datetime, quirks: InsightsQuirks) -> str:
        """Return Active, Paused, or Inactive once nothing is left to run."""
        if self.paused_at is not None:
            return "Paused"
        is_over = self.next_due is None and all(completion(each, quirks) <= now for each in self.executions)
        return "Inactive" if is_over else "Active"


def completion(execution: Execution, quirks: InsightsQuirks) -> datetime:
    """Return when an execution completes, unless it is stuck."""
    return execution.due + timedelta(seconds=quirks.queue_seconds + quirks.run_seconds)
