"""Licence deployment by service, from the legacy API and its successor.

learn.microsoft.com/partner-center/developer/get-partner-licenses-deployment-information and
get-licenses-deployment-information
"""

from dataclasses import dataclass
from typing import ClassVar

from exporter.model import Answer, Api, DeploymentRow, Labels, SourceName, Total, label, quantity, timestamp
from exporter.partner_center.client import ApiPoll
from exporter.partner_center.wire import CommercialDeploymentItem, DeploymentItem, PageDecoder
from exporter.sources.commercial import Endpoint, Options, Reading, fetch_totals, quotient
from exporter.sources.legacy import MOST_PERCENT, fetch_rows, ratio

PATH = "/v1/analytics/licenses/deployment"
_DECODER = PageDecoder(DeploymentItem)


@dataclass(frozen=True, slots=True)
class LegacyDeployment:
    """The source `deployment` with `api: legacy`. Returns at most `max_series` rows."""

    max_series: int
    name: ClassVar = SourceName.DEPLOYMENT
    api: ClassVar = Api.LEGACY

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
    name: ClassVar = SourceName.DEPLOYMENT
    api: ClassVar = Api.COMMERCIAL

    def fetch(self, poll: ApiPoll) -> Answer:
        """Fetch and add up the newest figures; raises PollError."""
        return fetch_totals(poll, COMMERCIAL, self.options)


def _read(item: CommercialDeploymentItem) -> Reading:
    return (
        (item.service_code, item.channel),
        item.deployed_misspelt if item.deployed is None else item.deployed,
        item.sold_misspelt if item.sold is None else item.sold,
    )


def _to_row(labels: Labels, total: Total) -> DeploymentRow:
    service, channel = labels
    return DeploymentRow(
        service,
        channel,
        quotient(total.part, total.whole),
        sold=total.whole,
        processed_at=total.processed_at,
        deployed=total.part,
    )


COMMERCIAL = Endpoint(
    path="/v1/analytics/commercial/deployment/license/",
    decoder=PageDecoder(CommercialDeploymentItem),
    labels=DeploymentRow.LABELS,
    fields=("serviceCode", "channel"),
    read=_read,
    to_row=_to_row,
)
