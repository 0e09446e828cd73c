"""What the commercial licence endpoints have in common: pages of rows, added up as they arrive.

learn.microsoft.com/partner-center/developer/get-licenses-usage-information and
get-licenses-deployment-information. `groupby` names exactly the labels that are exposed, and with `detail`
the names that go with the ids, so that the server adds up. processedDateTime is not among them: by default
the response covers the newest day, and each row has its date; where it doesn't, that sample is absent.
"""

from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import KW_ONLY, dataclass, replace
from datetime import date
from sys import getsizeof
from typing import Any, ClassVar, Generic, Self, TypeVar, assert_never

from exporter.errors import NotFound, PayloadError
from exporter.messages import line
from exporter.model.rows import Answer, Api, Dimension, DropReason, Row
from exporter.model.totals import Breakdown, Labels, Names, Sums, Total, drain, keep_smallest
from exporter.model.values import ImpossibleValueError, label, timestamp
from exporter.partner_center.client import ApiPoll
from exporter.partner_center.paging import pages
from exporter.partner_center.wire import CommercialItem, PageDecoder, no_usable_rows

T = TypeVar("T", bound=CommercialItem)
Reading = tuple[tuple[str | None, ...], float | None, float | None]
"""One item's label values as sent, and its two counts."""
NamesOf = Callable[[CommercialItem], tuple[str | None, str | None]]
"""An item's id and name of a customer or product."""

# No customer has as many licences; totals of a million such counts are still exact enough to be finite.
MAX_LICENCES = 1e15
# What is held while the pages arrive, per series that may be shown: label sets, and memory for labels and names,
# of which licence data needs far less.
_SETS_PER_SERIES = 4
_BYTES_PER_SERIES = 700
# What a label value and a name take besides their text.
_TEXT_BYTES, _NAME_BYTES = 100, 200
_MIN_SERIES = 10_000
PATH_HINT = line(
    "Microsoft documents this path with and without a leading /partner and a trailing slash: try another "
    "one as `path` of this source, and check that your cloud offers this API"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class CommercialEndpoint(Generic[T]):
    """One endpoint: what is asked for (`fields` to group by, one a label), and how its rows are read and shown."""

    row: type[Row]
    path: str
    decoder: PageDecoder[T]
    fields: tuple[str, ...]
    read: Callable[[T], Reading]
    to_row: Callable[[Labels, Total], Row]


@dataclass(frozen=True, slots=True)
class Commercial:
    """A source with `api: commercial`, with its options in the configuration; `processed_on` None is the newest day."""

    endpoint: CommercialEndpoint[Any]
    _: KW_ONLY
    max_series: int
    detail: tuple[Dimension, ...] = ()
    filter: str = ""
    path: str = ""
    processed_on: date | None = None
    api: ClassVar = Api.COMMERCIAL

    @property
    def dimensions(self) -> tuple[Dimension, ...]:
        """What its counts are broken down by, in the order of the labels."""
        return tuple(dimension for dimension in Dimension if dimension in self.detail)

    def on(self, day: date) -> Self:
        """Return the same source for the data of a past day."""
        return replace(self, processed_on=day)

    def fetch(self, poll: ApiPoll) -> Answer:
        """Fetch every page and add the rows up; raises PollError, PayloadError where no row is usable."""
        tally = Tally(self.endpoint, self.dimensions, max_series=self.max_series, is_secret=poll.carries_secret)
        try:
            path = self.path or self.endpoint.path
            for page in pages(poll, self.endpoint.decoder, path=path, options=self._options()):
                tally.dropped[DropReason.INVALID] += page.invalid
                tally.dropped[DropReason.DUPLICATE] += page.repeated
                tally.add(page.items)
            return tally.answer(poll)
        except NotFound as error:
            raise error.replace(remedy=PATH_HINT) from error
        finally:
            tally.clear()

    def _options(self) -> dict[str, str]:
        """Return the query: grouped by exactly what is shown, so that the server sums over the rest."""
        detail = (field for dimension in self.dimensions for field in _named(dimension)[0])
        groupby = ",".join((*self.endpoint.fields, *detail))
        day = self.processed_on.isoformat() if self.processed_on else ""
        return {"groupby": groupby, "filter": self.filter, "processedDateTime": day}


def _named(dimension: Dimension) -> tuple[tuple[str, str], NamesOf]:
    """Return the API's fields of an id and its name, and what reads an item's."""
    match dimension:
        case Dimension.CUSTOMER:
            return ("customerTenantId", "customerName"), lambda item: (item.customer_id, item.customer_name)
        case Dimension.PRODUCT:
            return ("productId", "productName"), lambda item: (item.product_id, item.product_name)
        case _:
            assert_never(dimension)


def _too_much() -> PayloadError:
    return PayloadError(
        line("the response has far more label sets or longer labels than poll.max_series allows for"),
        remedy=line("raise poll.max_series, or ask for less: set a filter, or less detail"),
    )


class Tally(Generic[T]):
    """Adds rows up, page by page, up to a small multiple of `max_series`. Not safe for threads.

    `is_secret` says of a text that it must not become a label.
    """

    def __init__(
        self,
        endpoint: CommercialEndpoint[T],
        dimensions: Sequence[Dimension],
        *,
        max_series: int,
        is_secret: Callable[[str], bool],
    ) -> None:
        self._endpoint = endpoint
        self._labels = (*endpoint.row.LABELS, *(dimension.label for dimension in dimensions))
        self._named: list[tuple[NamesOf, Names]] = [(_named(dimension)[1], {}) for dimension in dimensions]
        self._texts: dict[str, str] = {}
        self._dimensions = dimensions
        self._max_series = max_series
        self._is_secret = is_secret
        self._room = max(max_series, _MIN_SERIES) * _BYTES_PER_SERIES
        self.sums: Sums = {}
        self.usable = 0
        self.dropped = dict.fromkeys(DropReason, 0)

    def add(self, items: Sequence[T]) -> None:
        """Add one page; a row with an impossible value or without a label is dropped and counted.

        Raises PayloadError when it gets too much. One flat loop on purpose, since it runs for every row of a million.
        """
        read, sums, named = self._endpoint.read, self.sums, self._named
        invalid = 0
        for item in items:
            labels, part, whole = read(item)
            for names_of, _ in named:
                labels += (names_of(item)[0],)
            if not (part is None or 0 <= part <= MAX_LICENCES) or not (whole is None or 0 <= whole <= MAX_LICENCES):
                invalid += 1
                continue
            try:
                processed_at = timestamp(item.processed_date_time)
                # Most rows have labels seen before, whose values are fit to show; None is never among these.
                total = sums.get(labels) or self._new_total(labels)  # type: ignore[arg-type]  # so a miss
            except ImpossibleValueError:
                invalid += 1
                continue
            total.add(part, whole, processed_at)
            for names_of, names in named:
                identifier, name = names_of(item)
                known = names.get(identifier)  # type: ignore[arg-type]  # as above
                if known is None or known[1] != name:
                    self._note_name(names, identifier, name, processed_at or 0.0)
        self.dropped[DropReason.INVALID] += invalid
        self.usable += len(items) - invalid

    def _new_total(self, labels: tuple[str | None, ...]) -> Total:
        """Return the total of new labels, or of labels not as they are shown; raises ImpossibleValueError."""
        shown = tuple([self._text(value) for value in labels])
        if len(self.sums) >= max(self._max_series, _MIN_SERIES) * _SETS_PER_SERIES:
            raise _too_much()
        return self.sums.setdefault(shown, Total())

    def _text(self, value: str | None) -> str:
        """Return a label value as it is shown: one object for all equal ones; raises ImpossibleValueError."""
        text = label(value)
        known = self._texts.get(text)
        if known is None:
            if self._is_secret(text):
                raise ImpossibleValueError
            # Not its length: one character can make all others take four bytes.
            self._take_room(_TEXT_BYTES + getsizeof(text))
            known = self._texts[text] = text
        return known

    def _take_room(self, size: int) -> None:
        self._room -= size
        if self._room < 0:
            raise _too_much()

    def _note_name(self, names: Names, identifier: str | None, name: str | None, processed_at: float) -> None:
        """Keep the newest name of an id; of two of one day the greater, so that row order doesn't matter."""
        key = self._text(identifier)
        if name and names.get(key, (-1.0, "")) < (processed_at, name) and not self._is_secret(name):
            with suppress(ImpossibleValueError):
                names[key] = (processed_at, label(name))
                self._take_room(_NAME_BYTES + getsizeof(names[key][1]))

    def answer(self, poll: ApiPoll) -> Answer:
        """Return at most `max_series` label sets, added up; raises PayloadError where no row is usable."""
        received = self.usable + self.dropped[DropReason.INVALID]
        if received and all(total.part is None and total.whole is None for total in self.sums.values()):
            raise no_usable_rows(received)
        if self.usable > len(self.sums):
            poll.log.warning("server ignored groupby, aggregating locally", rows=self.usable, series=len(self.sums))
        sums = self._over_customers_and_products() if self._dimensions else self.sums
        self.dropped[DropReason.LIMIT] = keep_smallest(self.sums, self._max_series)
        keep_smallest(sums, self._max_series)
        rows = tuple([self._endpoint.to_row(labels, sums[labels]) for labels in sorted(sums)])
        breakdown = self._breakdown() if self._dimensions else None
        return Answer(rows, self.dropped, usable=self.usable, breakdown=breakdown)

    def _over_customers_and_products(self) -> Sums:
        """Return the totals without detail, of all label sets before any limit."""
        width = len(self._endpoint.row.LABELS)
        sums: Sums = {}
        for labels, total in self.sums.items():
            sums.setdefault(labels[:width], Total()).add(total.part, total.whole, total.processed_at)
        return sums

    def _breakdown(self) -> Breakdown:
        """Hand over the totals, with the names of the ids that are left."""
        if self.dropped[DropReason.LIMIT]:
            for column, (_, names) in enumerate(self._named, start=len(self._endpoint.row.LABELS)):
                left = {labels[column] for labels in self.sums}
                for identifier in names.keys() - left:
                    del names[identifier]
        names_by_label = {
            dimension.label: names for dimension, (_, names) in zip(self._dimensions, self._named, strict=True)
        }
        sums, self.sums = self.sums, {}
        return Breakdown(self._labels, sums, names_by_label)

    def clear(self) -> None:
        """Free the memory without stopping other threads."""
        self._texts.clear()
        for _ in drain(self.sums):
            pass
