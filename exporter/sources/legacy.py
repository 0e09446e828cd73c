"""What the legacy licence endpoints have in common: one page, one row per series, the newest wins."""

from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, ClassVar, Generic, TypeVar

from exporter.errors import NotFound
from exporter.messages import line
from exporter.model.rows import Answer, Api, Dimension, DropReason, Row, has_value
from exporter.model.values import ImpossibleValueError, quantity
from exporter.partner_center.client import ApiPoll
from exporter.partner_center.wire import PageDecoder, no_usable_rows

T = TypeVar("T")
R = TypeVar("R", bound=Row)

# The API's percentages run to 100; a quirk may exceed that, but nothing sane exceeds this.
MAX_PERCENT = 1_000_000.0

SUCCESSOR_HINT = line("Microsoft may have retired this API for your tenant: try `api: commercial` for this source")


@dataclass(frozen=True, slots=True)
class LegacyEndpoint(Generic[T]):
    """One endpoint, and how its items become rows; `to_row` raises ImpossibleValueError."""

    row: type[Row]
    path: str
    decoder: PageDecoder[T]
    to_row: Callable[[T], Row]


@dataclass(frozen=True, slots=True)
class Legacy:
    """A source with `api: legacy`. Returns at most `max_series` rows."""

    endpoint: LegacyEndpoint[Any]
    max_series: int
    api: ClassVar = Api.LEGACY
    dimensions: ClassVar[tuple[Dimension, ...]] = ()

    def fetch(self, poll: ApiPoll) -> Answer:
        """Fetch the newest figures; raises PollError, PayloadError where no row is usable."""
        try:
            page = self.endpoint.decoder.decode(poll.get(self.endpoint.path), poll.redactor)
        except NotFound as error:
            raise error.replace(remedy=SUCCESSOR_HINT) from error
        rows = []
        for item in page.items:
            with suppress(ImpossibleValueError):
                row = self.endpoint.to_row(item)
                if not any(map(poll.carries_secret, row.key)):
                    rows.append(row)
        received = len(page.items) + page.invalid
        dropped = Counter({DropReason.INVALID: received - len(rows)})
        if received and not any(has_value(row) for row in rows):
            raise no_usable_rows(received)
        newest = keep_newest(rows)
        dropped[DropReason.DUPLICATE] = len(rows) - len(newest)
        # Sorted, so that every poll keeps the same series.
        kept = tuple(sorted(newest, key=lambda row: row.key)[: self.max_series])
        dropped[DropReason.LIMIT] = len(newest) - len(kept)
        return Answer(kept, dict(dropped), usable=len(kept))


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
