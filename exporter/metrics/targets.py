"""Usage targets of the configuration, matched to series: the most specific one wins (pure)."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import chain, compress

from exporter.model.rows import Row, UsageRow
from exporter.model.totals import Labels


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """A minimum usage ratio for all series that match the labels given; None matches any.

    `customer` is an id: the target is for that customer's licences, and for no series of all customers.
    """

    ratio: float
    customer: str | None = None
    partner: str | None = None
    workload: str | None = None
    service: str | None = None
    channel: str | None = None

    @property
    def selector(self) -> tuple[str | None, ...]:
        """The labels in order of precedence: customer, partner, workload, service, channel."""
        return (self.customer, self.partner, self.workload, self.service, self.channel)

    def __str__(self) -> str:
        names = ("customer", "partner", "workload", "service", "channel")
        given = [f"{name}={value!r}" for name, value in zip(names, self.selector, strict=True) if value]
        return f"{self.ratio:g} for " + (", ".join(given) or "everything")


@dataclass(frozen=True, slots=True)
class CustomerSeries:
    """One customer's licences of one workload; `key` is workload, service and channel, as a usage row has them."""

    customer: str
    key: Labels


_Table = tuple[tuple[bool, ...], dict[tuple[str, ...], Target]]


class Targets:
    """Finds the targets of a series by lookup: the time that takes doesn't depend on how many there are.

    `customers` are the ids that some target names.
    """

    def __init__(self, targets: Iterable[Target]) -> None:
        tables: dict[tuple[bool, ...], dict[tuple[str, ...], Target]] = {}
        customers: set[str] = set()
        for target in targets:
            given = tuple(value is not None for value in target.selector)
            values = tuple(value for value in target.selector if value is not None)
            tables.setdefault(given, {}).setdefault(values, target)
            if target.customer is not None:
                customers.add(target.customer)
        # One table for each set of labels that some target gives, the most specific set first.
        ordered = [(given, tables[given]) for given in sorted(tables, reverse=True)]
        self._by_customer = [(given, table) for given, table in ordered if given[0]]
        self._common = [(given[1:], table) for given, table in ordered if not given[0]]
        self.customers = frozenset(customers)

    def of(self, partner: str, row: Row) -> Target | None:
        """Return the target of a row's usage series, the most specific that matches; None without one."""
        return next(self._matching(partner, row), None)

    def of_customer(self, partner: str, series: CustomerSeries) -> Target | None:
        """Return the most specific of the targets that name the customer; None without one: the common ones hold."""
        return next(self._naming(partner, series), None)

    def used(self, partner: str, rows: Iterable[Row], customers: Iterable[CustomerSeries] = ()) -> frozenset[Target]:
        """Return the targets that match some row, or a customer's series, even if a more specific one wins."""
        common = (target for row in rows for target in self._matching(partner, row))
        return frozenset(chain(common, (target for series in customers for target in self._naming(partner, series))))

    def _matching(self, partner: str, row: Row) -> Iterator[Target]:
        if isinstance(row, UsageRow):
            yield from _found(self._common, (partner, *row.key))

    def _naming(self, partner: str, series: CustomerSeries) -> Iterator[Target]:
        return _found(self._by_customer, (series.customer, partner, *series.key))


def _found(tables: Iterable[_Table], labels: Labels) -> Iterator[Target]:
    for given, table in tables:
        target = table.get(tuple(compress(labels, given)))
        if target is not None:
            yield target


def unmatched(targets: Iterable[Target], used: frozenset[Target]) -> tuple[Target, ...]:
    """Return the targets that are not used: most often a typo."""
    return tuple(target for target in targets if target not in used)
