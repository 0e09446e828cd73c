"""What the legacy licence endpoints have in common: one page, one row per series, the newest wins."""

from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, ClassVar, Generic, TypeVar

from exporter.errors import NotFound
from exporter.messages import line
from exporter.model.rows import Answer, Api, Dimension, DropReason, Row, has_value, is_blank
from exporter.model.values import ImpossibleValueError, quantity
from exporter.partner_center.client import ApiPoll
from exporter.partner_center.wire import Page, PageDecoder, contradiction, no_usable_rows

T = TypeVar("T")
R = TypeVar("R", bound=Row)

# The API's percentages run to 100; a quirk may exceed that, but nothing sane exceeds this.
MAX_PERCENT = 1_000_000.0

SUCCESSOR_HINT = line("Microsoft may have retired this API for your tenant: try `api: commercial` for this source")


@dataclass(frozen=True, slots=True)
class LegacyEndpoint(Generic[T]):
    """One endpoint, and how its items become rows; `to_row` raises ImpossibleValueError.

    `values` are the fields of a row that this API gives, besides labels and dates.
    """

    row: type[Row]
    path: str
    decoder: PageDecoder[T]
    to_row: Callable[[T], Row]
    values: tuple[str, ...]

    def lacks_value(self, row: Row) -> bool:
        """Return whether the API left out one of a row's values."""
        return any(getattr(row, name) is None for name in self.values)


@dataclass(frozen=True, slots=True)
class Legacy:
    """A source with `api: legacy`. Returns at most `max_series` rows."""

    endpoint: LegacyEndpoint[Any]
    max_series: int
    api: ClassVar = Api.LEGACY
    timeout_seconds: ClassVar = 0.0  # as configured
    dimensions: ClassVar[tuple[Dimension, ...]] = ()

    @property
    def query(self) -> str:
        """A short text that is equal as long as the same data is asked for."""
        return str(self.max_series)

    def probe(self, poll: ApiPoll) -> None:
        """Find out whether there is an answer; raises PollError."""
        poll.get(self.endpoint.path)

    def fetch(self, poll: ApiPoll) -> Answer:
        """Fetch the newest figures; raises PollError, PayloadError where rows are missing, or none is usable."""
        try:
            page = self.endpoint.decoder.decode(poll.get(self.endpoint.path), poll.redactor)
        except NotFound as error:
            raise error.replace(remedy=SUCCESSOR_HINT) from error
        received = len(page.items) + page.invalid
        _check_whole(page, received)
        rows = self._rows(page.items, poll)
        if received and not any(has_value(row) for row in rows):
            raise no_usable_rows(received)
        newest = keep_newest(rows)
        shown = [row for row in newest if not is_blank(row)]
        # Sorted, so that every poll keeps the same series.
        kept = tuple(sorted(shown, key=lambda row: row.key)[: self.max_series])
        dropped = {
            DropReason.INVALID: received - len(rows),
            DropReason.DUPLICATE: len(rows) - len(newest),
            DropReason.NO_VALUE: sum(map(self.endpoint.lacks_value, rows)),
            DropReason.LIMIT: len(shown) - len(kept),
        }
        return Answer(kept, dropped, usable=len(kept))

    def _rows(self, items: Sequence[Any], poll: ApiPoll) -> list[Row]:
        """Return the rows of the items that can be used."""
        rows = []
        for item in items:
            with suppress(ImpossibleValueError):
                row = self.endpoint.to_row(item)
                if not any(map(poll.carries_secret, row.key)):
                    rows.append(row)
        return rows


def _check_whole(page: Page[Any], received: int) -> None:
    """Raise PayloadError if the response says that there are more rows: this API has no pages."""
    if page.total is not None and page.total > received:
        raise contradiction(line("received {:,} rows, but the total is {:,}", received, page.total))
    if page.next_link:
        raise contradiction(line("the response has a link to a next page, but this API has no pages"))


def keep_newest(rows: Sequence[R]) -> list[R]:
    """Return one row per label set: the one processed last, the first of equals."""
    newest: dict[tuple[str, ...], R] = {}
    for row in rows:
        known = newest.get(row.key)
        if known is None or (row.processed_at or 0.0) > (known.processed_at or 0.0):
            newest[row.key] = row
    return list(newest.values())


def ratio(percent: float | None) -> float | None:
    """Return a percentage as a ratio, never clamped; raises ImpossibleValueError."""
    number = quantity(percent, maximum=MAX_PERCENT)
    return None if number is None else number / 100
