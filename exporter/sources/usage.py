"""Licence usage by workload, from the legacy API and its successor.

learn.microsoft.com/partner-center/developer/get-partner-licenses-usage-information and
get-licenses-usage-information
"""

from dataclasses import dataclass
from typing import ClassVar

from exporter.model import Answer, Api, Labels, SourceName, Total, UsageRow, label, quantity, timestamp
from exporter.partner_center.client import ApiPoll
from exporter.partner_center.wire import CommercialUsageItem, PageDecoder, UsageItem
from exporter.sources.commercial import Endpoint, Options, Reading, fetch_totals, quotient
from exporter.sources.legacy import MOST_PERCENT, fetch_rows, ratio

PATH = "/v1/analytics/licenses/usage"
_DECODER = PageDecoder(UsageItem)


@dataclass(frozen=True, slots=True)
class LegacyUsage:
    """The source `usage` with `api: legacy`. Returns at most `max_series` rows."""

    max_series: int
    name: ClassVar = SourceName.USAGE
    api: ClassVar = Api.LEGACY

    def fetch(self, poll: ApiPoll) -> Answer:
        """Fetch the newest figures; raises PollError."""
        return fetch_rows(poll, PATH, _DECODER, to_row, self.max_series)


def to_row(item: UsageItem) -> UsageRow:
    """Return the row of one item; raises ImpossibleValueError."""
    return UsageRow(
        workload=label(item.workload_name),
        service=label(item.service_name),
        channel=label(item.channel),
        ratio=ratio(quantity(item.prorated_licenses_usage_percent, most=MOST_PERCENT)),
        processed_at=timestamp(item.processed_date_time),
    )


@dataclass(frozen=True, slots=True)
class CommercialUsage:
    """The source `usage` with `api: commercial`."""

    options: Options
    name: ClassVar = SourceName.USAGE
    api: ClassVar = Api.COMMERCIAL

    def fetch(self, poll: ApiPoll) -> Answer:
        """Fetch and add up the newest figures; raises PollError."""
        return fetch_totals(poll, COMMERCIAL, self.options)


def _read(item: CommercialUsageItem) -> Reading:
    return (
        (item.workload_name, item.service_code, item.channel),
        item.active_misspelt if item.active is None else item.active,
        item.qualified_misspelt if item.qualified is None else item.qualified,
    )


def _to_row(labels: Labels, total: Total) -> UsageRow:
    workload, service, channel = labels
    return UsageRow(
        workload,
        service,
        channel,
        quotient(total.part, total.whole),
        processed_at=total.processed_at,
        active=total.part,
        qualified=total.whole,
    )


COMMERCIAL = Endpoint(
    path="/v1/analytics/commercial/usage/license/",
    decoder=PageDecoder(CommercialUsageItem),
    labels=UsageRow.LABELS,
    fields=("workloadName", "serviceCode", "channel"),
    read=_read,
    to_row=_to_row,
)
