"""What the configuration may say about one source."""

from typing import Any

from exporter.model.rows import Api, SourceName
from exporter.model.status import Identity
from exporter.polling.plan import PollPlan

IDENTITY = Identity("global", "tenant", "client")


def plan(**changes: Any) -> PollPlan:
    """Return the usage source of contoso, every hour; a keyword replaces a field."""
    usual: dict[str, Any] = {
        "partner": "contoso",
        "source": SourceName.USAGE,
        "api": Api.LEGACY,
        "identity": IDENTITY,
        "interval_seconds": 3_600.0,
        "max_staleness_seconds": 7_200.0,
        "stuck_after_seconds": 300.0,
        "max_series": 100,
    }
    return PollPlan(**(usual | changes))
