"""The query of the commercial analytics endpoints: groupby, filter, top, skip and processedDateTime.

learn.microsoft.com/partner-center/developer/get-licenses-usage-information
"""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date

FIGURE_FIELDS = ("workloadCode", "workloadName", "serviceCode", "serviceName", "channel")
CELL_FIELDS = ("customerTenantId", "customerName", "productId", "productName")
MAX_ROWS = 10_000

Predicate = Callable[[Mapping[str, str]], bool]

_PARAMETERS = ("top", "skip", "groupby", "filter", "processedDateTime")
_TOKEN = re.compile(r"\s*(?:(?P<word>[A-Za-z]\w*)|'(?P<text>(?:[^']|'')*)'|(?P<mark>[()]))", re.ASCII)


class QueryError(ValueError):
    """An invalid query, which the API rejects with 400."""


@dataclass(frozen=True, slots=True)
class Filter:
    """A parsed filter: its text, the test of a row's fields, and the fields it uses. Equal by its text."""

    text: str
    matches: Predicate = field(compare=False)
    fields: frozenset[str] = field(compare=False)


@dataclass(frozen=True, slots=True)
class Query:
    """A parsed query. An empty `groupby` means every field; `day` None means the latest."""

    top: int
    skip: int
    groupby: tuple[str, ...]
    filter: Filter
    day: date | None


def parse(parameters: Mapping[str, str], *, fields: Sequence[str]) -> Query:
    """Parse the parameters of a request; raises QueryError."""
    for name in parameters:
        if name not in _PARAMETERS:
            raise QueryError(f"unknown parameter {name!r}")
    groupby = tuple(name.strip() for name in parameters.get("groupby", "").split(",") if name.strip())
    for name in groupby:
        if name not in fields:
            raise QueryError(f"unknown field {name!r} in groupby")
    return Query(
        top=min(_number(parameters, "top", MAX_ROWS) or MAX_ROWS, MAX_ROWS),
        skip=_number(parameters, "skip", 0),
        groupby=groupby,
        filter=_filter(parameters.get("filter", ""), fields),
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


def _filter(text: str, fields: Sequence[str]) -> Filter:
    """Parse `field eq 'text'` and `ne`, joined by `and`, `or` and parentheses; `and` binds tighter."""
    parser = _FilterParser(list(_tokens(text)), fields)
    matches = parser.disjunction() if parser.tokens else lambda _row: True
    if parser.tokens:
        raise QueryError(f"unexpected {parser.tokens[0][1]!r} after the end of the filter")
    return Filter(text, matches, frozenset(parser.used))


def _tokens(text: str) -> Iterator[tuple[str, str]]:
    position = 0
    while text[position:].strip():
        match = _TOKEN.match(text, position)
        if match is None:
            raise QueryError(f"invalid filter at {text[position:][:20]!r}")
        position = match.end()
        kind = match.lastgroup or ""
        yield kind, match[kind].replace("''", "'") if kind == "text" else match[kind]


class _FilterParser:
    """A recursive-descent parser, which consumes the tokens of a filter."""

    def __init__(self, tokens: list[tuple[str, str]], fields: Sequence[str]) -> None:
        self.tokens = tokens
        self.used: set[str] = set()
        self._fields = fields

    def disjunction(self) -> Predicate:
        """Parse terms joined by `or`."""
        terms = [self._conjunction()]
        while self._accept("or"):
            terms.append(self._conjunction())
        return lambda row: any(term(row) for term in terms)

    def _conjunction(self) -> Predicate:
        terms = [self._comparison()]
        while self._accept("and"):
            terms.append(self._comparison())
        return lambda row: all(term(row) for term in terms)

    def _comparison(self) -> Predicate:
        if self._accept("("):
            inner = self.disjunction()
            self._expect("mark", (")",))
            return inner
        name = self._expect("word", self._fields)
        equal = self._expect("word", ("eq", "ne")) == "eq"
        value = self._expect("text", ())
        self.used.add(name)
        return lambda row: (row[name] == value) is equal

    def _accept(self, word: str) -> bool:
        if self.tokens and self.tokens[0][0] != "text" and self.tokens[0][1].lower() == word:
            del self.tokens[0]
            return True
        return False

    def _expect(self, kind: str, allowed: Sequence[str]) -> str:
        found, value = self.tokens.pop(0) if self.tokens else ("end", "the end")
        if found != kind or (allowed and value not in allowed):
            raise QueryError(f"invalid filter at {value!r}")
        return value
