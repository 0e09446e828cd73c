"""Scheduled queries: the user's own and the service's."""

import re
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

from partnercenter_simulator.exchange import Call, Reply
from partnercenter_simulator.insights.catalogue import data_sets
from partnercenter_simulator.insights.envelope import InsightsError, page
from partnercenter_simulator.insights.pages import Fields, Page, listing, moment, spelled
from partnercenter_simulator.insights.quirks import InsightsQuirks
from partnercenter_simulator.insights.reporting import Reporting
from partnercenter_simulator.wire import Json

MAX_QUERIES = 100
"""The quota of a user's own queries."""

_NAME = re.compile(r"[A-Za-z0-9\s]+")
OFFICE_QUERY = "d8349f7b-a7d1-467e-b26d-434d4a50f26a"
# Microsoft: insights-programmatic-system-queries.
_SYSTEM = {
    "OfficeUsage": OFFICE_QUERY,
    "DynamicsUsage": "6209a8fd-93af-442e-8b3f-3df0f77e8463",
    "PowerBIUsage": "40ebfe2f-7183-4427-a911-5c9b45b6df15",
    "EMSUsage": "d7f20ea4-8751-4d6b-b1d7-821c316acd6a",
    "SeatsSubscriptionsAndRevenue": "c9fc1c79-4408-49ff-97f9-e1aa3f155804",
    "CustomersAndTenants": "6664daf3-c161-423a-92a1-0ea6db2c0384",
    "ResellerPerformance": "c09c2eda-861b-4664-8ee8-48a14745a26a",
}
_GONE = {"SeatsSubscriptionsAndRevenue": "PartnerLocationID"}  # as in the real one: a column that no longer exists


@dataclass(frozen=True, slots=True, kw_only=True)
class ScheduledQuery:
    """A query under a name. Only a system query has no time of creation."""

    query_id: str
    name: str
    text: str
    description: str = ""
    user: str = "System"
    created: datetime | None = None

    def item(self) -> dict[str, Json]:
        """Return the query as the API shows it."""
        return {
            "queryId": self.query_id,
            "name": self.name,
            "description": self.description,
            "query": self.text,
            "type": "userDefined" if self.created else "system",
            "user": self.user,
            "createdTime": spelled(self.created or datetime(2021, 1, 1, tzinfo=UTC)),
        }


class Queries:
    """The pages for scheduled queries, and the queries of the user."""

    def __init__(self, reporting: Reporting, user: str, now: Callable[[], float]) -> None:
        self._reporting = reporting
        self._user = user
        self._now = now
        self._system = _system_queries()
        self._own: dict[str, ScheduledQuery] = {}
        self.pages = (
            Page("GET", "ScheduledQueries", "insights_queries", self._list),
            Page("POST", "ScheduledQueries", "insights_queries", self._create),
            Page("DELETE", "ScheduledQueries/{id}", "insights_queries", self._delete),
        )

    @property
    def own(self) -> tuple[ScheduledQuery, ...]:
        """The user's queries, oldest first."""
        return tuple(self._own.values())

    def find(self, query_id: str) -> ScheduledQuery:
        """Return a query, of the user or the service. Raises InsightsError (400)."""
        query = {**self._system, **self._own}.get(query_id)
        if query is None:
            raise InsightsError(400, "Invalid QueryId.")
        return query

    def add(self, name: str, text: str, description: str = "") -> ScheduledQuery:
        """Save a query of the user. Raises InsightsError (400): an invalid name or query, or the quota."""
        if not _NAME.fullmatch(name):
            raise InsightsError(400, "Invalid query name: use letters, digits and white space only.")
        self._reporting.parse(text)
        if len(self._own) >= MAX_QUERIES:
            raise InsightsError(400, "Number of queries exceeded. Delete few queries before creating new queries.")
        query = ScheduledQuery(
            query_id=str(uuid.uuid4()),
            name=name,
            text=text,
            description=description,
            user=self._user,
            created=moment(self._now()),
        )
        self._own[query.query_id] = query
        return query

    def _list(self, call: Call, _target: str) -> Reply:
        only_system = _is_true(call, "includeOnlySystemQueries", default=False)
        shown = list(self._system.values()) if _is_true(call, "includeSystemQueries", default=True) else []
        shown += [] if only_system else self.own
        wanted_id, wanted_name = call.query.get("queryId"), call.query.get("queryName")
        items = [
            query.item() for query in shown if wanted_id in (None, query.query_id) and wanted_name in (None, query.name)
        ]
        return listing(call, items, "Queries fetched successfully", self._reporting.quirks)

    def _create(self, call: Call, _target: str) -> Reply:
        fields = Fields.of(call)
        query = self.add(fields.required("Name"), fields.required("Query"), fields.text("Description"))
        return page(call, [query.item()], "Query created successfully", self._reporting.quirks)

    def _delete(self, call: Call, target: str) -> Reply:
        query = self._own.pop(target, None)
        if query is None:
            raise InsightsError(404, "No item found with given filters.")
        return page(call, [query.item()], "Query deleted successfully", self._reporting.quirks)


def _is_true(call: Call, name: str, *, default: bool) -> bool:
    return call.query.get(name, str(default)).lower() == "true"


def _system_queries() -> Mapping[str, ScheduledQuery]:
    sets = data_sets(InsightsQuirks())
    queries = [
        ScheduledQuery(
            query_id=query_id,
            name=name,
            text=f"SELECT {', '.join((*sets[name].columns, *filter(None, (_GONE.get(name),))))} FROM {name}"  # noqa: S608 -- no SQL
            " TIMESPAN LAST_6_MONTHS",
        )
        for name, query_id in _SYSTEM.items()
    ]
    return {query.query_id: query for query in queries}
