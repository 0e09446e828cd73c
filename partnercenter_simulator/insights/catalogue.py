"""The data sets of Partner Insights: their columns and metrics, as a recorded catalogue of 2023 lists them."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import partial

from partnercenter_simulator.insights import columns as c
from partnercenter_simulator.insights.columns import Column, Metric, constant, number, started, summed
from partnercenter_simulator.insights.facts import subscription_id
from partnercenter_simulator.insights.months import last_day
from partnercenter_simulator.insights.quirks import InsightsQuirks
from partnercenter_simulator.wire import Json

MINIMUM_HOURS = 24
"""The shortest interval of a report on any of these sets."""


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


_LISTED = (
    DataSet(
        "OfficeUsage",
        "office",
        {
            **c.PGA, **c.TENANT, "WorkloadName": c.NAME, **c.MONTH, **c.USERS, **c.CUSTOMER, **c.PARTNER,
            **c.ATTRIBUTION, **c.DUPLICATE, **c.INDUSTRY,
        },
        {**c.CUSTOMERS_COUNTED, **summed(c.USERS)},
    ),
    DataSet(
        "DynamicsUsage",
        "dynamics",
        {
            **c.SUBSCRIPTION, **c.STATUS, **c.MONTH, **c.REVENUE_DIVISION,
            "RevSumCategoryName": lambda fact: fact.service.upper(), **c.SKU, **c.CUSTOMER, **c.TENANT, **c.PARTNER,
            "PartnerAttachType": c.ATTRIBUTION_TYPE, **c.SEATS, **c.INDUSTRY, **c.PGA,
        },
        {
            **c.SUBSCRIPTIONS_COUNTED, "TotalSoldSeats": Metric(c.AVAILABLE), **c.ASSIGNED_AND_ACTIVE,
            **c.CUSTOMERS_COUNTED,
        },
    ),
    DataSet(
        "PowerBIUsage",
        "power-bi",
        {
            **c.SUBSCRIPTION, **c.STATUS, **c.MONTH, **c.SKU, **c.CUSTOMER, **c.TENANT,
            "PartnerHierarchy": constant("HQ"), **c.PARTNER, "PartnerAttachType": c.ATTRIBUTION_TYPE,
            **c.SEATS, **c.INDUSTRY, **c.PGA,
        },
        {
            **c.SUBSCRIPTIONS_COUNTED, "TotalAvailableSeats": Metric(c.AVAILABLE), **c.ASSIGNED_AND_ACTIVE,
            **c.CUSTOMERS_COUNTED,
        },
    ),
    DataSet(
        "EMSUsage",
        "ems",
        {
            **c.SUBSCRIPTION, **c.STATUS, **c.MONTH, **c.SKU, **c.CUSTOMER, **c.TENANT,
            "CustomerTenantName": c.CUSTOMER_NAME, **c.PARTNER, **c.ATTRIBUTION, **c.DUPLICATE, **c.USERS,
            **c.EMS_PAIRS, **{name: constant(0) for name in c.EMS_FEATURES}, **c.INDUSTRY, **c.PGA,
        },
        {**c.SUBSCRIPTIONS_COUNTED, **c.CUSTOMERS_COUNTED, **summed(c.USERS), **summed(c.EMS_PAIRS)},
    ),
    DataSet(
        "SeatsSubscriptionsAndRevenue",
        "seats",
        {
            **c.PGA, **c.SUBSCRIPTION, "SubscriptionState": c.STATE, **c.MONTH, "IsAutoRenew": constant("True"),
            **c.CUSTOMER, **c.TENANT, **c.PRODUCT, **c.PARTNER, **c.ATTRIBUTION,
            "SalesChannel": c.SALES_CHANNEL, "EnrollmentNumber": constant(""), **c.DUPLICATE,
            "SubscriptionStartMonth": lambda fact: started(fact).replace(day=1), **c.RESELLER,
            "PartnerOneSubID": constant("1"), "PartnerOneSubName": constant("Simulated Partner"),
            "IsCloud": constant("Y"), **c.INDUSTRY,
        },
        {
            "AvailableSeatsEOP": Metric(c.AVAILABLE), "AvailableSeats": Metric(c.CHANGE),
            "TotalAssignedSeats": Metric(c.ASSIGNED), **c.SUBSCRIPTIONS_COUNTED, **c.CUSTOMERS_COUNTED,
            "BilledRevenueUSD": Metric(lambda fact: 12 * fact.available), "AzureConsumedRevenueUSD": c.NOTHING,
            "CPORRevenue": c.NOTHING, "CPORPaidSeats": c.NOTHING, "CPORActiveUsers": c.NOTHING,
        },
    ),
    DataSet(
        "CustomersAndTenants",
        "seats",
        {
            **c.PGA, **c.TENANT, **c.CUSTOMER, "Product": c.NAME, "RawProductName": c.NAME,
            "SKU": c.NAME, **c.MONTH, "SalesChannel": c.SALES_CHANNEL, **c.ATTRIBUTION,
            **c.DUPLICATE, **c.PARTNER, **c.INDUSTRY,
        },
        {"AvailableSeats": Metric(c.AVAILABLE), "AssignedSeats": Metric(c.ASSIGNED), **c.CUSTOMERS_COUNTED},
    ),
    DataSet(
        "ResellerPerformance",
        "seats",
        {
            **c.PGA, "ResellerMpnid": partial(number, "reseller"), "ResellerName": c.RESELLER["ResellerName"],
            **c.MONTH, "Product": c.NAME, "SubscriptionID": subscription_id, "AvailableSeats": c.AVAILABLE,
            "AssignedSeats": c.ASSIGNED,
        },
        {"TotalAvailableSeats": Metric(c.AVAILABLE), "TotalAssignedSeats": Metric(c.ASSIGNED)},
    ),
    DataSet(
        "CPORM365Usage",
        "cpor",
        {
            **c.TENANT, **c.CUSTOMER, "WorkloadName": c.NAME, **c.USERS,
            "ClaimId": partial(number, "claim"), "MpnId": constant("4700001"),
            "DateAssociated": lambda fact: last_day(fact.month), **c.ATTRIBUTION, "Date": c.FIRST_DAY,
        },
        {},
    ),
)  # fmt: skip
_SETS = {each.name: each for each in _LISTED}
