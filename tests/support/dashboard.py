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

    def query(self, panel: str, letter: str = "A") -> Query:
        """Return one query."""
        [found] = (query for query in self.queries if (query.panel, query.letter) == (panel, letter))
        return found


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


def filled_in(expr: str, chosen: Mapping[str, str] = ALL, *, rate_interval: str = "61m") -> str:
    """Return an expression with its variables replaced; `chosen` has a regular expression per variable."""
    expr = expr.replace("$__rate_interval", rate_interval)
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
