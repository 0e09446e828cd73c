"""What the commercial licence endpoints have in common: pages of rows, added up as they arrive.

learn.microsoft.com/partner-center/developer/get-licenses-usage-information and
get-licenses-deployment-information. `groupby` names exactly the labels that are exposed, and with `detail`
the names that go with the ids, so that the server adds up. processedDateTime is not among them: by default
the response covers the newest day, and each row has its date; where it doesn't, that sample is absent.
"""

from collections.abc import Callable
from dataclasses import KW_ONLY, dataclass, replace
from datetime import date
from hashlib import sha256
from typing import Any, ClassVar, Generic, Self, TypeVar, assert_never

from exporter.errors import NotFound
from exporter.messages import line
from exporter.model.rows import Answer, Api, Dimension, DropReason, Row
from exporter.model.totals import Breakdown, Labels, Total, keep_smallest
from exporter.partner_center.client import ApiPoll
from exporter.partner_center.paging import pages
from exporter.partner_center.wire import CommercialItem, PageDecoder, no_usable_rows
from exporter.sources.detail import breakdown_of, over_ids
from exporter.sources.tally import NamesOf, Reading, Tally

T = TypeVar("T", bound=CommercialItem)

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
    timeout_seconds: ClassVar = 0.0  # as configured

    @property
    def dimensions(self) -> tuple[Dimension, ...]:
        """What its counts are broken down by, in the order of the labels."""
        return tuple(dimension for dimension in Dimension if dimension in self.detail)

    @property
    def query(self) -> str:
        """A short text that is equal as long as the same data is asked for; a filter may name customers."""
        asked = (*map(str, self.dimensions), self.filter, self.path, str(self.max_series))
        return sha256("\0".join(asked).encode("utf-8", "replace")).hexdigest()[:16]

    def on(self, day: date) -> Self:
        """Return the same source for the data of a past day."""
        return replace(self, processed_on=day)

    def probe(self, poll: ApiPoll) -> None:
        """Find out whether there is an answer, by the request with the smallest one; raises PollError."""
        poll.get(f"{self.path or self.endpoint.path}?groupby={self.endpoint.fields[0]}&top=1")

    def fetch(self, poll: ApiPoll) -> Answer:
        """Fetch every page and add the rows up; raises PollError, PayloadError if rows are missing or none usable."""
        tally = Tally(
            self.endpoint.read,
            width=len(self.endpoint.row.LABELS),
            ids=[_named(dimension)[1] for dimension in self.dimensions],
            max_series=self.max_series,
            is_secret=poll.carries_secret,
        )
        try:
            path = self.path or self.endpoint.path
            for page in pages(poll, self.endpoint.decoder, path=path, options=self._options()):
                tally.dropped[DropReason.INVALID] += page.invalid
                tally.dropped[DropReason.DUPLICATE] += page.repeated
                tally.add(page.items)
            return self._answer(tally, poll)
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

    def _answer(self, tally: Tally[Any], poll: ApiPoll) -> Answer:
        """Return at most `max_series` label sets, added up; raises PayloadError."""
        tally.finish()
        usable, dropped = tally.usable, tally.dropped
        if tally.older:
            poll.log.warning("response has several days, using the newest", dropped=tally.older)
        received = usable + dropped[DropReason.INVALID]
        if received and all(total.part is None and total.whole is None for total in tally.sums.values()):
            raise no_usable_rows(received)
        if usable > len(tally.sums):
            poll.log.warning("server ignored groupby, aggregating locally", rows=usable, series=len(tally.sums))
        sums = over_ids(tally.sums, len(self.endpoint.row.LABELS)) if self.detail else tally.sums
        dropped[DropReason.LIMIT] = keep_smallest(tally.sums, self.max_series)
        keep_smallest(sums, self.max_series)
        rows = tuple([self.endpoint.to_row(labels, sums[labels]) for labels in sorted(sums) if sums[labels] != Total()])
        return Answer(rows, dropped, usable=usable, breakdown=self._breakdown(tally) if self.detail else None)

    def _breakdown(self, tally: Tally[Any]) -> Breakdown:
        """Hand over the totals, with the names of the ids that are left."""
        sums, tally.sums = tally.sums, {}
        names = dict(zip(self.dimensions, tally.names, strict=True))
        return breakdown_of(self.endpoint.row, sums, names, complete=not any(tally.dropped.values()))


def _named(dimension: Dimension) -> tuple[tuple[str, str], NamesOf]:
    """Return the API's fields of an id and its name, and what reads an item's."""
    match dimension:
        case Dimension.CUSTOMER:
            return ("customerTenantId", "customerName"), lambda item: (item.customer_id, item.customer_name)
        case Dimension.PRODUCT:
            return ("productId", "productName"), lambda item: (item.product_id, item.product_name)
        case _:
            assert_never(dimension)
