"""Queries, reports and their executions at Partner Insights: what is there, what is created, what is deleted.

learn.microsoft.com/partner-center/insights/insights-programmatic-analytics-available-api. What a request that changes
something came to is not known when its answer is lost, so that none is repeated: whoever sends it looks first.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import msgspec

from exporter.errors import NotFound, Rejected
from exporter.messages import line
from exporter.partner_center.client import ApiPoll
from exporter.partner_center.insights import BASE, DIALECT, Item, folded, items_of, listing
from exporter.partner_center.wire import unusable
from exporter.redaction import Secret

_ACTIVE, _PAUSED, _COMPLETED = "active", "paused", "completed"
_QUOTA = re.compile(r"quota|number of queries exceeded", re.IGNORECASE)
_QUERIES, _REPORTS, _EXECUTIONS = "/ScheduledQueries", "/ScheduledReport", "/ScheduledReport/execution"
_MAX_TEXT = 10_000
_ID = re.compile(r"[A-Za-z0-9-]{1,64}")


@dataclass(frozen=True, slots=True)
class Report:
    """A report as it is upstream; `starts_at` in Unix seconds, None where it doesn't say."""

    report_id: str
    query: str
    status: str
    starts_at: float | None

    @property
    def is_active(self) -> bool:
        """Whether it goes on running."""
        return self.status == _ACTIVE

    @property
    def is_paused(self) -> bool:
        """Whether somebody has paused it."""
        return self.status == _PAUSED


@dataclass(frozen=True, slots=True)
class Execution:
    """A completed execution, and the link to its file, which is a secret: whoever has it can read the file."""

    execution_id: str
    link: Secret


def is_quota(error: Rejected) -> bool:
    """Return whether a refusal is about how many queries or reports one user may have."""
    return bool(_QUOTA.search(error.message))


def query_named(poll: ApiPoll, name: str, text: str) -> str | None:
    """Return the id of the query with this name and text; raises PollError."""
    found = _found(poll, _QUERIES, {"queryName": name})
    return next((_text(q, "queryid") for q in found if _is_named(q, "name", name) and _same(q, text)), None)


def report_with(poll: ApiPoll, report_id: str) -> Report | None:
    """Return the report with this id; raises PollError."""
    found = map(_report, _found(poll, _REPORTS, {"reportId": report_id}))
    return next((report for report in found if folded(report.report_id) == folded(report_id)), None)


def reports_named(poll: ApiPoll, name: str) -> list[Report]:
    """Return the reports with this name; raises PollError."""
    return [
        _report(item) for item in _found(poll, _REPORTS, {"reportName": name}) if _is_named(item, "reportname", name)
    ]


def create_query(poll: ApiPoll, name: str, text: str) -> str:
    """Create a query and return its id; raises PollError."""
    return _created(poll, _QUERIES, {"Name": name, "Query": text}, "queryid")


def create_report(poll: ApiPoll, name: str, query_id: str, *, starts_at: float, interval_hours: int) -> str:
    """Create a report that runs from then on, `starts_at` in Unix seconds, and return its id; raises PollError."""
    keys = {"StartTime": _time(starts_at), "RecurrenceInterval": interval_hours}
    return _created(poll, _REPORTS, {"ReportName": name, "QueryId": query_id, "Format": "CSV", **keys}, "reportid")


def run_once(poll: ApiPoll, name: str, query_id: str, *, starts_at: float, interval_hours: int) -> str:
    """Create a report that runs once, now, and return its id; raises PollError. The times are required, but unused."""
    keys = {"ExecuteNow": True, "StartTime": _time(starts_at), "RecurrenceInterval": interval_hours}
    return _created(poll, _REPORTS, {"ReportName": name, "QueryId": query_id, "Format": "CSV", **keys}, "reportid")


def newest_execution(poll: ApiPoll, report_id: str) -> Execution | None:
    """Return the newest completed execution of a report; None while there is none. Raises PollError."""
    found = [
        item
        for item in _found(poll, f"{_EXECUTIONS}/{report_id}", {})
        if folded(_text(item, "executionstatus")) == _COMPLETED
        and _text(item, "executionid")
        and _text(item, "reportaccesssecurelink")
    ]
    if not found:
        return None
    newest = max(found, key=lambda item: _text(item, "reportgeneratedtime"))
    return Execution(_text(newest, "executionid"), Secret(_text(newest, "reportaccesssecurelink")))


def delete_query(poll: ApiPoll, query_id: str) -> bool:
    """Delete a query; return whether it was there. Raises PollError."""
    return _deleted(poll, f"{_QUERIES}/{query_id}")


def delete_report(poll: ApiPoll, report_id: str) -> bool:
    """Delete a report with its executions; return whether it was there. Raises PollError."""
    return _deleted(poll, f"{_REPORTS}/{report_id}")


def _found(poll: ApiPoll, path: str, options: Mapping[str, str]) -> tuple[Item, ...]:
    """Return what is there; where nothing is, the API says 404."""
    try:
        return listing(poll, path, options).items
    except NotFound:
        return ()


def _created(poll: ApiPoll, path: str, content: Mapping[str, Any], key: str) -> str:
    body = poll.change("POST", BASE + path, DIALECT, content=msgspec.json.encode(content))
    created = next((found for item in items_of(body, poll.redactor) if (found := _text(item, key))), "")
    if not created:
        raise unusable(line("what was created has no id"))
    return created


def _deleted(poll: ApiPoll, path: str) -> bool:
    try:
        poll.change("DELETE", BASE + path, DIALECT)
    except NotFound:
        return False
    return True


def _report(item: Item) -> Report:
    started = _text(item, "starttime")
    try:
        moment = datetime.fromisoformat(started)
        starts_at = (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
    except (ValueError, OverflowError):
        starts_at = None
    return Report(_text(item, "reportid"), _text(item, "query"), folded(_text(item, "reportstatus")), starts_at)


def _is_named(item: Item, key: str, name: str) -> bool:
    return folded(_text(item, key)) == folded(name)


def _same(query: Item, text: str) -> bool:
    return is_same_query(_text(query, "query"), text)


def is_same_query(one: str, other: str) -> bool:
    """Return whether two queries ask the same, in whatever case and with whatever blanks."""
    return folded("".join(one.split())) == folded("".join(other.split()))


def _text(item: Item, key: str) -> str:
    """Return a text; an id goes into a path, so that one that is none is not taken for one."""
    value = item.get(key)
    text = value.strip() if isinstance(value, str) and len(value) <= _MAX_TEXT else ""
    return text if not key.endswith("id") or _ID.fullmatch(text) else ""


def _time(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
