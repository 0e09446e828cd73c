"""Partner Insights: programmatic access to usage data, under `/insights/v1/mpn` of the API host.

Microsoft: insights-programmatic-access-paradigm. Each request passes the rate limit and the role, then a page answers.
"""

from collections import deque
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from math import ceil

from partnercenter_simulator.customers import Customers
from partnercenter_simulator.dataset import Dataset, SimulatedTime
from partnercenter_simulator.exchange import Call, Delivery, Reply, Route, json_reply
from partnercenter_simulator.insights.catalogue import check_names
from partnercenter_simulator.insights.envelope import BASE, InsightsError, page, refusal
from partnercenter_simulator.insights.files import Files
from partnercenter_simulator.insights.pages import Fields, Page, moment, spelled
from partnercenter_simulator.insights.queries import OFFICE_QUERY, Queries
from partnercenter_simulator.insights.quirks import InsightsQuirks
from partnercenter_simulator.insights.reporting import Reporting, period
from partnercenter_simulator.insights.reports import Reports

_DAY_SECONDS = 86400


class Insights:
    """The endpoints of Partner Insights, for a caller who is signed in.

    `reporting` has the data: its `expected` is what a client's figures must come to. `files` is another origin.
    """

    def __init__(
        self,
        dataset: Dataset,
        simulated_time: SimulatedTime,
        customers: Customers,
        *,
        user: str,
        files_port: int,
        now: Callable[[], float],
    ) -> None:
        self.reporting = Reporting(dataset, simulated_time, customers)
        self.files = Files(files_port, self._file, now=now, quirks=lambda: self.quirks)
        self._now = now
        self.queries = Queries(self.reporting, user, now)
        self.reports = Reports(self.reporting, self.queries, simulated_time, user=user, now=now, link=self.files.link)
        self._limit = _RateLimit(now)
        self._pages = (
            Page("GET", "ScheduledDataset", "insights_catalogue", self._catalogue),
            Page("GET", "ScheduledQueries/testQueryResult", "insights_try_query", self._try_query),
            *self.queries.pages,
            *self.reports.pages,
        )

    @property
    def quirks(self) -> InsightsQuirks:
        """How the endpoints behave; can be replaced at any time. Raises ValueError for an unknown set or column."""
        return self.reporting.quirks

    @quirks.setter
    def quirks(self, quirks: InsightsQuirks) -> None:
        check_names(quirks)
        self.reporting.quirks = quirks

    def route(self, call: Call) -> Route | None:
        """Return the route of a path under Partner Insights, or None if it is elsewhere."""
        if not call.path.startswith(f"{BASE}/"):
            return None
        path = call.path.removeprefix(f"{BASE}/")
        matches = [(each, target) for each in self._pages if (target := each.target(path)) is not None]
        for each, target in matches:
            if each.method == call.method:
                return Route(each.endpoint, partial(self._admitted, each.answer, target))
        error = InsightsError(405, "Method not allowed.") if matches else InsightsError(404, "Resource not found.")
        endpoint = matches[0][0].endpoint if matches else "unknown"
        return Route(endpoint, lambda _call: refusal(error, self.quirks))

    def add_others(self, *, queries: int = 0, reports: int = 0) -> None:
        """Create queries and reports as another client of the same user does. Raises InsightsError."""
        for number in range(queries):
            self.queries.add(f"Other query {number + 1}", "SELECT Month FROM OfficeUsage")
        start = spelled(moment(self._now() + _DAY_SECONDS))
        for number in range(reports):
            fields = {"QueryId": OFFICE_QUERY, "StartTime": start, "RecurrenceInterval": 24}
            self.reports.add(Fields({"ReportName": f"Other report {number + 1}", **fields}))

    def _admitted(self, answer: Callable[[Call, str], Reply], target: str, call: Call) -> Reply:
        """Answer, unless the caller is over the rate limit or has the wrong role."""
        quirks = self.quirks
        headers, wait = self._limit.count(quirks)
        try:
            if wait is not None:
                reply = _throttled(wait)
            elif quirks.role != "executive":
                denied = InsightsError(403, "Forbidden: the user is not authorized to access this resource.")
                reply = refusal(denied, quirks, status=200 if quirks.role == "viewer-inside" else 403)
            else:
                reply = answer(call, target)
        except InsightsError as error:
            reply = refusal(error, quirks)
        return reply.with_headers(**headers)

    def _catalogue(self, call: Call, _target: str) -> Reply:
        wanted = call.query.get("datasetName", "")
        sets = [each for each in self.reporting.data_sets.values() if not wanted or each.name == wanted]
        if not sets:
            raise InsightsError(404, "No item found with given filters.")
        return page(call, [each.item(self.quirks) for each in sets], "Dataset fetched successfully", self.quirks)

    def _try_query(self, call: Call, _target: str) -> Reply:
        quirks = self.quirks
        query_id = call.query.get("queryId")
        text = self.queries.find(query_id).text if query_id else call.query.get("exportQuery", "")
        query, rows = self.reporting.rows(text, period(call.query.get("startTime"), call.query.get("endTime")))
        records = self.reporting.records(query, rows[: quirks.row_limit])
        reply = page(call, records, "Query executed successfully", quirks)
        return replace(reply, delivery=Delivery(first_byte_seconds=quirks.slow_seconds))

    def _file(self, execution_id: str) -> str | None:
        """Return the text of an execution's file, with the data of the time when it completed; None: no such file."""
        found = self.reports.content(execution_id)
        if found is None:
            return None
        report, completed = found
        try:
            query, rows = self.reporting.rows(report.query, report.request.period, at=completed)
        except InsightsError:  # the catalogue has changed since
            return None
        delimiter = "\t" if report.request.format == "tsv" else ","
        return self.reporting.file(query, rows, delimiter=delimiter)


class _RateLimit:
    """Counts the calls of the last `rate_limit_seconds`. The window of the real service is not known."""

    def __init__(self, now: Callable[[], float]) -> None:
        self._now = now
        self._times: deque[float] = deque()

    def count(self, quirks: InsightsQuirks) -> tuple[dict[str, str], int | None]:
        """Count a call; return the headers that announce the limit, and the seconds to wait if it is exceeded."""
        if not quirks.rate_limit:
            return {}, None
        now = self._now()
        while self._times and self._times[0] <= now - quirks.rate_limit_seconds:
            self._times.popleft()
        exceeded = len(self._times) >= quirks.rate_limit
        if not exceeded:
            self._times.append(now)
        headers = {
            "X_RateLimit_Limit": str(quirks.rate_limit),
            "X_RateLimit_Remaining": str(max(0, quirks.rate_limit - len(self._times))),
        }
        return headers, ceil(self._times[0] + quirks.rate_limit_seconds - now) if exceeded else None


def _throttled(seconds: int) -> Reply:
    text = f"Rate limit is exceeded. Try again in {seconds} seconds."
    return json_reply({"statusCode": 429, "message": text}, status=429).with_headers(Retry_After=str(seconds))
