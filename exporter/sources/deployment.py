"""Licence deployment a service, from the legacy API and its successor.

learn.microsoft.com/partner-center/developer/get-partner-licenses-deployment-information and
get-licenses-deployment-information
"""

from dataclasses import dataclass
from typing import ClassVar

from exporter.counts import Labels
from exporter.model import Answer, DeploymentRow, label, quantity, timestamp
from exporter.partner_center.client import ApiPoll
from exporter.partner_center.wire import CommercialDeploymentItem, DeploymentItem, PageDecoder
from exporter.sources.commercial import Options, Shape, fetch_sums, quotient
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


@dataclass(frozen=True, slots=True)
class CommercialDeployment:
    """The source `deployment` with `api: commercial`."""

    options: Options
    name: ClassVar[str] = "deployment"
    api: ClassVar[str] = "commercial"

    def fetch(self, poll: ApiPoll) -> Answer:
        """Fetch and add up the newest figures; raises PollError."""
        return fetch_sums(poll, COMMERCIAL, self.options)


def _summed(labels: Labels, deployed: float | None, sold: float | None, at: float | None) -> DeploymentRow:
    service, channel = labels
    return DeploymentRow(service, channel, quotient(deployed, sold), sold, at, deployed)


COMMERCIAL = Shape(
    path="/v1/analytics/commercial/deployment/license/",
    decoder=PageDecoder(CommercialDeploymentItem),
    labels=(("service", "service_code", "serviceCode"), ("channel", "channel", "channel")),
    values=("processed_date_time", "deployed", "deployed_misspelt", "sold", "sold_misspelt"),
    to_row=_summed,
)
