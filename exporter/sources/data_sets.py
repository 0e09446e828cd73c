"""The data sets of Partner Insights that hold licences, one row each; a further one is a row here.

learn.microsoft.com/partner-center/insights/insights-data-definitions. Which columns there are, the catalogue says at
every poll.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

from exporter.messages import Line, line
from exporter.model.rows import DeploymentRow, Row, UsageRow

MONTH = "Month"
DUPLICATE = "IsDuplicateRowForPGA"
# Products of Enterprise Mobility + Security, each with two columns of its own.
_EMS_PRODUCTS = tuple(map(line, ("AADP", "Intune", "Azip", "AATP", "MCAS", "MIG", "MDO", "MDE")))


@dataclass(frozen=True, slots=True, kw_only=True)
class Counts:
    """Two metrics that are added up, and the labels that every such pair has."""

    part: str
    whole: str
    labels: Mapping[str, Line] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class DataSet:
    """What is asked of one data set, for the rows of one source.

    `labels` says which column a label is read from, `customer` which ones have a customer's id and name. `counts` are
    the pairs, of which one that the catalogue doesn't list is left out if there are others. With `marks_duplicates`,
    rows that another repeats are filtered.
    """

    name: Line
    row: type[Row]
    labels: Mapping[str, str]
    counts: tuple[Counts, ...]
    marks_duplicates: bool = True
    customer: tuple[str, str] = ("CustomerTenantId", "CustomerName")


_TABLE = (
    DataSet(
        name=line("OfficeUsage"),
        row=UsageRow,
        labels={"workload": "WorkloadName", "channel": "PartnerAttributionType"},
        counts=(
            Counts(part="TotalMonthlyActiveUsers", whole="TotalPaidAvailableUnits", labels={"service": line("o365")}),
        ),
    ),
    DataSet(
        name=line("DynamicsUsage"),
        row=UsageRow,
        labels={"workload": "RevSumCategoryName", "channel": "SalesModel"},
        counts=(Counts(part="TotalActiveSeats", whole="TotalSoldSeats", labels={"service": line("crm")}),),
        marks_duplicates=False,
    ),
    DataSet(
        name=line("EMSUsage"),
        row=UsageRow,
        labels={"channel": "SalesModel"},
        counts=tuple(
            Counts(
                part=f"Total{product}MonthlyActiveUsers",
                whole=f"Total{product}PaidAvailableUnits",
                labels={"workload": product, "service": line("ems")},
            )
            for product in _EMS_PRODUCTS
        ),
    ),
    DataSet(
        name=line("PowerBIUsage"),
        row=UsageRow,
        labels={"workload": "SKU", "channel": "SalesModel"},
        counts=(Counts(part="TotalActiveSeats", whole="TotalAvailableSeats", labels={"service": line("power-bi")}),),
        marks_duplicates=False,
    ),
    DataSet(
        name=line("SeatsSubscriptionsAndRevenue"),
        row=DeploymentRow,
        labels={"service": "Product", "channel": "SalesChannel"},
        counts=(Counts(part="TotalAssignedSeats", whole="AvailableSeatsEOP"),),
    ),
)
DATA_SETS: Mapping[str, DataSet] = {data_set.name: data_set for data_set in _TABLE}
