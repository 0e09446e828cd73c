"""Licence usage by workload, from the legacy API, its successor and Partner Insights.

learn.microsoft.com/partner-center/developer/get-partner-licenses-usage-information and
get-licenses-usage-information
"""

from exporter.model.rows import UsageRow
from exporter.model.totals import Labels, Total
from exporter.model.values import label, timestamp
from exporter.partner_center.wire import CommercialUsageItem, PageDecoder, UsageItem
from exporter.sources.commercial import CommercialEndpoint
from exporter.sources.insights import InsightsEndpoint
from exporter.sources.legacy import LegacyEndpoint, ratio
from exporter.sources.tally import Reading


def to_row(item: UsageItem) -> UsageRow:
    """Return the row of one item; raises ImpossibleValueError."""
    return UsageRow(
        workload=label(item.workload_name),
        service=label(item.service_name),
        channel=label(item.channel),
        ratio=ratio(item.prorated_licenses_usage_percent),
        processed_at=timestamp(item.processed_date_time),
    )


LEGACY = LegacyEndpoint(UsageRow, "/v1/analytics/licenses/usage", PageDecoder(UsageItem), to_row, ("ratio",))


def _read(item: CommercialUsageItem) -> Reading:
    return (
        (item.workload_name, item.service_code, item.channel),
        item.active_misspelt if item.active is None else item.active,
        item.qualified_misspelt if item.qualified is None else item.qualified,
    )


def _total_row(labels: Labels, total: Total) -> UsageRow:
    workload, service, channel = labels
    return UsageRow(
        workload, service, channel, total.ratio, total.processed_at, active=total.part, qualified=total.whole
    )


COMMERCIAL = CommercialEndpoint(
    row=UsageRow,
    path="/v1/analytics/commercial/usage/license/",
    decoder=PageDecoder(CommercialUsageItem),
    fields=("workloadName", "serviceCode", "channel"),
    read=_read,
    to_row=_total_row,
)

INSIGHTS = InsightsEndpoint(UsageRow, _total_row)
