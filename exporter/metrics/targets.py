"""Usage targets of the configuration, matched to series: the most specific one wins (pure)."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import compress

from exporter.model.rows import Row, UsageRow


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """A minimum usage ratio for all series that match the labels given; None matches any."""

    ratio: float
    partner: str | None = None
    workload: str | None = None
    service: str | None = None
    channel: str | None = None

    @property
    def selector(self) -> tuple[str | None, ...]:
        """The labels in order of precedence: partner, workload, service, channel."""
        return (self.partner, self.workload, self.service, self.channel)

    def __str__(self) -> str:
        names = ("partner", "workload", "service", "channel")
        given = [f"{name}={value!r}" for name, value in zip(names, self.selector, strict=True) if value]
        return f"{self.ratio:g} for " + (", ".join(given) or "everything")


class Targets:
    """Finds the targets of a series by lookup: the time that takes doesn't depend on how many there are."""

    def __init__(self, targets: Iterable[Target]) -> None:
        tables: dict[tuple[bool, ...], dict[tuple[str, ...], Target]] = {}
        for target in targets:
            given = tuple(value is not None for value in target.selector)
            values = tuple(value for value in target.selector if value is not None)
            tables.setdefault(given, {}).setdefault(values, target)
        # One table for each set of labels that some target gives, the most specific set first.
        self._tables = [(given, tables[given]) for given in sorted(tables, reverse=True)]

    def of(self, partner: str, row: Row) -> Target | None:
        """Return the target of a row's usage series, the most specific that matches; None without one."""
        return next(self._matching(partner, row), None)

    def used(self, partner: str, rows: Iterable[Row]) -> frozenset[Target]:
        """Return the targets that match some row, even if a more specific one wins."""
        return frozenset(target for row in rows for target in self._matching(partner, row))

    def _matching(self, partner: str, row: Row) -> Iterator[Target]:
        if isinstance(row, UsageRow):
            labels = (partner, *row.key)
            for given, table in self._tables:
                target = table.get(tuple(compress(labels, given)))
                if target is not None:
                    yield target


def unmatched(targets: Iterable[Target], used: frozenset[Target]) -> tuple[Target, ...]:
    """Return the targets that are not used: most often a typo."""
    return tuple(target for target in targets if target not in used)
