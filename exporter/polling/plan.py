"""What the configuration says about the polls of one source."""

from dataclasses import dataclass

from exporter.metrics.targets import Target
from exporter.model import Identity


@dataclass(frozen=True, slots=True)
class PollPlan:
    """One source of one partner. `detail` are the labels that its counts carry beside the others."""

    partner: str
    identity: Identity
    interval_seconds: float
    max_staleness_seconds: float
    targets: tuple[Target, ...]
    detail: tuple[str, ...] = ()
