"""Licence usage a workload, from the legacy API and its successor.

learn.microsoft.com/partner-center/developer/get-partner-licenses-usage-information and
get-licenses-usage-information
"""

from dataclasses import dataclass
from typing import ClassVar

from exporter.counts import Labels
from exporter.model import Answer, UsageRow, label, quantity, timestamp
from exporter.partner_center.client import ApiPoll
from exporter.partner_center.wire import CommercialUsageItem, PageDecoder, UsageItem
from exporter.sources.commercial import Options, Shape, fetch_sums, quotient
from exporter.sources.legacy import MOST_PERCENT, fetch_rows, ratio

PATH = "/v1/analytics/licenses/usage"
_DECODER = PageDecoder(UsageItem)


@dataclass(frozen=True, slots=True)
class LegacyUsage:
    """The source `usage` with `api: legacy`. Gives at most `max_series` rows."""

    max_series: int
    name: ClassVar[str] = "usage"
    api: ClassVar[str] = "legacy"

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
    name: ClassVar[str] = "usage"
    api: ClassVar[str] = "commercial"

    def fetch(self, poll: ApiPoll) -> Answer:
        """Fetch and add up the newest figures; raises PollError."""
        return fetch_sums(poll, COMMERCIAL, self.options)


def _summed(labels: Labels, active: float | None, qualified: float | None, at: float | None) -> UsageRow:
    workload, service, channel = labels
    return UsageRow(workload, service, channel, quotient(active, qualified), at, active, qualified)


COMMERCIAL = Shape(
    path="/v1/analytics/commercial/usage/license/",
    decoder=PageDecoder(CommercialUsageItem),
    labels=(
        ("workload", "workload_name", "workloadName"),
        ("service", "service_code", "serviceCode"),
        ("channel", "channel", "channel"),
    ),
    values=("processed_date_time", "active", "active_misspelt", "qualified", "qualified_misspelt"),
    to_row=_summed,
)
