"""Counts by customer of one data set, from a daily report that is created once in the partner's account.

learn.microsoft.com/partner-center/insights/insights-programmatic-access-paradigm. A query and a report are found again
by their names, and by what is remembered; how many a user may have is limited, so that none is created in a loop.
"""

from dataclasses import dataclass
from datetime import UTC, datetime
from hashlib import sha256
from typing import Annotated, Any, Protocol

import msgspec

from exporter.errors import NotFound, PollError, Rejected
from exporter.messages import Line, line
from exporter.model.values import LATEST
from exporter.partner_center import scheduled
from exporter.partner_center.client import ApiPoll
from exporter.partner_center.scheduled import Execution, Report
from exporter.sources.try_query import TryQuery

_INTERVAL_HOURS = 24
_HOUR = 3_600.0
# The API demands four hours; clocks differ.
_FIRST_RUN_SECONDS = 4 * _HOUR + 300
_DAY = 86_400.0
_INTERVAL_SECONDS = _INTERVAL_HOURS * _HOUR
# A run takes a while itself; and of a daily report that has stopped, somebody should know.
_RUN_SECONDS = 4 * _HOUR
_STOPPED_SECONDS = 3 * _DAY
_UNDER_WAY_SECONDS = 6 * _HOUR
# One that goes on, and one that runs at once.
_REPORTS_AT_ONCE = 2
_MAX_DOUBLINGS = 6
_TO_DELETE = line("delete what isn't used, in Partner Center or with `partnercenter-exporter reports --delete`")


_Id = Annotated[str, msgspec.Meta(pattern=r"^[A-Za-z0-9-]{0,64}$")]
_Text = Annotated[str, msgspec.Meta(max_length=256)]
_Moment = Annotated[float, msgspec.Meta(ge=0, le=LATEST)]


class KnownReport(msgspec.Struct, frozen=True, kw_only=True):
    """What is remembered of the report of one data set. Times are Unix seconds.

    `queries` and `reports` are the ids of what this exporter created; `first_report_id` is the report that runs once,
    `ordered_at` then. Creation was last `begun_at`, and is not before `not_before`. A first execution is due by
    `due_at`, and the newest one, `execution_id`, came at `came_at`.
    """

    name: _Text
    report_id: _Id = ""
    first_report_id: _Id = ""
    queries: tuple[_Id, ...] = ()
    reports: tuple[_Id, ...] = ()
    begun_at: _Moment = 0.0
    not_before: _Moment = 0.0
    ordered_at: _Moment = 0.0
    due_at: _Moment = 0.0
    execution_id: _Id = ""
    came_at: _Moment = 0.0


class ReportMemory(Protocol):
    """Where reports are remembered. Whoever has none creates nothing."""

    def load(self, data_set: str) -> KnownReport | None:
        """Return what is known of the report of a data set."""

    def save(self, data_set: str, known: KnownReport) -> None:
        """Remember it."""

    def shown(self) -> str:
        """Return the version of the counts by customer that are shown."""


@dataclass(eq=False)
class DailyReport:
    """The report of one data set; `notes` say what there is to know of it.

    `is_under_way` while the run that was ordered at once may complete at any moment.
    """

    poll: ApiPoll
    query: TryQuery
    memory: ReportMemory | None

    def __post_init__(self) -> None:
        self.data_set = self.query.data_set
        self.notes: list[Line] = []
        self.is_under_way = False
        self._text = self.query.by_customer()
        digest = int.from_bytes(sha256(self._text.encode()).digest()[:4], "big")
        # Letters, digits and blanks are all that a name may have.
        self._name = line("partnercenter exporter {} {}", self.data_set.name, digest)
        self._first_name = line("{} first", self._name)
        self._now = self.poll.client.clock.time()

    def newest_execution(self) -> Execution | None:
        """Return the newest execution, None while there is none; create the report if it isn't there.

        Raises PollError, NotFound where one should have come by now.
        """
        known = self._known()
        report = self._existing(known)
        if report is None:
            if self.memory is None:
                self._note(line("`run` would create the query and the daily report {!r} in this account", self._name))
                return None
            # What was begun in the future was begun by a clock that was ahead.
            if self._now < known.not_before and known.begun_at <= self._now + _HOUR:
                self._note(line("there is no report, and none is created before {}", _moment(known.not_before)))
                return self._execution(known, is_there=False) if known.report_id else None
            known = self._create(known)
        elif not known.report_id:
            due_at = (report.starts_at or self._now) + _INTERVAL_SECONDS + _RUN_SECONDS
            known = self._adopt(known, "reports", report.report_id, report_id=report.report_id, due_at=due_at)
        if known.ordered_at and not known.first_report_id:
            known = self._find_first(known)
        return self._execution(known, is_there=True) if known.report_id else None

    def _adopt(self, known: KnownReport, kind: str, identifier: str, **changes: Any) -> KnownReport:
        """Remember what was found by its name: as created here if that was begun, and its answer lost."""
        ours: tuple[str, ...] = getattr(known, kind)
        if known.begun_at and identifier not in ours:
            changes[kind] = (*ours, identifier)
        return self._remember(known, **changes)

    def _find_first(self, known: KnownReport) -> KnownReport:
        """Look for the report that runs once, which was ordered, and its answer lost."""
        found = next((report for report in scheduled.reports_named(self.poll, self._first_name)), None)
        if found is None or not found.report_id:
            return self._remember(known, ordered_at=0.0)
        return self._adopt(known, "reports", found.report_id, first_report_id=found.report_id)

    def _known(self) -> KnownReport:
        known = self.memory.load(self.data_set.name) if self.memory else None
        if known is None:
            return KnownReport(name=self._name)
        if known.name == self._name:
            return known
        # Of another query: its report stays, to be deleted by who wants it.
        return KnownReport(
            name=self._name,
            queries=known.queries,
            reports=known.reports,
            begun_at=known.begun_at,
            not_before=known.not_before,
        )

    def _existing(self, known: KnownReport) -> Report | None:
        """Return the report that goes on, ours first: of that, the id says what it asks for."""
        ours = scheduled.report_with(self.poll, known.report_id) if known.report_id else None
        if ours and ours.is_active:
            return ours
        found = [
            report
            for report in scheduled.reports_named(self.poll, self._name)
            if report.report_id and scheduled.is_same_query(report.query, self._text)
        ]
        if ours:
            found.insert(0, ours)
        if active := next((report for report in found if report.is_active), None):
            return active
        paused = next((report for report in found if report.is_paused), None)
        if paused:
            self._note(line("the report {!r} is paused: resume it in Partner Center", self._name))
        return paused

    def _create(self, known: KnownReport) -> KnownReport:
        """Create the query, the daily report, and one that runs at once; a refusal for quota holds for a day."""
        hours = max(_INTERVAL_HOURS, self.query.interval_hours)
        # Before anything is created: an exporter that dies in the middle must not create more with each start.
        first = known
        known = self._remember(known, not_before=self._now + _HOUR, begun_at=self._now)
        try:
            query_id = scheduled.query_named(self.poll, self._name, self._text)
            if query_id is None:
                query_id = scheduled.create_query(self.poll, self._name, self._text)
                known = self._remember(known, queries=(*known.queries, query_id))
            elif first.begun_at:
                known = self._adopt(known, "queries", query_id)
            start = self._now + _FIRST_RUN_SECONDS
            made = scheduled.create_report(self.poll, self._name, query_id, starts_at=start, interval_hours=hours)
        except Rejected as error:
            if not scheduled.is_quota(error):
                raise
            known = self._remember(known, not_before=self._now + _DAY)
            self._note(line("{}; it is tried again at {}: {}", error.message, _moment(known.not_before), _TO_DELETE))
            return known
        self.poll.log.info("report created", name=self._name, report_id=self.poll.redactor.quote(made))
        known = self._remember(
            known,
            report_id=made,
            reports=(*known.reports, made),
            # Each later than the last: what never lasts, or is never listed, must not use up the user's quota.
            not_before=self._now + _DAY * 2 ** min(len(known.reports) // _REPORTS_AT_ONCE, _MAX_DOUBLINGS),
            due_at=start + hours * _HOUR + _RUN_SECONDS,
        )
        return self._run_at_once(known, query_id, hours)

    def _run_at_once(self, known: KnownReport, query_id: str, hours: int) -> KnownReport:
        known = self._remember(known, ordered_at=self._now)
        start = self._now + _FIRST_RUN_SECONDS
        try:
            first = scheduled.run_once(self.poll, self._first_name, query_id, starts_at=start, interval_hours=hours)
        except PollError as error:
            self._note(line("{}: the first counts by customer come with the daily report", error.message))
            return known
        return self._remember(known, first_report_id=first, reports=(*known.reports, first))

    def _execution(self, known: KnownReport, *, is_there: bool) -> Execution | None:
        found = scheduled.newest_execution(self.poll, known.report_id)
        if found is None and known.first_report_id:
            found = scheduled.newest_execution(self.poll, known.first_report_id)
        if found is None:
            if not is_there:
                return None
            if self._now > known.due_at:
                raise NotFound(
                    line(
                        "the report {!r} has no completed run, which was due by {}", self._name, _moment(known.due_at)
                    ),
                    remedy=line("look at its runs in Partner Center; without `reports`, the sums are shown"),
                )
            due = _moment(known.due_at)
            self.is_under_way = bool(known.first_report_id) and self._now < known.ordered_at + _UNDER_WAY_SECONDS
            self._note(line("counts by customer come with the first run of {!r}, by {}", self._name, due))
        elif found.execution_id != known.execution_id:
            self._remember(known, execution_id=found.execution_id, came_at=self._now)
        elif self._now - known.came_at > _STOPPED_SECONDS:
            since = _moment(known.came_at)
            self._note(line("the report {!r} has had no new run since {}: look at it", self._name, since))
        return found

    def _remember(self, known: KnownReport, **changes: Any) -> KnownReport:
        known = msgspec.structs.replace(known, **changes)
        if self.memory:
            self.memory.save(self.data_set.name, known)
        return known

    def _note(self, note: Line) -> None:
        self.notes.append(note)


def _moment(at: float) -> Line:
    moment = datetime.fromtimestamp(at, UTC)
    return line("{} {:02}:{:02} UTC", moment.date(), moment.hour, moment.minute)
