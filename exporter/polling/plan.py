"""What the configuration says about the polls of one source."""

from dataclasses import dataclass

from exporter.model import Identity, SourceName


@dataclass(frozen=True, slots=True, kw_only=True)
class PollPlan:
    """One source of one partner. `detail` are the labels that its counts have besides the others.

    `stuck_after_seconds` is how long a poll may show no progress.
    """

    partner: str
    source: SourceName
    identity: Identity
    interval_seconds: float
    max_staleness_seconds: float
    stuck_after_seconds: float
    detail: tuple[str, ...] = ()

    def __str__(self) -> str:
        return f"{self.partner} {self.source}"
