"""The rows of a report's file added up by customer: of its months, the newest that has data counts."""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from datetime import date
from functools import partial

from exporter.model.rows import DropReason
from exporter.model.totals import Names, Sums
from exporter.model.values import ImpossibleValueError
from exporter.partner_center.insights import Item, folded
from exporter.partner_center.wire import CommercialItem, no_usable_rows
from exporter.sources.data_sets import MONTH
from exporter.sources.months import month_of
from exporter.sources.tally import Reading, Tally
from exporter.sources.try_query import TryQuery, number_in

_BATCH = 1_000


class _Item(CommercialItem, frozen=True, gc=False, kw_only=True):
    """Two counts of a row of a file."""

    labels: tuple[str | None, ...]
    part: float | None
    whole: float | None


def _read(item: _Item) -> Reading:
    return item.labels, item.part, item.whole


def _ids(item: CommercialItem) -> tuple[str | None, str | None]:
    return item.customer_id, item.customer_name


class MonthTally:
    """Adds up the rows of a file by customer; of its months, the newest that has data counts. Not safe for threads."""

    def __init__(self, query: TryQuery, *, max_series: int, is_secret: Callable[[str], bool]) -> None:
        self._query = query
        self._month: date | None = None
        self._new_tally = partial(
            Tally[_Item],
            _read,
            width=len(query.data_set.row.LABELS),
            ids=[_ids],
            max_series=max_series,
            is_secret=is_secret,
        )
        self._tally = self._new_tally()
        self._invalid = self._no_value = 0

    def take(self, rows: Iterable[Item]) -> None:
        """Add rows; raises PayloadError when it gets too much."""
        batch: list[_Item] = []
        for row in rows:
            for month, item in self._items(row):
                if self._month is None or month > self._month:
                    self._tally.clear()
                    self._tally, self._month = self._new_tally(), month
                    batch.clear()
                if month == self._month:
                    batch.append(item)
            if len(batch) >= _BATCH:
                self._tally.add(batch)
                batch.clear()
        self._tally.add(batch)

    def _items(self, row: Item) -> Iterator[tuple[date, _Item]]:
        """Yield each pair of counts that a row has; one that can't be used is counted."""
        for counts in self._query.counts:
            try:
                month = month_of(row.get(folded(MONTH)))
                part, whole = number_in(row, counts.part), number_in(row, counts.whole)
            except ImpossibleValueError:
                self._invalid += 1
                continue
            if part is None and whole is None:
                self._no_value += 1
                continue
            labels = tuple(
                counts.labels[name] if name in counts.labels else row.get(folded(self._query.data_set.labels[name]))
                for name in self._query.data_set.row.LABELS
            )
            identifier, name = (row.get(folded(column)) for column in self._query.data_set.customer)
            yield (
                month,
                _Item(
                    service_code=self._query.data_set.name,
                    processed_date_time=month.isoformat(),
                    customer_id=identifier,
                    customer_name=name,
                    labels=labels,
                    part=part,
                    whole=whole,
                ),
            )

    def move_to(self, sums: Sums, names: Names, dropped: Counter[DropReason]) -> None:
        """Add the totals by customer, their names and what was dropped to those of others; raises PayloadError.

        That is where rows came, and none is usable.
        """
        self._tally.finish()
        lost = Counter({**self._tally.dropped})
        lost += Counter({DropReason.INVALID: self._invalid, DropReason.NO_VALUE: self._no_value})
        if lost[DropReason.INVALID] and not self._tally.sums:
            raise no_usable_rows(lost[DropReason.INVALID])
        sums |= self._tally.sums
        names |= self._tally.names[0]
        dropped += lost

    def clear(self) -> None:
        """Free the memory without stopping other threads."""
        self._tally.clear()
