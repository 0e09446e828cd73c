"""Rows of the commercial licence endpoints added up as they arrive, up to a million label sets.

Days are never added up: of each service, only the newest counts, and rows without a date count with it. Services are
processed apart, and in one response may be of different days.
"""

from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from sys import getsizeof
from typing import Generic, TypeVar

from exporter.errors import PayloadError
from exporter.messages import line
from exporter.model.rows import DropReason
from exporter.model.totals import Labels, Names, Sums, Total, drain
from exporter.model.values import ImpossibleValueError, label, timestamp
from exporter.partner_center.wire import CommercialItem, contradiction

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
_DAY_SECONDS = 86_400


def _too_much() -> PayloadError:
    return PayloadError(
        line("the response has far more label sets or longer labels than poll.max_series allows for"),
        remedy=line("raise poll.max_series, or ask for less: set a filter, or less detail"),
    )


@dataclass(eq=False, slots=True)
class _Day:
    """What the rows of one day add up to, and how many they are."""

    sums: Sums = field(default_factory=dict)
    rows: int = 0


@dataclass(eq=False, slots=True)
class _Service:
    """The rows of one service by day, with those that have no date at None."""

    days: dict[float | None, _Day] = field(default_factory=dict)
    has_several_days: bool = False  # on one page

    @property
    def is_of_halves(self) -> bool:
        """Whether its data changed while it was paged, so that rows of the newest day are missing.

        Each page is of one day then, and most of the older day's label sets are not there for the newest day, too: a
        server that gives several days at any time repeats them. Where rows share label sets, that can't be told.
        """
        dated = self._dated()
        if self.has_several_days or len(dated) < 2:  # noqa: PLR2004  a pair
            return False
        older, newest = (self.days[day] for day in dated[-2:])
        repeated = sum(labels in newest.sums for labels in older.sums)
        return older.rows > len(older.sums) or 2 * repeated <= len(older.sums)

    def pop_older(self) -> list[_Day]:
        """Return what is older than the newest day, and forget it."""
        return [self.days.pop(day) for day in self._dated()[:-1]]

    def _dated(self) -> list[float]:
        return sorted(day for day in self.days if day is not None)


class Tally(Generic[T]):
    """Adds rows up, page by page, up to a small multiple of `max_series`. Not safe for threads.

    `read` gives the first `width` labels of an item, `ids` the others, with their names. A total whose rows lack
    one of those ids has the first labels only. `is_secret` says of a text that it must not become a label.

    After `finish`, `sums` are the totals, of `usable` rows; `older` ones were of another than the newest day.
    """

    def __init__(
        self,
        read: Callable[[T], Reading],
        *,
        width: int,
        ids: Iterable[NamesOf],
        max_series: int,
        is_secret: Callable[[str], bool],
    ) -> None:
        self._read = read
        self._width = width
        self._named: list[tuple[NamesOf, Names]] = [(names_of, {}) for names_of in ids]
        self._texts: dict[str, str] = {}
        self._max_sets = max(max_series, _MIN_SERIES) * _SETS_PER_SERIES
        self._room = max(max_series, _MIN_SERIES) * _BYTES_PER_SERIES
        self._is_secret = is_secret
        self._services: dict[str | None, _Service] = {}
        self._sets = 0
        self.sums: Sums = {}
        self.usable = self.older = 0
        self.dropped = dict.fromkeys(DropReason, 0)

    @property
    def names(self) -> tuple[Names, ...]:
        """The newest name of every id."""
        return tuple(names for _, names in self._named)

    def add(self, items: Sequence[T]) -> None:
        """Add one page; a row with an impossible value or without a label is dropped and counted.

        Raises PayloadError when it gets too much.
        """
        groups: dict[tuple[str | None, str | None], list[T]] = {}
        for item in items:
            groups.setdefault((item.service_code, item.processed_date_time), []).append(item)
        days: dict[str | None, set[float]] = {}
        for (name, written), group in groups.items():
            days.setdefault(name, set()).update(self._add_group(name, written, group))
        for name, numbers in days.items():
            if len(numbers) > 1:
                self._services[name].has_several_days = True
                self._forget_older(self._services[name])

    def _add_group(self, name: str | None, written: str | None, items: Sequence[T]) -> set[float]:
        """Add rows of one service and date; return the day, or nothing if it is no date or no row is usable."""
        try:
            processed_at = timestamp(written)
        except ImpossibleValueError:
            self.dropped[DropReason.INVALID] += len(items)
            return set()
        number = None if processed_at is None else processed_at // _DAY_SECONDS
        service = self._services.get(name) or _Service()
        day = service.days.get(number) or _Day()
        added = self._add(day.sums, items, processed_at)
        if not added:
            return set()
        day.rows += added
        service.days[number] = day
        self._services[name] = service
        return set() if number is None else {number}

    def _add(self, sums: Sums, items: Sequence[T], processed_at: float | None) -> int:
        """Add rows; return how many were usable. One flat loop on purpose: it runs for every row of a million."""
        read, named = self._read, self._named
        invalid = no_value = 0
        for item in items:
            labels, part, whole = read(item)
            for names_of, _ in named:
                labels += (names_of(item)[0],)
            if not (part is None or 0 <= part <= MAX_LICENCES) or not (whole is None or 0 <= whole <= MAX_LICENCES):
                invalid += 1
                continue
            try:
                # Most rows have labels seen before, whose values are fit to show; None is never among these.
                total = sums.get(labels) or self._new_total(sums, labels)  # type: ignore[arg-type]  # so a miss
            except ImpossibleValueError:
                invalid += 1
                continue
            total.add(part, whole, processed_at)
            if part is None or whole is None:
                no_value += 1
            for names_of, names in named:
                identifier, name = names_of(item)
                known = names.get(identifier)  # type: ignore[arg-type]  # as above
                if known is None or known[1] != name:
                    self._note_name(names, identifier, name, processed_at or 0.0)
        self.dropped[DropReason.INVALID] += invalid
        self.dropped[DropReason.NO_VALUE] += no_value
        return len(items) - invalid

    def _new_total(self, sums: Sums, labels: tuple[str | None, ...]) -> Total:
        """Return the total of new labels, or of labels not as they are shown; raises ImpossibleValueError."""
        shown = self._shown(labels)
        total = sums.get(shown)
        if total is None:
            self._sets += 1
            if self._sets > self._max_sets:
                raise _too_much()
            total = sums[shown] = Total()
        return total

    def _shown(self, labels: tuple[str | None, ...]) -> Labels:
        """Return labels as they are shown, without ids where one can't be: the row counts, but has no detail."""
        try:
            return tuple([self._text(value) for value in labels])
        except ImpossibleValueError:
            shown = tuple([self._text(value) for value in labels[: self._width]])
            self.dropped[DropReason.INVALID] += 1
            return shown

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
        with suppress(ImpossibleValueError):
            key = self._text(identifier)
            if name and names.get(key, (-1.0, "")) < (processed_at, name) and not self._is_secret(name):
                names[key] = (processed_at, label(name))
                self._take_room(_NAME_BYTES + getsizeof(names[key][1]))

    def _forget_older(self, service: _Service) -> None:
        for day in service.pop_older():
            self.older += day.rows
            self._sets -= len(day.sums)
            _free(day.sums)

    def finish(self) -> None:
        """Let `sums` be the totals: of each service's newest day, and of the rows that have no date.

        Raises PayloadError if the data changed between two pages.
        """
        if any(service.is_of_halves for service in self._services.values()):
            raise contradiction(line("the pages are of different days: the data changed between two of them"))
        for service in self._services.values():
            self._forget_older(service)
            for day in service.days.values():
                self.usable += day.rows
                self._merge(day.sums)
        self.dropped[DropReason.DUPLICATE] += self.older
        self._services = {}

    def _merge(self, sums: Sums) -> None:
        if not self.sums:
            self.sums = sums
            return
        for labels, total in drain(sums):
            self.sums.setdefault(labels, Total()).add(total.part, total.whole, total.processed_at)

    def clear(self) -> None:
        """Free the memory without stopping other threads."""
        self._texts.clear()
        _free(self.sums)
        for service in self._services.values():
            for day in service.days.values():
                _free(day.sums)


def _free(sums: Sums) -> None:
    for _ in drain(sums):
        pass
