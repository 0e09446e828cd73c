"""What the configuration says about the polls of one source."""

from dataclasses import dataclass

from exporter.messages import Line
from exporter.model.rows import Api, SourceName
from exporter.model.status import Identity


@dataclass(frozen=True, slots=True, kw_only=True)
class PollPlan:
    """One source of one partner.

    `detail_labels` are those of customers and products that its counts have. `query` is equal as long as the same data
    is asked for. A poll without any progress for `stuck_after_seconds` counts as stuck.
    """

    partner: Line
    source: SourceName
    api: Api
    identity: Identity
    interval_seconds: float
    max_staleness_seconds: float
    stuck_after_seconds: float
    max_series: int
    detail_labels: tuple[str, ...] = ()
    query: str = ""
