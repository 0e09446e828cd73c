"""The least usage that the operator expects, matched to series: the most specific target wins (pure)."""

from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Target:
    """A least ratio, for all series that match the labels given; None matches any."""

    ratio: float
    partner: str | None = None
    workload: str | None = None
    service: str | None = None
    channel: str | None = None

    @property
    def selector(self) -> tuple[str | None, ...]:
        """The labels in order of weight: partner, workload, service, channel."""
        return (self.partner, self.workload, self.service, self.channel)

    def matches(self, labels: tuple[str, ...]) -> bool:
        """Whether a series with these label values, in the selector's order, is meant."""
        return all(
            wanted is None or wanted == value for wanted, value in zip(self.selector, labels, strict=True)
        )

    def __str__(self) -> str:
        names = ("partner", "workload", "service", "channel")
        given = [f"{name}={value!r}" for name, value in zip(names, self.selector, strict=True) if value]
        return f"{self.ratio:g} for " + (", ".join(given) or "everything")


def target_of(targets: Iterable[Target], labels: tuple[str, ...]) -> Target | None:
    """Return the target of a series, the most specific of those that match; None without one."""
    matching = [target for target in targets if target.matches(labels)]
    return max(matching, key=_specificity, default=None)


def unmatched(targets: Iterable[Target], series: Iterable[tuple[str, ...]]) -> tuple[Target, ...]:
    """Return the targets that match none of the series: most often a spelling mistake."""
    known = tuple(series)
    return tuple(target for target in targets if not any(target.matches(labels) for labels in known))


def _specificity(target: Target) -> tuple[bool, ...]:
    return tuple(value is not None for value in target.selector)
