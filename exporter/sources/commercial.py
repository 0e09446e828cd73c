"""What the commercial licence endpoints have in common: pages of rows, added up as they come.

learn.microsoft.com/partner-center/developer/get-licenses-usage-information and
get-licenses-deployment-information. `groupby` names exactly the labels that are exposed, and with `detail`
the names that go with the ids, so that the server adds up. processedDateTime is not among them: by default
the answer is of the newest day, and the date comes with each row; where it doesn't, its sample is absent.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date
from operator import attrgetter
from typing import Any, Generic, TypeVar

from exporter.counts import Counts, Labels, Names, empty
from exporter.errors import NotFound, PayloadError
from exporter.model import Answer, DeploymentRow, DropReason, ImpossibleValueError, UsageRow, label, timestamp
from exporter.partner_center.client import ApiPoll
from exporter.partner_center.paging import Query, pages
from exporter.partner_center.wire import PageDecoder

T = TypeVar("T")

# Nobody has as many licences; sums of a million such counts are still exact enough to be finite.
MOST_LICENSES = 1e15
PATH_HINT = (
    "Microsoft's pages name this path with and without /partner in front, and with and without a slash at "
    "its end: try another as `path` of this source, and see whether your cloud has this API"
)
DETAIL_LABELS = {"customer": "customer_id", "product": "product_id"}
_DETAIL_FIELDS = {
    "customer": ("customer_id", "customer_name", ("customerTenantId", "customerName")),
    "product": ("product_id", "product_name", ("productId", "productName")),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """What the configuration says of a commercial source. `detail` is of customer and product.

    `processed_on` is a past day to ask for; None is the newest.
    """

    max_series: int
    detail: tuple[str, ...] = ()
    filter: str = ""
    path: str = ""
    processed_on: date | None = None

    @property
    def detail_in_order(self) -> tuple[str, ...]:
        """`detail` in the order of the labels."""
        return tuple(name for name in DETAIL_LABELS if name in self.detail)


@dataclass(frozen=True, slots=True)
class Shape(Generic[T]):
    """How the rows of one endpoint are read.

    `labels` are (label, attribute, field on the wire); `values` the attributes of date, first and second
    count, each count in two spellings; `to_row` makes a row of labels, two sums and the newest date.
    """

    path: str
    decoder: PageDecoder[T]
    labels: tuple[tuple[str, str, str], ...]
    values: tuple[str, str, str, str, str]
    to_row: Callable[[Labels, float | None, float | None, float | None], UsageRow | DeploymentRow]


def fetch_sums(poll: ApiPoll, shape: Shape[T], options: Options) -> Answer:
    """Fetch every page and return the sums; raises PollError, PayloadError where none is usable."""
    tally = Tally(shape, options.detail_in_order)
    try:
        for page in pages(poll, query(shape, options), shape.decoder):
            tally.dropped[DropReason.INVALID] += page.invalid
            tally.dropped[DropReason.DUPLICATE] += page.repeated
            tally.add(page.items)
        return tally.answer(poll, options.max_series)
    except NotFound as error:
        error.remedy = PATH_HINT
        raise
    finally:
        tally.forget()


def query(shape: Shape[T], options: Options) -> Query:
    """Return the question: grouped by exactly what is shown."""
    detail = [field for name in options.detail_in_order for field in _DETAIL_FIELDS[name][2]]
    groupby = (*(field for _, _, field in shape.labels), *detail)
    return Query(options.path or shape.path, groupby, options.filter, options.processed_on)


def quotient(part: float | None, whole: float | None) -> float | None:
    """Return a ratio; None where a side is not given, or the whole is nothing."""
    return None if part is None or not whole else part / whole


class _Words(dict[str | None, str]):
    """Label values as they are shown, one object for all that are alike."""

    def __missing__(self, raw: str | None) -> str:
        word = self[raw] = label(raw)
        return word


class _Moments(dict[str | None, float]):
    """Dates as Unix seconds; 0 for none. Raises ImpossibleValueError."""

    def __missing__(self, raw: str | None) -> float:
        moment = self[raw] = timestamp(raw) or 0.0
        return moment


class Tally(Generic[T]):
    """Adds rows up, page by page."""

    def __init__(self, shape: Shape[T], detail: Sequence[str]) -> None:
        self._shape = shape
        names = [name for name, _, _ in shape.labels]
        attributes = [attribute for _, attribute, _ in shape.labels]
        self._width = len(names)
        self.counts = Counts((*names, *(DETAIL_LABELS[name] for name in detail)))
        self.names: dict[str, Names] = {DETAIL_LABELS[name]: {} for name in detail}
        self._labels_of = attrgetter(*attributes, *(_DETAIL_FIELDS[name][0] for name in detail))
        self._names_of = [
            (self.names[DETAIL_LABELS[name]], attrgetter(*_DETAIL_FIELDS[name][:2])) for name in detail
        ]
        self._values_of = attrgetter(*shape.values)
        self._words = _Words()
        self._moments = _Moments()
        self.usable = 0
        self.dropped = dict.fromkeys(DropReason, 0)

    def add(self, items: Sequence[T]) -> None:
        """Add one page. The loop is flat on purpose: it runs for every row of a million."""
        places, first, second = self.counts.places, self.counts.first, self.counts.second
        newest, moments, invalid = self.counts.newest, self._moments, 0
        for labels, (processed, a, a_too, b, b_too), item in zip(
            map(self._labels_of, items), map(self._values_of, items), items, strict=True
        ):
            a = a_too if a is None else a  # noqa: PLW2901  the other spelling
            b = b_too if b is None else b  # noqa: PLW2901  likewise
            if not (a is None or 0 <= a <= MOST_LICENSES) or not (b is None or 0 <= b <= MOST_LICENSES):
                invalid += 1
                continue
            try:
                moment = moments[processed]
                place = places.get(labels)
                if place is None:
                    place = self._place(labels)
            except ImpossibleValueError:
                invalid += 1
                continue
            if a is not None:
                held = first[place]
                first[place] = a + held if held == held else a  # noqa: PLR0124  NaN: the first that came
            if b is not None:
                held = second[place]
                second[place] = b + held if held == held else b  # noqa: PLR0124  likewise
            if moment and not newest[place] >= moment:
                newest[place] = moment
            if self._names_of:
                self._note_names(item, moment)
        self.dropped[DropReason.INVALID] += invalid
        self.usable += len(items) - invalid

    def _place(self, labels: tuple[str | None, ...]) -> int:
        """Return the place of labels that are new, or not as they are shown; raises ImpossibleValueError."""
        words = self._words
        return self.counts.place(tuple([words[text] for text in labels]))

    def _note_names(self, item: T, moment: float) -> None:
        for names, read in self._names_of:
            identifier, name = read(item)
            identifier = self._words[identifier]
            held = names.get(identifier)
            # The newest name counts; of two of one day the greater, so that the rows' order doesn't matter.
            if name and (held is None or (held[1] != name and held < (moment, name))):
                names[identifier] = (moment, label(name))

    def answer(self, poll: ApiPoll, limit: int) -> Answer:
        """Return at most `limit` label sets, added up; raises PayloadError where nothing is usable."""
        received = self.usable + self.dropped[DropReason.INVALID]
        counts = self.counts
        if received and not counts.measured:
            raise PayloadError(
                f"none of the {received} rows is usable: no labels, no value, or impossible ones",
                remedy="the API has changed, or answers for another kind of data: please report it",
            )
        if self.usable > len(counts):
            poll.log.warning("server ignored groupby, added up here", rows=self.usable, series=len(counts))
        rows = self._rows()
        self.dropped[DropReason.LIMIT] = counts.keep_smallest(limit)
        rows = tuple(sorted(rows, key=lambda row: row.key)[:limit])
        if not self.names:
            return Answer(rows, self.dropped, usable=self.usable)
        if self.dropped[DropReason.LIMIT]:
            self._keep_names_of_what_is_left()
        answer = Answer(rows, self.dropped, self.usable, counts, self.names)
        self.counts, self.names = Counts(counts.names), {}
        return answer

    def _rows(self) -> tuple[UsageRow | DeploymentRow, ...]:
        """Return a row for each set of the first labels, summed over the detail before any limit."""
        if not self.names:
            return tuple(self._shape.to_row(*sums) for sums in self.counts.sums())
        counts, width = self.counts, self._width
        summary = Counts(counts.names[:width])
        known = summary.places
        pairs = ((summary.first, counts.first), (summary.second, counts.second))
        for labels, place in counts.places.items():
            to = known.get(labels[:width])
            if to is None:
                to = summary.place(labels[:width])
            for sums, values in pairs:
                value = values[place]
                if value == value:  # noqa: PLR0124  not NaN
                    held = sums[to]
                    sums[to] = value + held if held == held else value  # noqa: PLR0124  NaN: the first
            if counts.newest[place] > summary.newest[to] or math.isnan(summary.newest[to]):
                summary.newest[to] = counts.newest[place]
        return tuple(self._shape.to_row(*sums) for sums in summary.sums())

    def _keep_names_of_what_is_left(self) -> None:
        for column, names in enumerate(self.names.values(), start=self._width):
            left = {labels[column] for labels in self.counts.places}
            for identifier in [each for each in names if each not in left]:
                del names[identifier]

    def forget(self) -> None:
        """Give back the memory without stopping other threads."""
        for _ in self.counts.drain():
            pass
        words: dict[Any, str] = self._words
        empty(words)
