"""Licence deployment by service, from the legacy API, its successor and Partner Insights.

learn.microsoft.com/partner-center/developer/get-partner-licenses-deployment-information and
get-licenses-deployment-information
"""

from exporter.model.rows import DeploymentRow
from exporter.model.totals import Labels, Total
from exporter.model.values import label, quantity, timestamp
from exporter.partner_center.wire import CommercialDeploymentItem, DeploymentItem, PageDecoder
from exporter.sources.commercial import CommercialEndpoint
from exporter.sources.insights import InsightsEndpoint
from exporter.sources.legacy import LegacyEndpoint, ratio
from exporter.sources.tally import MAX_LICENCES, Reading


def to_row(item: DeploymentItem) -> DeploymentRow:
    """Return the row of one item; raises ImpossibleValueError."""
    return DeploymentRow(
        service=label(item.service_name),
        channel=label(item.channel),
        ratio=ratio(item.prorated_deployment_percent),
        sold=quantity(item.licenses_sold, maximum=MAX_LICENCES),
        processed_at=timestamp(item.processed_date_time),
    )


LEGACY = LegacyEndpoint(
    DeploymentRow, "/v1/analytics/licenses/deployment", PageDecoder(DeploymentItem), to_row, ("ratio", "sold")
)


def _read(item: CommercialDeploymentItem) -> Reading:
    return (
        (item.service_code, item.channel),
        item.deployed_misspelt if item.deployed is None else item.deployed,
        item.sold_misspelt if item.sold is None else item.sold,
    )


def _total_row(labels: Labels, total: Total) -> DeploymentRow:
    service, channel = labels
    return DeploymentRow(
        service, channel, total.ratio, sold=total.whole, processed_at=total.processed_at, deployed=total.part
    )


COMMERCIAL = CommercialEndpoint(
    row=DeploymentRow,
    path="/v1/analytics/commercial/deployment/license/",
    decoder=PageDecoder(CommercialDeploymentItem),
    fields=("serviceCode", "channel"),
    read=_read,
    to_row=_total_row,
)

INSIGHTS = InsightsEndpoint(DeploymentRow, _total_row)
