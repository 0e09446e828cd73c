"""What a query's rows are: months, conditions, sums by the selected columns, order and limit."""

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from operator import eq, ge, gt, le, lt, ne
from typing import Any

from partnercenter_simulator.insights.catalogue import DataSet
from partnercenter_simulator.insights.columns import Column, Metric, Value
from partnercenter_simulator.insights.facts import Fact
from partnercenter_simulator.insights.query_language import Condition, Query

Row = tuple[Value, ...]
"""The values of one row, in the order of the query's columns."""

_RANGES = {"LAST_MONTH": 1, "LAST_3_MONTHS": 3, "LAST_6_MONTHS": 6, "LAST_1_YEAR": 12}
_COMPARISONS: dict[str, Callable[[Any, Any], bool]] = {"=": eq, "!=": ne, ">": gt, "<": lt, ">=": ge, "<=": le}


@dataclass(frozen=True, slots=True)
class Period:
    """The times that take the place of a query's TIMESPAN; None leaves an end open."""

    start: datetime | None = None
    end: datetime | None = None


def selected_months(query: Query, period: Period, months: Sequence[date]) -> list[date]:
    """Return the months that a query asks for, of those that there are, newest first; both ends count."""
    if period == Period():
        return list(months[: _RANGES.get(query.timespan, len(months))])
    first = period.start.date() if period.start else date.min
    last = period.end.date() if period.end else date.max
    return [month for month in months if first <= month <= last]


def evaluate(query: Query, data_set: DataSet, facts: Iterable[Fact]) -> list[Row]:
    """Return the rows of a query. A metric is computed for each distinct combination of the selected columns."""
    matching = _matching(query, data_set, facts)
    if any(name in data_set.metrics and name not in data_set.columns for name in query.selected):
        rows = _aggregated(query, data_set, matching)
    else:
        columns = [data_set.columns[name] for name in query.selected]
        rows = [tuple(column(fact) for column in columns) for fact in matching]
    if query.distinct:
        rows = list(dict.fromkeys(rows))
    for name, descends in reversed(query.order):
        rows.sort(key=_sort_key(query.selected.index(name)), reverse=descends)
    return rows[: query.limit]


def _sort_key(index: int) -> Callable[[Row], Any]:
    """Return a function for the value at an index; those of one column are of one type."""
    return lambda row: row[index]


def _aggregated(query: Query, data_set: DataSet, facts: Iterable[Fact]) -> list[Row]:
    keys = [data_set.columns[name] for name in query.selected if name in data_set.columns]
    metrics = [data_set.metrics[name] for name in query.selected if name not in data_set.columns]
    groups: dict[Row, list[Fact]] = {}
    for fact in facts:
        groups.setdefault(tuple(key(fact) for key in keys), []).append(fact)
    rows = []
    for group, members in groups.items():
        parts, values = iter(group), iter([_measured(metric, members) for metric in metrics])
        rows.append(tuple(next(parts if name in data_set.columns else values) for name in query.selected))
    return rows


def _measured(metric: Metric, facts: Sequence[Fact]) -> int:
    values = (metric.column(fact) for fact in facts)
    return sum(int(str(value)) for value in values) if metric.is_sum else len(set(values))


def _matching(query: Query, data_set: DataSet, facts: Iterable[Fact]) -> Iterator[Fact]:
    tests = [(data_set.columns[each.column], _test(each)) for each in query.conditions]
    return (fact for fact in facts if all(test(column(fact)) for column, test in tests))


def _test(condition: Condition) -> Callable[[Value], bool]:
    operator, values = condition.operator, condition.values
    negated = operator.startswith("NOT ")
    match operator.removeprefix("NOT "):
        case "LIKE":
            pattern = _pattern(values[0])
            return lambda value: (pattern.fullmatch(str(value)) is not None) is not negated
        case "IN":
            return lambda value: any(_compare(eq, value, text) for text in values) is not negated
        case _:
            compare = _COMPARISONS[operator]
            return lambda value: _compare(compare, value, values[0])


def _compare(compare: Callable[[Any, Any], bool], value: Value, text: str) -> bool:
    """Compare with a literal converted to the column's type; with one that can't be, nothing is true of it."""
    try:
        if isinstance(value, int):
            return compare(value, float(text))
        if isinstance(value, date):
            return compare(value, date.fromisoformat(text[:10]))
    except ValueError:
        return False
    return compare(value, text)


def _pattern(text: str) -> re.Pattern[str]:
    wildcards = {"%": ".*", "_": "."}
    return re.compile("".join(wildcards.get(c, re.escape(c)) for c in text), re.DOTALL | re.IGNORECASE)


def totals(
    facts: Iterable[Fact], by: Sequence[Column], sums: Sequence[Column]
) -> dict[tuple[str, ...], tuple[int, ...]]:
    """Add up columns by others, without a query: what a client's figures must come to."""
    found: dict[tuple[str, ...], tuple[int, ...]] = {}
    for fact in facts:
        key = tuple(str(column(fact)) for column in by)
        values = tuple(int(str(column(fact))) for column in sums)
        old = found.get(key, (0,) * len(values))
        found[key] = tuple(a + b for a, b in zip(old, values, strict=True))
    return found
