"""The dashboard's queries, as Grafana sends them."""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from tests.support.rules import REPOSITORY

FILE = REPOSITORY / "grafana" / "dashboards" / "partnercenter-licenses.json"
DASHBOARD: dict[str, Any] = json.loads(FILE.read_text("utf-8"))
PANELS: tuple[dict[str, Any], ...] = tuple(p for p in DASHBOARD["panels"] if p["type"] != "row")
VARIABLES: tuple[dict[str, Any], ...] = tuple(v for v in DASHBOARD["templating"]["list"] if v["type"] == "query")
ANNOTATIONS: tuple[dict[str, Any], ...] = tuple(DASHBOARD["annotations"]["list"])

ALL: Mapping[str, str] = {variable["name"]: variable["allValue"] for variable in VARIABLES}
_LABEL_VALUES = re.compile(r"label_values\((.+), (\w+)\)")


def filled_in(expr: str, chosen: Mapping[str, str] = ALL, *, rate_interval: str = "61m") -> str:
    """Return an expression with its variables replaced; `chosen` has a regular expression per variable."""
    expr = expr.replace("$__rate_interval", rate_interval)
    for name, value in chosen.items():
        expr = expr.replace(f"${name}", value)
    if "$" in expr:
        raise ValueError(f"a variable that Grafana doesn't have: {expr}")
    return expr


@dataclass(frozen=True, slots=True)
class Query:
    """One query of a panel: panel title, query letter, expression, and whether it is instant."""

    panel: str
    letter: str
    expr: str
    is_instant: bool

    def __str__(self) -> str:
        return f"{self.panel} ({self.letter})"


QUERIES: tuple[Query, ...] = tuple(
    Query(panel["title"], target["refId"], target["expr"], is_instant=target["instant"])
    for panel in PANELS
    for target in panel["targets"]
)


def query(panel: str, letter: str = "A") -> Query:
    """Return one query."""
    [found] = (query for query in QUERIES if (query.panel, query.letter) == (panel, letter))
    return found


def choices_query(variable: Mapping[str, Any]) -> tuple[str, str]:
    """Return what a variable's options come from: a selector, and the label whose values they are."""
    match = _LABEL_VALUES.fullmatch(variable["query"]["query"])
    if match is None:
        raise ValueError(f"{variable['name']}: not label_values(selector, label)")
    return match[1], match[2]
