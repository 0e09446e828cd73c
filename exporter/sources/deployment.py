"""Licence deployment a service, from the legacy API.

learn.microsoft.com/partner-center/developer/get-partner-licenses-deployment-information
"""

from dataclasses import dataclass
from typing import ClassVar

from exporter.model import Answer, DeploymentRow
from exporter.partner_center.client import ApiPoll
from exporter.partner_center.wire import DeploymentItem, PageDecoder, label, quantity, timestamp
from exporter.sources.legacy import MOST_PERCENT, fetch_rows, ratio

PATH = "/v1/analytics/licenses/deployment"
_DECODER = PageDecoder(DeploymentItem)


@dataclass(frozen=True, slots=True)
class LegacyDeployment:
    """The source `deployment` with `api: legacy`. Gives at most `max_series` rows."""

    max_series: int
    name: ClassVar[str] = "deployment"
    api: ClassVar[str] = "legacy"

    def fetch(self, poll: ApiPoll) -> Answer:
        """Fetch the newest figures; raises PollError."""
        return fetch_rows(poll, PATH, _DECODER, to_row, self.max_series)


def to_row(item: DeploymentItem) -> DeploymentRow:
    """Return the row of one item; raises ImpossibleValueError."""
    return DeploymentRow(
        service=label(item.service_name),
        channel=label(item.channel),
        ratio=ratio(quantity(item.prorated_deployment_percent, most=MOST_PERCENT)),
        sold=quantity(item.licenses_sold),
        processed_at=timestamp(item.processed_date_time),
    )
