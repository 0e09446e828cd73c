"""The query of the commercial analytics endpoints: groupby, filter, top, skip and the processed day.

learn.microsoft.com/partner-center/developer/get-licenses-usage-information
"""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date

FIGURE_FIELDS = ("workloadCode", "workloadName", "serviceCode", "serviceName", "channel")
CELL_FIELDS = ("customerTenantId", "customerName", "productId", "productName")
MOST_ROWS = 10_000

Fields = Mapping[str, str]
Predicate = Callable[[Fields], bool]

_TOKEN = re.compile(r"\s*(?:(?P<word>[A-Za-z]\w*)|'(?P<text>(?:[^']|'')*)'|(?P<mark>[()]))", re.ASCII)


class QueryError(ValueError):
    """What the API refuses with 400."""


@dataclass(frozen=True, slots=True)
class Condition:
    """A filter: what it asks of a row, and the fields that it looks at."""

    holds: Predicate
    fields: frozenset[str]


@dataclass(frozen=True, slots=True)
class Query:
    """One request. Without `groupby` rows have every field; `day` None is the latest."""

    top: int
    skip: int
    groupby: tuple[str, ...]
    condition: Condition
    filter: str
    day: date | None


def parse(parameters: Mapping[str, str], *, fields: Sequence[str]) -> Query:
    """Read the parameters of a request; raises QueryError."""
    known = ("top", "skip", "groupby", "filter", "processedDateTime")
    for name in parameters:
        if name not in known:
            raise QueryError(f"there is no parameter {name!r}")
    text = parameters.get("filter", "")
    groupby = tuple(name.strip() for name in parameters.get("groupby", "").split(",") if name.strip())
    for name in groupby:
        if name not in fields:
            raise QueryError(f"groupby can't name {name!r}")
    return Query(
        top=min(_number(parameters, "top", MOST_ROWS) or MOST_ROWS, MOST_ROWS),
        skip=_number(parameters, "skip", 0),
        groupby=groupby,
        condition=_condition(text, fields) if text.strip() else Condition(lambda _row: True, frozenset()),
        filter=text,
        day=_day(parameters.get("processedDateTime")),
    )


def _number(parameters: Mapping[str, str], name: str, default: int) -> int:
    text = parameters.get(name, str(default))
    if not (text.isascii() and text.isdigit() and len(text) < 10):  # noqa: PLR2004 -- no offset is longer
        raise QueryError(f"{name} must be a whole number")
    return int(text)


def _day(text: str | None) -> date | None:
    try:
        return None if text is None else date.fromisoformat(text[:10])
    except ValueError:
        raise QueryError("processedDateTime must be a date") from None


def _condition(text: str, fields: Sequence[str]) -> Condition:
    """Read `field eq 'text'` and `ne`, joined by `and`, `or` and brackets; `and` binds closer."""
    parser = _Parser(list(_tokens(text)), fields)
    holds = parser.either()
    if parser.tokens:
        raise QueryError(f"the filter ends too late, at {parser.tokens[0][1]!r}")
    return Condition(holds, frozenset(parser.used))


def _tokens(text: str) -> Iterator[tuple[str, str]]:
    position = 0
    while text[position:].strip():
        match = _TOKEN.match(text, position)
        if match is None:
            raise QueryError(f"the filter can't be read at {text[position:][:20]!r}")
        position = match.end()
        kind = match.lastgroup or ""
        yield kind, match[kind].replace("''", "'") if kind == "text" else match[kind]


class _Parser:
    """Takes the tokens of a filter one by one."""

    def __init__(self, tokens: list[tuple[str, str]], fields: Sequence[str]) -> None:
        self.tokens = tokens
        self.used: set[str] = set()
        self._fields = fields

    def either(self) -> Predicate:
        """Read parts joined by `or`."""
        parts = [self._both()]
        while self._next_is("or"):
            parts.append(self._both())
        return lambda row: any(part(row) for part in parts)

    def _both(self) -> Predicate:
        parts = [self._one()]
        while self._next_is("and"):
            parts.append(self._one())
        return lambda row: all(part(row) for part in parts)

    def _one(self) -> Predicate:
        if self._next_is("("):
            inner = self.either()
            self._take("mark", (")",))
            return inner
        name = self._take("word", self._fields)
        equal = self._take("word", ("eq", "ne")) == "eq"
        wanted = self._take("text", ())
        self.used.add(name)
        return lambda row: (row[name] == wanted) is equal

    def _next_is(self, word: str) -> bool:
        if self.tokens and self.tokens[0][0] != "text" and self.tokens[0][1].lower() == word:
            del self.tokens[0]
            return True
        return False

    def _take(self, kind: str, allowed: Sequence[str]) -> str:
        found, value = self.tokens.pop(0) if self.tokens else ("end", "the end")
        if found != kind or (allowed and value not in allowed):
            raise QueryError(f"the filter can't be read at {value!r}")
        return value
