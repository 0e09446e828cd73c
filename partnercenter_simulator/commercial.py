"""The commercial analytics: counts of licences by customer and product, filtered, grouped and paged.

learn.microsoft.com/partner-center/developer/get-licenses-usage-information. `Quirks` says how the answers
are spelled and paged, where the published page, recordings and sibling APIs differ, and what goes wrong.
"""

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from urllib.parse import urlencode

from partnercenter_simulator.analytics_query import CELL_FIELDS, FIGURE_FIELDS, Query, parse
from partnercenter_simulator.customers import Cell, Customer, Customers, Product
from partnercenter_simulator.dataset import Dataset, DeploymentFigure, SimulatedTime, UsageFigure
from partnercenter_simulator.exchange import Call, Reply

Figure = UsageFigure | DeploymentFigure

_CODES = {
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
    "relative": "the next page by a path and query (as the Store's sibling API)",
    "absolute": "the next page by a whole address",
    "query": "the next page by file name and query alone",
    "none": "no next link: the caller must skip",
    "foreign": "a next link to another host",
    "loop": "a next link back to the same page",
    "endless": "a next page for ever",
}
SPELLINGS: Mapping[str, tuple[str, str, str, str]] = {
    "documented": ("Value", "@nextLink", "TotalCount", "licenseActive"),
    "table": ("value", "@nextLink", "totalCount", "licensesActive"),
    "items": ("items", "nextLink", "totalCount", "licensesActive"),
}


@dataclass(frozen=True, slots=True)
class Quirks:
    """How the commercial endpoints answer; `mixed` spelling changes from page to page."""

    most_rows: int = 10_000
    links: str = "relative"
    spelling: str = "documented"
    counts_as_text: bool = False
    ignores_groupby: bool = False
    repeats_last_row: bool = False
    total_is_off_by: int = 0

    def __post_init__(self) -> None:
        for name, value, allowed in (
            ("links", self.links, tuple(LINKS)),
            ("spelling", self.spelling, (*SPELLINGS, "mixed")),
        ):
            if value not in allowed:
                raise ValueError(f"{name} must be one of {', '.join(allowed)}, not {value!r}")
        if not 1 <= self.most_rows <= 10_000:  # noqa: PLR2004 -- the API's own bound
            raise ValueError("most_rows must be 1 to 10,000")

    def changed(self, document: object) -> "Quirks":
        """Return quirks with the fields of a JSON object; ValueError says what is wrong."""
        if not isinstance(document, dict):
            raise ValueError("the body must be a JSON object")  # noqa: TRY004 -- one error for all mistakes
        for name, value in document.items():
            kind = type(getattr(self, name, None)) if name in self.__slots__ else None
            if kind is None or type(value) is not kind:
                raise ValueError(f"{name} can't be {value!r}: there are {', '.join(self.__slots__)}")
        return replace(self, **document)


class Commercial:
    """Answers both endpoints. `quirks` may be replaced at any time."""

    def __init__(self, dataset: Dataset, simulated_time: SimulatedTime, customers: Customers) -> None:
        self.quirks = Quirks()
        self.customers = customers
        self._dataset = dataset
        self._time = simulated_time
        self._grouped = lru_cache(maxsize=4)(self._compute_grouped)

    def usage(self, call: Call) -> Reply:
        """Answer usage: qualified and active licences. Raises QueryError."""
        query = parse(call.query, fields=(*FIGURE_FIELDS, *CELL_FIELDS))
        figures = self._dataset.usage(self._time.data_now(), processed_on=query.day)
        return self._answer(call, query, figures, ("licensesQualified", "licensesActive"))

    def deployment(self, call: Call) -> Reply:
        """Answer deployment: sold and deployed licences. Raises QueryError."""
        query = parse(call.query, fields=(*FIGURE_FIELDS[2:], *CELL_FIELDS))
        figures = self._dataset.deployment(self._time.data_now(), processed_on=query.day)
        return self._answer(call, query, figures, ("licensesSold", "licensesDeployed"))

    def _answer(self, call: Call, query: Query, figures: Sequence[Figure], names: tuple[str, str]) -> Reply:
        quirks = self.quirks
        top = min(query.top, quirks.most_rows)
        values, link_name, total_name, active = _spelling(quirks, page=query.skip // top)
        if names[1] == "licensesActive":
            names = (names[0], active)
        groupby = () if quirks.ignores_groupby else query.groupby
        rows, total = self._rows(tuple(figures), replace(query, groupby=groupby))
        first, last = query.skip, min(query.skip + top, total)
        if quirks.links == "endless":
            first, last = 0, min(top, total)
        elif quirks.repeats_last_row and first:
            first -= 1
        pattern = '"%s":"%%d","%s":"%%d"}' if quirks.counts_as_text else '"%s":%%d,"%s":%%d}'
        counts = pattern % names
        written = ",".join(f"{{{fields}{counts % pair}" for fields, pair in rows(first, last))
        link = json.dumps(_link(quirks.links, call, query.skip + top, total))
        body = (
            f'{{"{values}":[{written}],"{link_name}":{link},"{total_name}":{total + quirks.total_is_off_by}}}'
        )
        return Reply(body=body.encode())

    def _rows(self, figures: tuple[Figure, ...], query: Query) -> tuple["Slice", int]:
        """Return what gives the rows from one number to another, and how many there are."""
        by_cell = not query.groupby or {"customerTenantId", "productId"} <= {*query.groupby}
        by_figure = not query.groupby or {"serviceCode", "channel"} <= {*query.groupby}
        if figures and isinstance(figures[0], UsageFigure):
            by_figure = by_figure and (not query.groupby or "workloadName" in query.groupby)
        if not (by_cell and by_figure) or query.condition.fields & {*CELL_FIELDS}:
            grouped = self._grouped(figures, query.groupby, query.filter)
            return lambda first, last: iter(grouped[first:last]), len(grouped)
        wanted = [each for each in figures if query.condition.holds(_figure_fields(each))]
        total = sum(self.customers.cells(each.service) for each in wanted)
        return lambda first, last: self._cells(wanted, query.groupby, first, last), total

    def _cells(
        self, figures: Sequence[Figure], groupby: Sequence[str], first: int, last: int
    ) -> Iterator["Row"]:
        """Yield rows of one customer and product each, without making those before them."""
        for figure in figures:
            size = self.customers.cells(figure.service)
            if first < size and last > 0:
                head = self._fields(figure, _figure_fields(figure), groupby)
                whole, part = _counts(figure)
                for cell in self.customers.split(figure.service, whole, part, max(first, 0), min(last, size)):
                    yield head + _cell_text(cell, groupby), (cell.whole, cell.part)
            first, last = first - size, last - size

    def _compute_grouped(
        self, figures: tuple[Figure, ...], groupby: tuple[str, ...], text: str
    ) -> list["Row"]:
        """Return the rows that a filter lets through, added up by group."""
        holds = parse({"filter": text}, fields=(*FIGURE_FIELDS, *CELL_FIELDS)).condition.holds
        sums: dict[str, tuple[int, int]] = {}
        for figure in figures:
            fields = _figure_fields(figure)
            head = self._fields(figure, fields, groupby)
            size = self.customers.cells(figure.service)
            for cell in self.customers.split(figure.service, *_counts(figure), 0, size):
                if not text or holds({**fields, **_cell_fields(cell)}):
                    key = head + _cell_text(cell, groupby)
                    whole, part = sums.get(key, (0, 0))
                    sums[key] = (whole + cell.whole, part + cell.part)
        return list(sums.items())

    def _fields(self, figure: Figure, fields: Mapping[str, str], groupby: Sequence[str]) -> str:
        """Write the figure's fields as JSON; the date has no offset, as in the published answer."""
        moment = f"{self._time.on_wall(figure.processed_at):%Y-%m-%dT%H:%M:%S}"
        return _members({"processedDateTime": moment, **_chosen(fields, groupby)})


Row = tuple[str, tuple[int, int]]
Slice = Callable[[int, int], Iterator[Row]]


def _counts(figure: Figure) -> tuple[int, int]:
    if isinstance(figure, UsageFigure):
        return figure.qualified, figure.active
    return figure.sold, figure.deployed


def _figure_fields(figure: Figure) -> dict[str, str]:
    service = {
        "serviceCode": figure.service,
        "serviceName": _SERVICE_NAMES[figure.service],
        "channel": figure.channel,
    }
    if isinstance(figure, DeploymentFigure):
        return service
    return {"workloadCode": _CODES[figure.workload], "workloadName": figure.workload, **service}


def _cell_fields(cell: Cell) -> dict[str, str]:
    return {
        "customerTenantId": cell.customer.tenant_id,
        "customerName": cell.customer.name,
        "productId": cell.product.product_id,
        "productName": cell.product.name,
    }


@lru_cache(maxsize=200_000)
def _text(customer: Customer, product: Product, groupby: tuple[str, ...]) -> str:
    """Write a cell's fields as JSON: a page of 10,000 rows repeats them for every workload."""
    return _members(_chosen(_cell_fields(Cell(customer, product, 0, 0)), groupby))


def _cell_text(cell: Cell, groupby: Sequence[str]) -> str:
    return _text(cell.customer, cell.product, tuple(groupby))


def _chosen(fields: Mapping[str, str], groupby: Sequence[str]) -> dict[str, str]:
    return {name: value for name, value in fields.items() if not groupby or name in groupby}


def _members(fields: Mapping[str, str]) -> str:
    return "".join(f"{json.dumps(name)}:{json.dumps(value)}," for name, value in fields.items())


def _spelling(quirks: Quirks, *, page: int) -> tuple[str, str, str, str]:
    if quirks.spelling == "mixed":
        return tuple(SPELLINGS.values())[page % len(SPELLINGS)]
    return SPELLINGS[quirks.spelling]


def _link(kind: str, call: Call, skip: int, total: int) -> str | None:
    """Return the next link, if there is a next page (or the quirk is that there always is)."""
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
