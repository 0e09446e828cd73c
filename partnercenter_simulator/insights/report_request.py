"""What a client asks for when it creates or changes a scheduled report, with every rule that is known."""

import uuid
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from partnercenter_simulator.insights.catalogue import MINIMUM_HOURS
from partnercenter_simulator.insights.envelope import InsightsError
from partnercenter_simulator.insights.evaluation import Period
from partnercenter_simulator.insights.pages import Fields

_MAX_TEXT = 256
_LONGEST_HOURS = 2160
_SHORTEST_HOURS = 4
_NOTICE = timedelta(hours=4)
_FORMATS = ("csv", "tsv")
_METHODS = ("", "get", "post")


@dataclass(frozen=True, slots=True, kw_only=True)
class ReportRequest:
    """A valid request. `interval` is in hours; `count` None: without end; `period` only with `execute_now`."""

    name: str
    description: str
    query_id: str
    start: datetime
    execute_now: bool
    period: Period
    interval: int
    count: int | None
    format: str
    callback_url: str
    callback_method: str


def parse(fields: Fields, now: datetime) -> ReportRequest:
    """Check the fields of a request. Raises InsightsError: 400, or 500 for a malformed time."""
    name, description = fields.required("ReportName"), fields.text("Description")
    if len(name) > _MAX_TEXT or ";" in name or len(description) > _MAX_TEXT:
        raise InsightsError(400, "Invalid report parameters: ReportName or Description.")
    shape = fields.text("Format").lower() or "csv"
    method = fields.text("CallbackMethod")
    for value, allowed in ((shape, _FORMATS), (method.lower(), _METHODS)):
        if value not in allowed:
            raise InsightsError(400, f"Requested value '{value}' not found.")
    execute_now = fields.flag("ExecuteNow")
    times = [fields.text(each) for each in ("QueryStartTime", "QueryEndTime")]
    return ReportRequest(
        name=name,
        description=description,
        query_id=fields.required("QueryId"),
        start=now if execute_now else _start(fields, now),
        execute_now=execute_now,
        period=Period(*(_moment(text) if text else None for text in times)) if execute_now else Period(),
        interval=fields.number("RecurrenceInterval") or 0 if execute_now else _interval(fields),
        count=None if execute_now else _count(fields),
        format=shape,
        callback_url=fields.text("CallbackUrl"),
        callback_method=method,
    )


def _start(fields: Fields, now: datetime) -> datetime:
    start = _moment(fields.required("StartTime"))
    if start < now + _NOTICE:
        rule = "Start time of report should at least be 4 hours from current UTC time"
        raise InsightsError(400, f"Invalid report parameters for creation - {rule}.")
    return start


def _interval(fields: Fields) -> int:
    interval = fields.number("RecurrenceInterval")
    if interval is None:
        raise InsightsError(400, "Null or missing value: RecurrenceInterval.")
    if not _SHORTEST_HOURS <= interval <= _LONGEST_HOURS:
        raise InsightsError(400, "Recurrence Interval must be between 4 and 2160.")
    if interval < MINIMUM_HOURS:
        raise InsightsError(400, f"Invalid report parameters: Recurrence Interval must be at least {MINIMUM_HOURS}.")
    return interval


def _count(fields: Fields) -> int | None:
    count = fields.number("RecurrenceCount")
    if count is not None and count < 1:
        raise InsightsError(400, "Invalid report parameters: RecurrenceCount.")
    return count


def _moment(text: str) -> datetime:
    try:
        return datetime.strptime(text, "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=UTC)
    except ValueError:
        # Sic: the service answers 500 to a malformed time.
        text = f"Internal error encountered while creating report. Correlation ID <{uuid.uuid4()}>"
        raise InsightsError(500, text) from None
