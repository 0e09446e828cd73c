"""The query language of Partner Insights.

    SELECT [DISTINCT] columns and metrics FROM set [WHERE column operator value AND …]
    [ORDER BY column [ASC|DESC], …] [LIMIT number] [TIMESPAN range]

Microsoft: insights-programmatic-custom-query. There is no `*`, OR, function or GROUP BY.
"""

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import TypeVar

from partnercenter_simulator.insights.catalogue import DataSet
from partnercenter_simulator.insights.envelope import InsightsError

_OPERATORS = ("=", "!=", ">=", "<=", ">", "<")
_TOKEN = re.compile(
    r"\s*(?:(?P<word>[A-Za-z_]\w*)|(?P<number>-?\d+(?:\.\d+)?)|'(?P<text>(?:[^']|'')*)'"
    r"|(?P<mark>!=|<=|>=|[=<>,()]))",
    re.ASCII,
)
_DEFAULT_TIMESPAN = "LAST_6_MONTHS"
_T = TypeVar("_T")


@dataclass(frozen=True, slots=True)
class Condition:
    """A comparison: a column, an operator in upper case (`NOT IN`) and the values as they were written."""

    column: str
    operator: str
    values: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Query:
    """A parsed query; `order` has each column with whether it descends. Names are the catalogue's."""

    data_set: str
    selected: tuple[str, ...]
    distinct: bool
    conditions: tuple[Condition, ...]
    order: tuple[tuple[str, bool], ...]
    limit: int | None
    timespan: str


def parse(text: str, data_sets: Mapping[str, DataSet], date_ranges: tuple[str, ...]) -> Query:
    """Parse a query on one of these sets. Raises InsightsError (400) with the service's text."""
    if not text.strip():
        raise InsightsError(400, "Null or missing value: the query is empty.")
    return _Parser(list(_tokens(text)), data_sets, date_ranges).query()


def _tokens(text: str) -> Iterator[tuple[str, str]]:
    position = 0
    while text[position:].strip():
        match = _TOKEN.match(text, position)
        if match is None:
            raise _invalid(text[position:].strip()[:20])
        position = match.end()
        kind = match.lastgroup or ""
        yield kind, match[kind].replace("''", "'") if kind == "text" else match[kind]


def _invalid(at: str) -> InsightsError:
    return InsightsError(400, f"Invalid query: unexpected '{at}'.")


class _Parser:
    """A recursive-descent parser, which consumes the tokens of a query."""

    def __init__(
        self, tokens: list[tuple[str, str]], data_sets: Mapping[str, DataSet], date_ranges: tuple[str, ...]
    ) -> None:
        self._tokens = tokens
        self._data_sets = data_sets
        self._date_ranges = date_ranges

    def query(self) -> Query:
        self._require("SELECT")
        distinct = self._accept("DISTINCT")
        names = self._list(self._word)
        self._require("FROM")
        data_set = self._data_set()
        selected = tuple(_named(name, (*data_set.columns, *data_set.metrics)) for name in names)
        conditions = self._conditions(data_set) if self._accept("WHERE") else ()
        order = self._order(selected)
        limit = self._count() if self._accept("LIMIT") else None
        timespan = self._timespan() if self._accept("TIMESPAN") else _DEFAULT_TIMESPAN
        if self._tokens:
            raise _invalid(self._tokens[0][1])
        return Query(data_set.name, selected, distinct, conditions, order, limit=limit, timespan=timespan)

    def _data_set(self) -> DataSet:
        name = self._word()
        for data_set in self._data_sets.values():
            if data_set.name.lower() == name.lower():
                return data_set
        raise InsightsError(400, f"Invalid table name: {name}.")

    def _conditions(self, data_set: DataSet) -> tuple[Condition, ...]:
        conditions = [self._condition(data_set)]
        while self._accept("AND"):
            conditions.append(self._condition(data_set))
        return tuple(conditions)

    def _condition(self, data_set: DataSet) -> Condition:
        column = _named(self._word(), tuple(data_set.columns))
        negation = "NOT " if self._accept("NOT") else ""
        if self._accept("LIKE"):
            return Condition(column, f"{negation}LIKE", (self._take("text"),))
        if self._accept("IN"):
            self._require("(")
            values = tuple(self._list(self._literal))
            self._require(")")
            return Condition(column, f"{negation}IN", values)
        operator = self._take("mark")
        if negation or operator not in _OPERATORS:
            raise _invalid(operator)
        return Condition(column, operator, (self._literal(),))

    def _order(self, selected: tuple[str, ...]) -> tuple[tuple[str, bool], ...]:
        if not self._accept("ORDER"):
            return ()
        self._require("BY")
        return tuple(self._list(lambda: (_named(self._word(), selected), self._descends())))

    def _descends(self) -> bool:
        """Return whether the order descends, which is the default."""
        return not self._accept("ASC") and (self._accept("DESC") or True)

    def _count(self) -> int:
        number = self._take("number")
        if not number.isdigit():
            raise _invalid(number)
        return int(number)

    def _timespan(self) -> str:
        name = self._word().upper()
        if name not in self._date_ranges:
            raise InsightsError(400, f"Requested value '{name}' was not found.")
        return name

    def _list(self, item: Callable[[], _T]) -> list[_T]:
        """Parse one or more items with commas between."""
        items = [item()]
        while self._accept(","):
            items.append(item())
        return items

    def _literal(self) -> str:
        kind, value = self._next()
        if kind not in ("text", "number"):
            raise _invalid(value)
        return value

    def _word(self) -> str:
        return self._take("word")

    def _take(self, kind: str) -> str:
        found, value = self._next()
        if found != kind:
            raise _invalid(value)
        return value

    def _next(self) -> tuple[str, str]:
        return self._tokens.pop(0) if self._tokens else ("end", "end of query")

    def _accept(self, word: str) -> bool:
        if self._tokens and self._tokens[0][0] in ("word", "mark") and self._tokens[0][1].upper() == word:
            del self._tokens[0]
            return True
        return False

    def _require(self, word: str) -> None:
        if not self._accept(word):
            raise _invalid(self._next()[1])


def _named(name: str, known: tuple[str, ...]) -> str:
    for each in known:
        if each.lower() == name.lower():
            return each
    raise InsightsError(400, f"Incorrect column name: {name}.")
