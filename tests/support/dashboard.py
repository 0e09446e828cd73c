"""The dashboards' queries, as Grafana sends them."""

import json
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.support.rules import REPOSITORY

_FOLDER = REPOSITORY / "grafana" / "dashboards"
_LABEL_VALUES = re.compile(r"label_values\((.+), (\w+)\)")
_QUERY_RESULT = re.compile(r"query_result\((.+)\)")


@dataclass(frozen=True, slots=True)
class Query:
    """One query of a panel: panel title, query letter, expression, and whether it is instant."""

    panel: str
    letter: str
    expr: str
    is_instant: bool

    def at(self, now: float) -> float:
        """Return when to ask for what it shows now: a point of a graph stands for the step that begins with it."""
        return now if self.is_instant else now - HOURLY.step

    def __str__(self) -> str:
        return f"{self.panel} ({self.letter})"


@dataclass(frozen=True, slots=True)
class Dashboard:
    """A dashboard's file, and its parts."""

    file: Path
    content: dict[str, Any]

    def __str__(self) -> str:
        return self.file.stem

    @property
    def panels(self) -> tuple[dict[str, Any], ...]:
        """All panels that show something."""
        return tuple(p for p in self.content["panels"] if p["type"] != "row")

    @property
    def variables(self) -> tuple[dict[str, Any], ...]:
        """All variables whose options Prometheus knows."""
        return tuple(v for v in self.content["templating"]["list"] if v["type"] == "query")

    @property
    def queries(self) -> tuple[Query, ...]:
        """All queries of all panels."""
        return tuple(
            Query(panel["title"], target["refId"], target["expr"], is_instant=target["instant"])
            for panel in self.panels
            for target in panel["targets"]
        )

    def panel(self, query: Query) -> dict[str, Any]:
        """Return the panel that has a query."""
        [found] = (panel for panel in self.panels if panel["title"] == query.panel)
        return found

    def query(self, panel: str, letter: str = "A") -> Query:
        """Return one query."""
        [found] = (query for query in self.queries if (query.panel, query.letter) == (panel, letter))
        return found


# Up to which time per pixel Grafana takes which step, in seconds.
_STEPS = (
    (12.5, 10), (17.5, 15), (25, 20), (45, 30), (90, 60), (210, 120), (450, 300), (750, 600), (1050, 900), (1500, 1200),
    (2700, 1800), (5400, 3600), (9000, 7200), (16200, 10800), (32400, 21600), (86400, 43200),
)  # fmt: skip
_WINDOW_PIXELS = 1280
_UNITS = {"s": 1, "m": 60, "h": 3600}


@dataclass(frozen=True, slots=True)
class Times:
    """When Grafana asks for the points of a graph, in Unix seconds, and what `$__rate_interval` is."""

    start: float
    end: float
    step: float
    rate_interval: float

    @classmethod
    def of(cls, panel: Mapping[str, Any], *, days: float, now: float, scrape_seconds: float) -> "Times":
        """Return those of a panel at 1,280 pixels; `scrape_seconds` is the data source's `timeInterval`.

        From https://github.com/grafana/grafana: `packages/grafana-data/src/datetime/rangeutil.ts` (calculateInterval,
        roundInterval) and `pkg/promlib/models/query.go` (calculateRateInterval, AlignTimeRange).
        """
        per_pixel = days * 86400 / (_WINDOW_PIXELS * panel["gridPos"]["w"] / 24)
        shortest = panel.get("interval", f"{scrape_seconds:.0f}s")
        step = max(next(step for limit, step in _STEPS if per_pixel < limit), int(shortest[:-1]) * _UNITS[shortest[-1]])
        start, end = (at // step * step for at in (now - days * 86400, now))
        return cls(start, end, step, max(step + scrape_seconds, 4 * scrape_seconds))


HOURLY = Times(0.0, 10 * 86400.0, 3600.0, 3660.0)


def _read(name: str) -> Dashboard:
    file = _FOLDER / f"{name}.json"
    return Dashboard(file, json.loads(file.read_text("utf-8")))


LICENCES, CUSTOMERS = _read("partnercenter-licenses"), _read("partnercenter-customers")
VARIABLES, QUERIES, query = LICENCES.variables, LICENCES.queries, LICENCES.query
ANNOTATIONS: tuple[dict[str, Any], ...] = tuple(LICENCES.content["annotations"]["list"])
ALL: Mapping[str, str] = {variable["name"]: variable["allValue"] for variable in VARIABLES}
RANKINGS: tuple[dict[str, Any], ...] = tuple(v for v in CUSTOMERS.variables if v["hide"])
ALL_CUSTOMERS: Mapping[str, str] = {
    v["name"]: v["allValue"] for v in CUSTOMERS.variables if v["includeAll"] and v not in RANKINGS
}


def filled_in(expr: str, chosen: Mapping[str, str] = ALL, *, times: Times = HOURLY) -> str:
    """Return an expression with its variables replaced; `chosen` has a regular expression per variable."""
    for name, seconds in (
        ("rate_interval", times.rate_interval), ("interval", times.step), ("range", times.end - times.start),
    ):  # fmt: skip
        expr = expr.replace(f"$__{name}", f"{seconds:.0f}s")
    for name, value in chosen.items():
        expr = expr.replace(f"${name}", value)
    if "$" in expr:
        raise ValueError(f"a variable that Grafana doesn't have: {expr}")
    return expr


def named_choices(variable: Mapping[str, Any]) -> str | None:
    """Return the query whose series are the options of a variable with names, or None if it is of a label's values."""
    match = _QUERY_RESULT.fullmatch(variable["query"]["query"])
    return match[1] if match else None


def with_rankings(
    chosen: Mapping[str, str], ask: Callable[[str], Iterable[frozenset[tuple[str, str]]]]
) -> dict[str, str]:
    """Return the variables and the hidden ones that depend on them; `ask` returns the labels of a query's series."""
    found = dict(chosen)
    for variable in RANKINGS:
        query = named_choices(variable)
        if query is None:
            raise ValueError(f"{variable['name']}: not query_result(query)")
        ids = sorted({dict(labels)["customer_id"] for labels in ask(filled_in(query, chosen))})
        found[variable["name"]] = f"({'|'.join(ids)})"
    return found


def choices_query(variable: Mapping[str, Any]) -> tuple[str, str]:
    """Return what a variable's options come from: a selector, and the label whose values they are."""
    match = _LABEL_VALUES.fullmatch(variable["query"]["query"])
    if match is None:
        raise ValueError(f"{variable['name']}: not label_values(selector, label)")
    return match[1], match[2]
