"""The commercial analytics: licence counts by customer and product, filtered, grouped and paged.

learn.microsoft.com/partner-center/developer/get-licenses-usage-information. `Quirks` selects how responses
are spelled and paged, where the documentation, recordings and sibling APIs differ, and what goes wrong.
"""

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from functools import lru_cache
from urllib.parse import urlencode

from partnercenter_simulator.analytics_query import CELL_FIELDS, FIGURE_FIELDS, MAX_ROWS, Filter, Query, parse
from partnercenter_simulator.customers import Customer, Customers, Product
from partnercenter_simulator.dataset import Dataset, DeploymentFigure, SimulatedTime, UsageFigure
from partnercenter_simulator.exchange import Call, Reply

Figure = UsageFigure | DeploymentFigure

_WORKLOAD_CODES = {
    "Exchange": "EXO", "SharePoint": "SPO", "Skype For Business": "SFB", "OneDrive": "ODB", "Teams": "TEAMS",
    "Yammer": "YAM", "Office ProPlus": "OPP", "Microsoft Dynamics CRM": "CRM", "Intune": "INT",
    "Azure AD Premium": "AADP", "Azure Information Protection": "AIP",
}  # fmt: skip
_SERVICE_NAMES = {
    "o365": "Microsoft Office 365",
    "crm": "Microsoft Dynamics 365",
    "ems": "Microsoft Enterprise Mobility",
}
_FOREIGN = "https://elsewhere.example/v1/analytics/next?skip=1"

LINKS: Mapping[str, str] = {
    "relative": "a path and query, as in the sibling API of Microsoft Store",
    "absolute": "an absolute URL",
    "query": "the last path segment and query",
    "none": "no next link: the client must use skip",
    "foreign": "a link to another host",
    "loop": "a link back to the same page",
    "endless": "always a link to another page",
}
SPELLINGS: Mapping[str, tuple[str, str, str, str]] = {
    "documented": ("Value", "@nextLink", "TotalCount", "licenseActive"),
    "table": ("value", "@nextLink", "totalCount", "licensesActive"),
    "items": ("items", "nextLink", "totalCount", "licensesActive"),
}


@dataclass(frozen=True, slots=True)
class Quirks:
    """How the commercial endpoints respond; `mixed` spelling changes from page to page.

    With `days` over 1, every row comes once for each of so many days, the newest first. `turns_at_page` is the
    page, counted from 0, from which on the rows are a day newer: the data changes in the middle of a response.
    """

    max_rows: int = MAX_ROWS
    links: str = "relative"
    spelling: str = "documented"
    counts_as_text: bool = False
    ignores_groupby: bool = False
    repeats_last_row: bool = False
    total_is_off_by: int = 0
    days: int = 1
    turns_at_page: int | None = None

    def __post_init__(self) -> None:
        for name, value, allowed in (
            ("links", self.links, tuple(LINKS)),
            ("spelling", self.spelling, (*SPELLINGS, "mixed")),
        ):
            if value not in allowed:
                raise ValueError(f"{name} must be one of {', '.join(allowed)}, not {value!r}")
        if not 1 <= self.max_rows <= MAX_ROWS:
            raise ValueError(f"max_rows must be 1 to {MAX_ROWS:,}")
        if self.days < 1:
            raise ValueError("days must be at least 1")


class Commercial:
    """The usage and deployment endpoints. `quirks` can be replaced at any time."""

    def __init__(self, dataset: Dataset, simulated_time: SimulatedTime, customers: Customers) -> None:
        self.quirks = Quirks()
        self.customers = customers
        self._dataset = dataset
        self._time = simulated_time
        self._grouped = lru_cache(maxsize=4)(self._compute_grouped)

    def usage(self, call: Call) -> Reply:
        """Return qualified and active licences. Raises QueryError."""
        query = parse(call.query, fields=(*FIGURE_FIELDS, *CELL_FIELDS))
        figures = self._dataset.usage(self._time.data_now(), processed_on=query.day)
        return self._answer(call, query, figures, ("licensesQualified", "licensesActive"))

    def deployment(self, call: Call) -> Reply:
        """Return sold and deployed licences. Raises QueryError."""
        query = parse(call.query, fields=(*FIGURE_FIELDS[2:], *CELL_FIELDS))
        figures = self._dataset.deployment(self._time.data_now(), processed_on=query.day)
        return self._answer(call, query, figures, ("licensesSold", "licensesDeployed"))

    def _dated(self, figures: Sequence[Figure], page: int) -> tuple[Figure, ...]:
        """Return a page's figures with their dates on the wall clock, once for each day that the quirks give."""
        turns = self.quirks.turns_at_page
        latest = 1 if turns is not None and page < turns else 0
        return tuple(
            replace(figure, processed_at=self._time.on_wall(figure.processed_at) - timedelta(days=latest + day))
            for day in range(self.quirks.days)
            for figure in figures
        )

    def _answer(self, call: Call, query: Query, figures: Sequence[Figure], names: tuple[str, str]) -> Reply:
        quirks = self.quirks
        top = min(query.top, quirks.max_rows)
        values_name, link_name, total_name, active = _spelling(quirks, page=query.skip // top)
        if names[1] == "licensesActive":
            names = (names[0], active)
        groupby = () if quirks.ignores_groupby else query.groupby
        rows, total = self._rows(self._dated(figures, query.skip // top), replace(query, groupby=groupby))
        first, last = query.skip, min(query.skip + top, total)
        if quirks.links == "endless":
            first, last = 0, min(top, total)
        elif quirks.repeats_last_row and first:
            first -= 1
        number = '"%d"' if quirks.counts_as_text else "%d"
        counts = f'"{names[0]}":{number},"{names[1]}":{number}}}'
        values = ",".join(f"{{{fields}{counts % pair}" for fields, pair in rows(first, last))
        link = json.dumps(_link(quirks.links, call, query.skip + top, total))
        count = total + quirks.total_is_off_by
        body = f'{{"{values_name}":[{values}],"{link_name}":{link},"{total_name}":{count}}}'
        return Reply(body=body.encode())

    def _rows(self, figures: tuple[Figure, ...], query: Query) -> tuple["Slice", int]:
        """Return a function for the rows from one index to another, and the total number of rows."""
        key = {"serviceCode", "channel", "customerTenantId", "productId"}
        if figures and isinstance(figures[0], UsageFigure):
            key.add("workloadName")
        if (query.groupby and not key <= {*query.groupby}) or query.filter.fields & {*CELL_FIELDS}:
            grouped = self._grouped(figures, query.groupby, query.filter)
            return lambda first, last: iter(grouped[first:last]), len(grouped)
        matching = [figure for figure in figures if query.filter.matches(_figure_fields(figure))]
        total = sum(self.customers.cells(figure.service) for figure in matching)
        return lambda first, last: self._cells(matching, query.groupby, first, last), total

    def _cells(self, figures: Sequence[Figure], groupby: tuple[str, ...], first: int, last: int) -> Iterator["Row"]:
        """Yield one row per customer and product, without computing the rows before `first`."""
        for figure in figures:
            size = self.customers.cells(figure.service)
            if first < size and last > 0:
                prefix = self._fields(figure, _figure_fields(figure), groupby)
                whole, part = _counts(figure)
                span = max(first, 0), min(last, size)
                for cell in self.customers.split(figure.service, whole, part, *span, day=figure.day):
                    fields = _cell_json(cell.customer, cell.product, groupby)
                    yield prefix + fields, (cell.whole, cell.part)
            first, last = first - size, last - size

    def _compute_grouped(self, figures: tuple[Figure, ...], groupby: tuple[str, ...], wanted: Filter) -> list["Row"]:
        """Return the rows that match the filter, added up by group."""
        sums: dict[str, tuple[int, int]] = {}
        for figure in figures:
            fields = _figure_fields(figure)
            prefix = self._fields(figure, fields, groupby)
            size = self.customers.cells(figure.service)
            for cell in self.customers.split(figure.service, *_counts(figure), 0, size, day=figure.day):
                if not wanted.fields or wanted.matches({**fields, **_cell_fields(cell.customer, cell.product)}):
                    key = prefix + _cell_json(cell.customer, cell.product, groupby)
                    whole, part = sums.get(key, (0, 0))
                    sums[key] = (whole + cell.whole, part + cell.part)
        return list(sums.items())

    def _fields(self, figure: Figure, fields: Mapping[str, str], groupby: tuple[str, ...]) -> str:
        """Return the figure's fields as JSON; the time has no offset, as in Microsoft's example."""
        moment = f"{figure.processed_at:%Y-%m-%dT%H:%M:%S}"
        return _json_members({"processedDateTime": moment, **_grouped_fields(fields, groupby)})


Row = tuple[str, tuple[int, int]]
"""The fields of a row as JSON, and its two counts."""

Slice = Callable[[int, int], Iterator[Row]]


def _counts(figure: Figure) -> tuple[int, int]:
    if isinstance(figure, UsageFigure):
        return figure.qualified, figure.active
    return figure.sold, figure.deployed


def _figure_fields(figure: Figure) -> dict[str, str]:
    service = {"serviceCode": figure.service, "serviceName": _SERVICE_NAMES[figure.service], "channel": figure.channel}
    if isinstance(figure, DeploymentFigure):
        return service
    return {"workloadCode": _WORKLOAD_CODES[figure.workload], "workloadName": figure.workload, **service}


def _cell_fields(customer: Customer, product: Product) -> dict[str, str]:
    return {
        "customerTenantId": customer.tenant_id,
        "customerName": customer.name,
        "productId": product.product_id,
        "productName": product.name,
    }


@lru_cache(maxsize=200_000)
def _cell_json(customer: Customer, product: Product, groupby: tuple[str, ...]) -> str:
    """Return a cell's fields as JSON, cached: a page of 10,000 rows repeats them for every workload."""
    return _json_members(_grouped_fields(_cell_fields(customer, product), groupby))


def _grouped_fields(fields: Mapping[str, str], groupby: tuple[str, ...]) -> dict[str, str]:
    return {name: value for name, value in fields.items() if not groupby or name in groupby}


def _json_members(fields: Mapping[str, str]) -> str:
    return "".join(f"{json.dumps(name)}:{json.dumps(value)}," for name, value in fields.items())


def _spelling(quirks: Quirks, *, page: int) -> tuple[str, str, str, str]:
    if quirks.spelling == "mixed":
        return tuple(SPELLINGS.values())[page % len(SPELLINGS)]
    return SPELLINGS[quirks.spelling]


def _link(kind: str, call: Call, skip: int, total: int) -> str | None:
    """Return the link to the next page, or None if there is none."""
    if kind == "none" or (skip >= total and kind not in ("endless", "loop")):
        return None
    if kind == "foreign":
        return _FOREIGN
    if kind == "loop":
        skip = int(call.query.get("skip", "0"))
    target = f"{call.path}?{urlencode({**call.query, 'skip': str(skip)})}"
    if kind == "query":
        return target.rpartition("/")[2]
    return call.origin + target if kind == "absolute" else target
