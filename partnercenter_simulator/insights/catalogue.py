"""The data sets of Partner Insights: their columns and metrics, as a recorded catalogue of 2023 lists them."""

import zlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import date, timedelta
from functools import partial
from typing import TypeAlias

from partnercenter_simulator.insights.facts import EMS_COLUMNS, Fact, last_day, subscription_id
from partnercenter_simulator.insights.quirks import InsightsQuirks
from partnercenter_simulator.wire import Json

Value: TypeAlias = str | int | date
"""A value of a row; a date is a month's first day, or a day."""

Column: TypeAlias = Callable[[Fact], Value]

MINIMUM_HOURS = 24
"""The shortest interval of a report on any of these sets."""

_SUBSCRIPTION_DAYS = 365


@dataclass(frozen=True, slots=True)
class Metric:
    """What a metric is computed from: the sum of a column's numbers, or how many different values it has."""

    column: Column
    is_sum: bool = True


@dataclass(frozen=True, slots=True)
class DataSet:
    """A set: the kind of its rows in `Facts`, its columns and its metrics, by name."""

    name: str
    kind: str
    columns: Mapping[str, Column]
    metrics: Mapping[str, Metric]

    def item(self, quirks: InsightsQuirks) -> dict[str, Json]:
        """Return the set as the catalogue shows it."""
        return {
            "datasetName": self.name,
            "selectableColumns": list(self.columns),
            "availableMetrics": list(self.metrics),
            "availableDateRanges": list(quirks.date_ranges),
            "minimumRecurrenceInterval": MINIMUM_HOURS,
        }


def data_sets(quirks: InsightsQuirks) -> dict[str, DataSet]:
    """Return the sets by name, as far as the quirks leave them."""
    return {name: _drifted(each, quirks) for name, each in _SETS.items() if name not in quirks.missing_sets}


def check_names(quirks: InsightsQuirks) -> None:
    """Raise ValueError for a set or column that there is none of: the quirk would have no effect."""
    named = {*quirks.missing_sets, *quirks.sets_without_columns, *quirks.sets_without_rows}
    if unknown := named - _SETS.keys():
        raise ValueError(f"there is no set {min(unknown)!r}; the sets are {', '.join(_SETS)}")
    names = {name for each in _SETS.values() for name in (*each.columns, *each.metrics)}
    names |= {f"{each.name}.{name}" for each in _SETS.values() for name in (*each.columns, *each.metrics)}
    if unknown := quirks.renamed_columns.keys() - names:
        raise ValueError(f"there is no column {min(unknown)!r}")


def _drifted(data_set: DataSet, quirks: InsightsQuirks) -> DataSet:
    if data_set.name in quirks.sets_without_columns:
        return replace(data_set, columns={}, metrics={})

    def name_now(name: str) -> str:
        renamed = quirks.renamed_columns
        return renamed.get(f"{data_set.name}.{name}", renamed.get(name, name))

    columns = {name_now(name): column for name, column in data_set.columns.items() if name_now(name)}
    metrics = {name_now(name): metric for name, metric in data_set.metrics.items() if name_now(name)}
    return replace(data_set, columns=columns, metrics=metrics)


def _number(of: str, fact: Fact) -> str:
    return str(1_000_000 + zlib.crc32(f"{of} {fact.customer.tenant_id}".encode()) % 8_000_000)


def _constant(value: Value) -> Column:
    return lambda _fact: value


def _pair(index: int, side: int) -> Column:
    return lambda fact: fact.pairs[index][side]


def _start(fact: Fact) -> date:
    return date(fact.month.year - 1, 1, 1 + zlib.crc32(subscription_id(fact).encode()) % 28)


def _state(fact: Fact) -> str:
    return fact.state


def _available(fact: Fact) -> int:
    return fact.available


def _assigned(fact: Fact) -> int:
    return fact.assigned


def _active(fact: Fact) -> int:
    return fact.active


def _change(fact: Fact) -> int:
    return fact.change


def _percent(fact: Fact) -> int:
    return 100 * fact.active // fact.available if fact.available else 0


def _unassigned(fact: Fact) -> int:
    return fact.available - fact.assigned


def _part_number(fact: Fact) -> str:
    return f"SIM-{zlib.crc32(fact.name.encode()) % 100_000:05d}"


_TENANT: Mapping[str, Column] = {
    "CustomerTenantId": lambda fact: fact.customer.tenant_id,
    "CustomerTpid": partial(_number, "customer"),
}
_CUSTOMER: Mapping[str, Column] = {
    "CustomerName": lambda fact: fact.customer.name,
    "CustomerMarket": lambda fact: fact.customer.market,
    "CustomerSegment": lambda fact: fact.customer.segment,
}
_PARTNER: Mapping[str, Column] = {
    "MPNId": _constant("4700001"),
    "PartnerName": _constant("Simulated Partner"),
    "PartnerLocation": _constant("Oslo"),
}
_INDUSTRY: Mapping[str, Column] = {
    "IndustryName": lambda fact: fact.customer.industry,
    "VerticalName": lambda fact: fact.customer.industry,
    "EOU": lambda fact: fact.customer.segment,
}
_PGA: Mapping[str, Column] = {"PGAMpnId": _constant("4700000")}
_MONTH: Mapping[str, Column] = {"Month": lambda fact: fact.month}
_ATTRIBUTION: Mapping[str, Column] = {"PartnerAttributionType": lambda fact: fact.attribution}
_DUPLICATE: Mapping[str, Column] = {"IsDuplicateRowForPGA": lambda fact: fact.duplicate}
_SUBSCRIPTION: Mapping[str, Column] = {
    "SubscriptionId": subscription_id,
    "SubscriptionStartDate": _start,
    "SubscriptionEndDate": lambda fact: _start(fact) + timedelta(days=2 * _SUBSCRIPTION_DAYS),
}
_STATUS: Mapping[str, Column] = {"SubscriptionStatus": _state}
_SKU: Mapping[str, Column] = {
    "SKU": lambda fact: fact.name,
    "SKUId": _part_number,
    "FreeVsPaidSKU": _constant("Paid"),
    "SalesModel": lambda fact: fact.sales_channel,
    "DetailedSalesModel": lambda fact: f"{fact.sales_channel} subscription",
}
_REVENUE_DIVISION: Mapping[str, Column] = {"RevSumDivisionName": lambda fact: fact.service.upper()}
_SEATS: Mapping[str, Column] = {
    "AvailableSeats": _available,
    "AssignedSeats": _assigned,
    "ActiveSeats": _active,
    "DeploymentOpportunity": _unassigned,
    "ActiveUsagePercent": _percent,
}
_USERS: Mapping[str, Column] = {"PaidAvailableUnits": _available, "MonthlyActiveUsers": _active}
_EMS_PAIRS: Mapping[str, Column] = {
    f"{workload}{name}": _pair(index, side)
    for index, workload in enumerate(EMS_COLUMNS)
    for side, name in enumerate(("PaidAvailableUnits", "MonthlyActiveUsers"))
}
_EMS_FEATURES = ("MDM", "MAM", "SSPR", "MFA", "SSO")
_CUSTOMERS_COUNTED: Mapping[str, Metric] = {
    "CustomerCount": Metric(_TENANT["CustomerTpid"], is_sum=False),
    "CustomerTenantCount": Metric(_TENANT["CustomerTenantId"], is_sum=False),
}
_SUBSCRIPTIONS_COUNTED: Mapping[str, Metric] = {"SubscriptionCount": Metric(subscription_id, is_sum=False)}
_ASSIGNED_AND_ACTIVE: Mapping[str, Metric] = {
    "TotalAssignedSeats": Metric(_assigned),
    "TotalActiveSeats": Metric(_active),
}
_NOTHING = Metric(_constant(0))
_SEATS_COLUMNS: Mapping[str, Column] = {
    "ReportingProductName": lambda fact: fact.name,
    "Product": lambda fact: fact.name,
    "ProductFamily": lambda fact: fact.service.upper(),
    "PricingLevelName": _constant("Corporate"),
    "DetailPricingLevelName": _constant("Corporate"),
    "RawProductName": lambda fact: fact.name,
    "ProductPartNumber": _part_number,
    "SKU": lambda fact: fact.name,
    **_REVENUE_DIVISION,
    "SolutionArea": _constant("Modern Work"),
}
_RESELLER: Mapping[str, Column] = {
    "ResellerID": partial(_number, "reseller"),
    "ResellerName": lambda fact: f"Reseller {fact.customer.number % 5 + 1}",
}


def _summed(columns: Mapping[str, Column]) -> dict[str, Metric]:
    return {f"Total{name}": Metric(column) for name, column in columns.items()}


_LISTED = (
    DataSet(
        "OfficeUsage",
        "office",
        {
            **_PGA, **_TENANT, "WorkloadName": lambda fact: fact.name, **_MONTH, **_USERS, **_CUSTOMER, **_PARTNER,
            **_ATTRIBUTION, **_DUPLICATE, **_INDUSTRY,
        },
        {**_CUSTOMERS_COUNTED, **_summed(_USERS)},
    ),
    DataSet(
        "DynamicsUsage",
        "dynamics",
        {
            **_SUBSCRIPTION, **_STATUS, **_MONTH, **_REVENUE_DIVISION,
            "RevSumCategoryName": lambda fact: fact.service.upper(), **_SKU, **_CUSTOMER, **_TENANT, **_PARTNER,
            "PartnerAttachType": lambda fact: fact.attribution, **_SEATS, **_INDUSTRY, **_PGA,
        },
        {
            **_SUBSCRIPTIONS_COUNTED, "TotalSoldSeats": Metric(_available), **_ASSIGNED_AND_ACTIVE,
            **_CUSTOMERS_COUNTED,
        },
    ),
    DataSet(
        "PowerBIUsage",
        "power-bi",
        {
            **_SUBSCRIPTION, **_STATUS, **_MONTH, **_SKU, **_CUSTOMER, **_TENANT,
            "PartnerHierarchy": _constant("HQ"), **_PARTNER, "PartnerAttachType": lambda fact: fact.attribution,
            **_SEATS, **_INDUSTRY, **_PGA,
        },
        {
            **_SUBSCRIPTIONS_COUNTED, "TotalAvailableSeats": Metric(_available), **_ASSIGNED_AND_ACTIVE,
            **_CUSTOMERS_COUNTED,
        },
    ),
    DataSet(
        "EMSUsage",
        "ems",
        {
            **_SUBSCRIPTION, **_STATUS, **_MONTH, **_SKU, **_CUSTOMER, **_TENANT,
            "CustomerTenantName": lambda fact: fact.customer.name, **_PARTNER, **_ATTRIBUTION, **_DUPLICATE, **_USERS,
            **_EMS_PAIRS, **{name: _constant(0) for name in _EMS_FEATURES}, **_INDUSTRY, **_PGA,
        },
        {**_SUBSCRIPTIONS_COUNTED, **_CUSTOMERS_COUNTED, **_summed(_USERS), **_summed(_EMS_PAIRS)},
    ),
    DataSet(
        "SeatsSubscriptionsAndRevenue",
        "seats",
        {
            **_PGA, **_SUBSCRIPTION, "SubscriptionState": _state, **_MONTH, "IsAutoRenew": _constant("True"),
            **_CUSTOMER, **_TENANT, **_SEATS_COLUMNS, **_PARTNER, **_ATTRIBUTION,
            "SalesChannel": lambda fact: fact.sales_channel, "EnrollmentNumber": _constant(""), **_DUPLICATE,
            "SubscriptionStartMonth": lambda fact: _start(fact).replace(day=1), **_RESELLER,
            "PartnerOneSubID": _constant("1"), "PartnerOneSubName": _constant("Simulated Partner"),
            "IsCloud": _constant("Y"), **_INDUSTRY,
        },
        {
            "AvailableSeatsEOP": Metric(_available), "AvailableSeats": Metric(_change),
            "TotalAssignedSeats": Metric(_assigned), **_SUBSCRIPTIONS_COUNTED, **_CUSTOMERS_COUNTED,
            "BilledRevenueUSD": Metric(lambda fact: 12 * fact.available), "AzureConsumedRevenueUSD": _NOTHING,
            "CPORRevenue": _NOTHING, "CPORPaidSeats": _NOTHING, "CPORActiveUsers": _NOTHING,
        },
    ),
    DataSet(
        "CustomersAndTenants",
        "seats",
        {
            **_PGA, **_TENANT, **_CUSTOMER, "Product": lambda fact: fact.name, "RawProductName": lambda fact: fact.name,
            "SKU": lambda fact: fact.name, **_MONTH, "SalesChannel": lambda fact: fact.sales_channel, **_ATTRIBUTION,
            **_DUPLICATE, **_PARTNER, **_INDUSTRY,
        },
        {"AvailableSeats": Metric(_available), "AssignedSeats": Metric(_assigned), **_CUSTOMERS_COUNTED},
    ),
    DataSet(
        "ResellerPerformance",
        "seats",
        {
            **_PGA, "ResellerMpnid": partial(_number, "reseller"), "ResellerName": _RESELLER["ResellerName"], **_MONTH,
            "Product": lambda fact: fact.name, "SubscriptionID": subscription_id, "AvailableSeats": _available,
            "AssignedSeats": _assigned,
        },
        {"TotalAvailableSeats": Metric(_available), "TotalAssignedSeats": Metric(_assigned)},
    ),
    DataSet(
        "CPORM365Usage",
        "cpor",
        {
            **_TENANT, **_CUSTOMER, "WorkloadName": lambda fact: fact.name, **_USERS,
            "ClaimId": partial(_number, "claim"), "MpnId": _constant("4700001"),
            "DateAssociated": lambda fact: last_day(fact.month), **_ATTRIBUTION, "Date": lambda fact: fact.month,
        },
        {},
    ),
)  # fmt: skip
_SETS = {each.name: each for each in _LISTED}
