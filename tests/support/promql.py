"""Infers the labels of a PromQL expression's series from the catalogue; impossible ones are errors.

Grammar: prometheus.io/docs/prometheus/latest/querying/basics
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass

import promql_parser as promql

from exporter.errors import Reason
from exporter.metrics.catalogue import DATA, EXPORTER, Kind, Metric
from exporter.model.rows import DropReason, SourceName

Labels = frozenset[str]
ONLY_EMPTY = "()"
NO_SERIES: Labels = frozenset()
TARGET: Labels = frozenset({"job", "instance"})
# Those that a target may have besides: rules keep them.
PLACE: Labels = frozenset({"cluster", "namespace"})
_KNOWN_VALUES = {
    "source": {str(source) for source in SourceName},
    "reason": {str(reason) for reason in (*Reason, *DropReason)},
    "job": {"partnercenter-exporter"},
}


class PromqlMistake(Exception):
    """An expression with a series, label or value that doesn't exist, or that never matches."""


def catalogued() -> dict[str, Labels]:
    """Return the labels of every series that the exporter exports, by name, and those of `up`."""
    series = {"up": TARGET | PLACE}
    for metric in (*DATA, *EXPORTER):
        for name, more in _samples(metric):
            series[name] = frozenset((*metric.labels, *metric.detail_labels)) | TARGET | PLACE | more
    return series


def _samples(metric: Metric) -> list[tuple[str, Labels]]:
    if metric.kind is not Kind.HISTOGRAM:
        return [(metric.name, NO_SERIES)]
    parts = [(f"{metric.name}_{part}", NO_SERIES) for part in ("sum", "count")]
    return [*parts, (f"{metric.name}_bucket", frozenset({"le"}))]


@dataclass(frozen=True, slots=True)
class Checker:
    """Knows series by name; `labels` raises PromqlMistake."""

    series: Mapping[str, Labels]

    def labels(self, text: str) -> Labels:
        """Return the labels of an expression's series; none for a scalar."""
        try:
            return self._of(promql.parse(text))
        except ValueError as error:
            raise PromqlMistake(f"{text}: {error}") from error

    def _of(self, node: promql.Expr) -> Labels:
        match node:
            case promql.VectorSelector():
                return self._selected(node)
            case promql.MatrixSelector():
                return self._selected(node.vector_selector)
            case promql.AggregateExpr():
                return self._aggregated(node)
            case promql.Call():
                return self._called(node)
            case promql.BinaryExpr():
                return self._joined(node)
            case _:  # parentheses, a subquery, a sign, or a literal
                return self._of(node.expr) if hasattr(node, "expr") else NO_SERIES

    def _selected(self, node: promql.VectorSelector) -> Labels:
        matchers = {matcher.name: matcher for matcher in node.matchers.matchers}
        name = matchers.pop("__name__", None)
        pattern = name.value if name else re.escape(node.name or "")
        found = [labels for known, labels in self.series.items() if re.fullmatch(pattern, known)]
        if not found:
            raise PromqlMistake(f"{node}: there is no such series")
        labels = frozenset[str]().union(*found)
        for label, matcher in matchers.items():
            own = label.removeprefix("exported_")
            if matcher.value == ONLY_EMPTY:
                continue  # it is meant for series that may lack the label
            if own not in labels:
                raise PromqlMistake(f"{node}: these series have no label {label}")
            equal = matcher.op in (promql.MatchOp.Equal, promql.MatchOp.NotEqual)
            if equal and matcher.value and matcher.value not in _KNOWN_VALUES.get(own, {matcher.value}):
                raise PromqlMistake(f"{node}: {label} is never {matcher.value}")
        return labels

    def _aggregated(self, node: promql.AggregateExpr) -> Labels:
        inner = self._of(node.expr)
        named = frozenset(node.modifier.labels if node.modifier else ())
        if named - inner:
            raise PromqlMistake(f"{node}: there are no labels {sorted(named - inner)}")
        if str(node.op) in ("topk", "bottomk"):  # these choose among the series
            return inner
        if node.modifier is None:
            return NO_SERIES
        return named if node.modifier.type == promql.AggModifierType.By else inner - named

    def _called(self, node: promql.Call) -> Labels:
        labels = frozenset[str]().union(*(self._of(argument) for argument in node.args))
        if node.func.name == "label_replace":
            return labels | {node.args[1].val}
        return NO_SERIES if node.func.name in ("absent", "time", "vector", "scalar") else labels

    def _joined(self, node: promql.BinaryExpr) -> Labels:
        left, right = self._of(node.lhs), self._of(node.rhs)
        if not left or not right:
            return left or right
        if str(node.op) == "or":  # of the two sides, each may have its own
            return left | right
        matching = node.modifier.matching if node.modifier else None
        if matching and matching.type == promql.LabelModifierType.Include:
            strangers = frozenset(matching.labels) - (left & right)
        else:
            strangers = (left ^ right) - frozenset(matching.labels if matching else ())
        if strangers:
            raise PromqlMistake(f"{node}: not on both sides: {sorted(strangers)}")
        return left
