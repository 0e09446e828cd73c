"""The columns and metrics that data sets of Partner Insights are made of: each is a function of a row's facts."""

import zlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from functools import partial
from operator import attrgetter
from typing import TypeAlias

from partnercenter_simulator.insights.facts import EMS_COLUMNS, Fact, subscription_id

Value: TypeAlias = str | int | date
"""A value of a row; a date is a month's first day, or a day."""

Column: TypeAlias = Callable[[Fact], Value]

_SUBSCRIPTION_DAYS = 365


@dataclass(frozen=True, slots=True)
class Metric:
    """What a metric is computed from: the sum of a column's numbers, or how many different values it has."""

    column: Column
    is_sum: bool = True


def number(of: str, fact: Fact) -> str:
    """Return a seven-digit number of the row's customer, another one for each kind of thing."""
    return str(1_000_000 + zlib.crc32(f"{of} {fact.customer.tenant_id}".encode()) % 8_000_000)


def constant(value: Value) -> Column:
    """Return a column that has the same value in every row."""
    return lambda _fact: value


def _pair(index: int, side: int) -> Column:
    return lambda fact: fact.pairs[index][side]


def started(fact: Fact) -> date:
    """Return when the row's subscription began."""
    return date(fact.month.year - 1, 1, 1 + zlib.crc32(subscription_id(fact).encode()) % 28)


def _percent(fact: Fact) -> int:
    return 100 * fact.active // fact.available if fact.available else 0


def _unassigned(fact: Fact) -> int:
    return fact.available - fact.assigned


def _part_number(fact: Fact) -> str:
    return f"SIM-{zlib.crc32(fact.name.encode()) % 100_000:05d}"


AVAILABLE: Column = attrgetter("available")
ASSIGNED: Column = attrgetter("assigned")
ACTIVE: Column = attrgetter("active")
CHANGE: Column = attrgetter("change")
STATE: Column = attrgetter("state")
NAME: Column = attrgetter("name")
SALES_CHANNEL: Column = attrgetter("sales_channel")
CUSTOMER_NAME: Column = attrgetter("customer.name")
ATTRIBUTION_TYPE: Column = attrgetter("attribution")
FIRST_DAY: Column = attrgetter("month")
TENANT: Mapping[str, Column] = {
    "CustomerTenantId": lambda fact: fact.customer.tenant_id,
    "CustomerTpid": partial(number, "customer"),
}
CUSTOMER: Mapping[str, Column] = {
    "CustomerName": CUSTOMER_NAME,
    "CustomerMarket": lambda fact: fact.customer.market,
    "CustomerSegment": lambda fact: fact.customer.segment,
}
PARTNER: Mapping[str, Column] = {
    "MPNId": constant("4700001"),
    "PartnerName": constant("Simulated Partner"),
    "PartnerLocation": constant("Oslo"),
}
INDUSTRY: Mapping[str, Column] = {
    "IndustryName": lambda fact: fact.customer.industry,
    "VerticalName": lambda fact: fact.customer.industry,
    "EOU": lambda fact: fact.customer.segment,
}
PGA: Mapping[str, Column] = {"PGAMpnId": constant("4700000")}
MONTH: Mapping[str, Column] = {"Month": FIRST_DAY}
ATTRIBUTION: Mapping[str, Column] = {"PartnerAttributionType": ATTRIBUTION_TYPE}
DUPLICATE: Mapping[str, Column] = {"IsDuplicateRowForPGA": lambda fact: fact.duplicate}
SUBSCRIPTION: Mapping[str, Column] = {
    "SubscriptionId": subscription_id,
    "SubscriptionStartDate": started,
    "SubscriptionEndDate": lambda fact: started(fact) + timedelta(days=2 * _SUBSCRIPTION_DAYS),
}
STATUS: Mapping[str, Column] = {"SubscriptionStatus": STATE}
SKU: Mapping[str, Column] = {
    "SKU": NAME,
    "SKUId": _part_number,
    "FreeVsPaidSKU": constant("Paid"),
    "SalesModel": SALES_CHANNEL,
    "DetailedSalesModel": lambda fact: f"{fact.sales_channel} subscription",
}
REVENUE_DIVISION: Mapping[str, Column] = {"RevSumDivisionName": lambda fact: fact.service.upper()}
SEATS: Mapping[str, Column] = {
    "AvailableSeats": AVAILABLE,
    "AssignedSeats": ASSIGNED,
    "ActiveSeats": ACTIVE,
    "DeploymentOpportunity": _unassigned,
    "ActiveUsagePercent": _percent,
}
USERS: Mapping[str, Column] = {"PaidAvailableUnits": AVAILABLE, "MonthlyActiveUsers": ACTIVE}
EMS_PAIRS: Mapping[str, Column] = {
    f"{workload}{name}": _pair(index, side)
    for index, workload in enumerate(EMS_COLUMNS)
    for side, name in enumerate(("PaidAvailableUnits", "MonthlyActiveUsers"))
}
EMS_FEATURES = ("MDM", "MAM", "SSPR", "MFA", "SSO")
CUSTOMERS_COUNTED: Mapping[str, Metric] = {
    "CustomerCount": Metric(TENANT["CustomerTpid"], is_sum=False),
    "CustomerTenantCount": Metric(TENANT["CustomerTenantId"], is_sum=False),
}
SUBSCRIPTIONS_COUNTED: Mapping[str, Metric] = {"SubscriptionCount": Metric(subscription_id, is_sum=False)}
ASSIGNED_AND_ACTIVE: Mapping[str, Metric] = {"TotalAssignedSeats": Metric(ASSIGNED), "TotalActiveSeats": Metric(ACTIVE)}
NOTHING = Metric(constant(0))
PRODUCT: Mapping[str, Column] = {
    "ReportingProductName": NAME,
    "Product": NAME,
    "ProductFamily": lambda fact: fact.service.upper(),
    "PricingLevelName": constant("Corporate"),
    "DetailPricingLevelName": constant("Corporate"),
    "RawProductName": NAME,
    "ProductPartNumber": _part_number,
    "SKU": NAME,
    **REVENUE_DIVISION,
    "SolutionArea": constant("Modern Work"),
}
RESELLER: Mapping[str, Column] = {
    "ResellerID": partial(number, "reseller"),
    "ResellerName": lambda fact: f"Reseller {fact.customer.number % 5 + 1}",
}


def summed(columns: Mapping[str, Column]) -> dict[str, Metric]:
    """Return the metrics that add up columns, with Total before their names."""
    return {f"Total{name}": Metric(column) for name, column in columns.items()}
