"""Partner Insights: programmatic access to usage data, under `/insights/v1/mpn` of the API host.

Microsoft: insights-programmatic-access-paradigm. Each request passes the rate limit and the role, then a page answers.
"""

import re
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from math import ceil

from partnercenter_simulator.customers import Customers
from partnercenter_simulator.dataset import Dataset, SimulatedTime
from partnercenter_simulator.exchange import Call, Delivery, Reply, Route, json_reply
from partnercenter_simulator.insights.catalogue import check_names
from partnercenter_simulator.insights.envelope import BASE, InsightsError, page, refusal
from partnercenter_simulator.insights.quirks import InsightsQuirks
from partnercenter_simulator.insights.reporting import Reporting, period


@dataclass(frozen=True, slots=True)
class _Page:
    """A method and path, the endpoint's name in the fault plan and request log, and its function.

    The function also gets the id in the path, or an empty text.
    """

    method: str
    path: re.Pattern[str]
    endpoint: str
    answer: Callable[[Call, str], Reply]


def _path(text: str) -> re.Pattern[str]:
    """Return the pattern of a path, in which `{id}` stands for any id."""
    return re.compile(text.replace("{id}", "(?P<id>[^/]+)"))


class Insights:
    """The endpoints of Partner Insights, for a caller who is signed in.

    `reporting` has the data: its `expected` is what a client's figures must come to.
    """

    def __init__(
        self, dataset: Dataset, simulated_time: SimulatedTime, customers: Customers, *, now: Callable[[], float]
    ) -> None:
        self.reporting = Reporting(dataset, simulated_time, customers)
        self._limit = _RateLimit(now)
        self._pages = (
            _Page("GET", _path("ScheduledDataset"), "insights_catalogue", self._catalogue),
            _Page("GET", _path("ScheduledQueries/testQueryResult"), "insights_try_query", self._try_query),
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
        matches = [(each, match) for each in self._pages if (match := each.path.fullmatch(path))]
        for each, match in matches:
            if each.method == call.method:
                target = match.groupdict().get("id", "")
                return Route(each.endpoint, partial(self._admitted, each.answer, target))
        error = InsightsError(405, "Method not allowed.") if matches else InsightsError(404, "Resource not found.")
        endpoint = matches[0][0].endpoint if matches else "unknown"
        return Route(endpoint, lambda _call: refusal(error, self.quirks))

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
        text = call.query.get("exportQuery", "")
        query, rows = self.reporting.rows(text, period(call.query.get("startTime"), call.query.get("endTime")))
        records = self.reporting.records(query, rows[: quirks.row_limit])
        reply = page(call, records, "Query executed successfully", quirks)
        return replace(reply, delivery=Delivery(first_byte_seconds=quirks.slow_seconds))


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
