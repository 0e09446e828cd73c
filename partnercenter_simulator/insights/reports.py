"""Scheduled reports and their executions, in the data's time."""

import uuid
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta

from partnercenter_simulator.dataset import SimulatedTime
from partnercenter_simulator.exchange import Call, Reply
from partnercenter_simulator.insights.envelope import InsightsError, page
from partnercenter_simulator.insights.pages import Fields, Page, listing, moment, spelled
from partnercenter_simulator.insights.queries import Queries
from partnercenter_simulator.insights.report import Execution, Report, completion
from partnercenter_simulator.insights.report_request import ReportRequest, parse
from partnercenter_simulator.insights.reporting import Reporting
from partnercenter_simulator.wire import Json

MAX_ACTIVE_REPORTS = 50
MAX_EXECUTE_NOW = 5
"""The quotas of a user: active reports, and reports with ExecuteNow in an hour."""

_HOUR = timedelta(hours=1)
_NONE_FOUND = "No item found with given filters."
_NO_EXECUTIONS = "There are no executions that have occurred for the given filter conditions."

Link = Callable[[str, str], str]
"""Returns the link to a file: from the origin that the client uses for the API, and the file's name."""


class Reports:
    """The pages for scheduled reports and executions, and the reports of the user."""

    def __init__(
        self,
        reporting: Reporting,
        queries: Queries,
        simulated_time: SimulatedTime,
        *,
        user: str,
        now: Callable[[], float],
        link: Link,
    ) -> None:
        self._reporting = reporting
        self._queries = queries
        self._time = simulated_time
        self._user = user
        self._now = now
        self._link = link
        self._reports: dict[str, Report] = {}
        self._executed_now: list[datetime] = []
        name = "insights_reports"
        self.pages = (
            Page("GET", "ScheduledReport", name, self._list),
            Page("POST", "ScheduledReport", name, self._create),
            Page("PUT", "ScheduledReport/pause/{id}", name, self._pause),
            Page("PUT", "ScheduledReport/resume/{id}", name, self._resume),
            Page("GET", "ScheduledReport/execution/{id}", "insights_executions", self._list_executions),
            Page("PUT", "ScheduledReport/{id}", name, self._update),
            Page("DELETE", "ScheduledReport/{id}", name, self._delete),
        )

    def add(self, fields: Fields) -> Report:
        """Create a report of the user. Raises InsightsError: 400, or 500 for a malformed time."""
        wall, now = moment(self._now()), self._time.data_now()
        request = parse(fields, wall)
        query = self._queries.find(request.query_id)
        self._check_quotas(request, now)
        report = Report(
            report_id=str(uuid.uuid4()),
            fields=fields,
            request=request,
            query=query.text,
            user=self._user,
            created=wall,
            modified=wall,
            next_due=now + (request.start - wall),
            left=request.count,
        )
        self._reports[report.report_id] = report
        if request.execute_now:
            self._executed_now.append(now)
        return report

    def content(self, execution_id: str) -> tuple[Report, datetime] | None:
        """Return the report of a completed execution, and when it completed; None if there is none."""
        now, quirks = self._time.data_now(), self._reporting.quirks
        for report in self._current():
            for execution in report.executions:
                if execution.execution_id == execution_id:
                    is_done = report.status_of(execution, now, quirks) == "Completed"
                    return (report, completion(execution, quirks)) if is_done else None
        return None

    def _current(self) -> Iterator[Report]:
        now = self._time.data_now()
        for report in self._reports.values():
            report.advance(now)
            yield report

    def _check_quotas(self, request: ReportRequest, now: datetime) -> None:
        quirks = self._reporting.quirks
        self._executed_now = [each for each in self._executed_now if each > now - _HOUR]
        if request.execute_now and len(self._executed_now) >= MAX_EXECUTE_NOW:
            quota = f"{MAX_EXECUTE_NOW} reports/60 mins"
            raise InsightsError(400, f"User has exceeded its ExecuteNow report creation quota of {quota}.")
        if sum(report.status(now, quirks) == "Active" for report in self._current()) >= MAX_ACTIVE_REPORTS:
            quota = f"{MAX_ACTIVE_REPORTS} active reports"
            raise InsightsError(400, f"User has exceeded its report creation quota of {quota}.")

    def _find(self, report_id: str) -> Report:
        report = next((each for each in self._current() if each.report_id == report_id), None)
        if report is None:
            raise InsightsError(404, _NONE_FOUND)
        return report

    def _list(self, call: Call, _target: str) -> Reply:
        wanted = {name: call.query.get(name) for name in ("reportId", "reportName", "queryId")}
        items = [self._item(report) for report in self._current()]
        shown = [item for item in items if all(value in (None, item[name]) for name, value in wanted.items())]
        return listing(call, shown, "Reports fetched successfully", self._reporting.quirks)

    def _create(self, call: Call, _target: str) -> Reply:
        return self._one(call, self.add(Fields.of(call)), "Report created successfully")

    def _update(self, call: Call, target: str) -> Reply:
        report, changes = self._find(target), Fields.of(call)
        for name in ("ReportName", "StartTime"):
            changes.required(name)
        wall, now = moment(self._now()), self._time.data_now()
        fields = changes.over(report.fields)
        request = parse(fields, wall)
        report.query = self._queries.find(request.query_id).text
        report.fields, report.request, report.modified = fields, request, wall
        report.next_due, report.left = now + (request.start - wall), request.count
        return self._one(call, report, "Report updated successfully")

    def _pause(self, call: Call, target: str) -> Reply:
        report = self._find(target)
        report.paused_at = report.paused_at or self._time.data_now()
        return self._one(call, report, "Report paused successfully")

    def _resume(self, call: Call, target: str) -> Reply:
        report = self._find(target)
        report.paused_at = None
        return self._one(call, report, "Report resumed successfully")

    def _delete(self, call: Call, target: str) -> Reply:
        report = self._find(target)
        del self._reports[target]
        return self._one(call, report, "Report deleted successfully")

    def _list_executions(self, call: Call, target: str) -> Reply:
        """List executions: by default only the newest completed one, and 404 where there is none yet."""
        quirks, now = self._reporting.quirks, self._time.data_now()
        statuses = {each.strip().lower() for each in call.query.get("executionStatus", "Completed").split(";")}
        ids = {each.strip() for each in call.query.get("executionId", "").split(";")} - {""}
        report = self._reports.get(target)
        executions = self._find(target).executions if report else []
        chosen = [each for each in executions if not ids or each.execution_id in ids]
        found = [each for each in chosen if report and report.status_of(each, now, quirks).lower() in statuses]
        if not found and quirks.shows_pending:
            found = chosen
        if call.query.get("getLatestExecution", "true").lower() == "true":
            found = found[-1:]
        if report is None or not found:
            raise InsightsError(404, _NO_EXECUTIONS)
        items = [self._execution_item(call, report, each) for each in found]
        return page(call, items, "Report executions fetched successfully", quirks)

    def _one(self, call: Call, report: Report, message: str) -> Reply:
        return page(call, [self._item(report)], message, self._reporting.quirks)

    def _item(self, report: Report) -> dict[str, Json]:
        request = report.request
        return {
            "reportId": report.report_id,
            "reportName": request.name,
            "description": request.description,
            "queryId": request.query_id,
            "query": report.query,
            "user": report.user,
            "createdTime": spelled(report.created),
            "modifiedTime": spelled(report.modified),
            "executeNow": request.execute_now,
            "startTime": spelled(request.start),
            "reportStatus": report.status(self._time.data_now(), self._reporting.quirks),
            **_recurrence(request),
        }

    def _execution_item(self, call: Call, report: Report, execution: Execution) -> dict[str, Json]:
        quirks = self._reporting.quirks
        status = report.status_of(execution, self._time.data_now(), quirks)
        completed = completion(execution, quirks) if status == "Completed" else None
        name = f"{execution.execution_id}.{report.request.format}"
        return {
            "executionId": execution.execution_id,
            "reportId": report.report_id,
            **_recurrence(report.request),
            "executionStatus": status,
            "reportLocation": None,
            "reportAccessSecureLink": self._link(call.origin, name) if completed else None,
            "reportExpiryTime": None,
            "reportGeneratedTime": spelled(self._time.on_wall(completed)) if completed else None,
        }


def _recurrence(request: ReportRequest) -> dict[str, Json]:
    return {
        "recurrenceInterval": request.interval,
        "recurrenceCount": request.count,
        "callbackUrl": request.callback_url or None,
        "callbackMethod": request.callback_method or None,
        "format": request.format,
    }
