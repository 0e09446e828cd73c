"""Usage targets of the configuration, matched to series: the most specific one wins (pure)."""

from collections.abc import Iterable
from dataclasses import dataclass

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

    def matches(self, labels: tuple[str, ...]) -> bool:
        """Whether a series with these label values, in the selector's order, matches."""
        return all(wanted is None or wanted == value for wanted, value in zip(self.selector, labels, strict=True))

    def __str__(self) -> str:
        names = ("partner", "workload", "service", "channel")
        given = [f"{name}={value!r}" for name, value in zip(names, self.selector, strict=True) if value]
        return f"{self.ratio:g} for " + (", ".join(given) or "everything")


def target_of(targets: Iterable[Target], partner: str, row: Row) -> Target | None:
    """Return the target of a row's usage series, the most specific that matches; None without one."""
    if not isinstance(row, UsageRow):
        return None
    matching = [target for target in targets if target.matches((partner, *row.key))]
    return max(matching, key=lambda target: [value is not None for value in target.selector], default=None)


def unmatched(targets: Iterable[Target], rows: Iterable[tuple[str, Row]]) -> tuple[Target, ...]:
    """Return the targets that match no usage series of these (partner, row)s: most often a typo."""
    known = tuple(rows)
    return tuple(t for t in targets if not any(target_of([t], partner, row) for partner, row in known))
