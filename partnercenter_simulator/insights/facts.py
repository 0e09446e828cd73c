"""What Partner Insights reports on, month by month: the simulated customers' licences and subscriptions.

The counts are the data set's on each month's last day, split by customer as the commercial API splits them, with
what real exports have: several attributions, of which one counts, more users than licences, none paid for, churned
subscriptions and corrections.
"""

import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from functools import cached_property, lru_cache
from typing import NamedTuple

from partnercenter_simulator.customers import MAX_CUSTOMERS, PRODUCTS, Customers
from partnercenter_simulator.dataset import CHANNELS, WORKLOADS, Dataset, DeploymentFigure, UsageFigure, chance
from partnercenter_simulator.insights.months import last_day, month_before

_CACHED_MONTHS = 32
SALES_CHANNELS = {"reseller": "CSP", "direct": "Direct"}
"""Partner Insights' words for the sales channels of the data set."""

WORKLOAD_NAMES = {
    "Exchange": "Exchange Online",
    "SharePoint": "SharePoint Online",
    "OneDrive": "OneDrive for Business",
    "Teams": "Microsoft Teams",
    "Skype For Business": "Skype for Business",
    "Yammer": "Yammer",
    "Office ProPlus": "Microsoft 365 Apps",
}
"""Partner Insights' names for the workloads of the data set's service `o365`."""

EMS_COLUMNS = ("AADP", "Intune", "Azip", "AATP", "MCAS", "MIG", "MDO", "MDE")
"""The workloads of EMSUsage, which has two columns for each instead of rows."""

_EMS_WORKLOADS = ("Azure AD Premium", "Intune", "Azure Information Protection")
_EMS_DERIVED = ((3, 4), (4, 6), (5, 5), (2, 3), (2, 2))  # the others, as parts of the first: paid, active
# A customer's attributions, in turn: the first counts, each further one makes a row that is marked as a duplicate.
_ATTRIBUTIONS = (
    ("CSP T1",), ("CSP T1", "PAL"), ("CSP T2",), ("DPOR",), ("CSP T1", "CPOR", "DPOR"), ("CPOR",), ("CSP T1",),
    ("CSP T2", "DPOR"),
)  # fmt: skip
_MARKETS = ("US", "GB", "DE", "FR", "NO", "JP")
_SEGMENTS = ("SMB", "Corporate", "Enterprise", "Education")
_INDUSTRIES = ("Retailers", "Banking & Capital Markets", "Discrete Manufacturing", "Higher Education")
# Customers with a subscription that has ended, and with a correction: a row of fewer than no licences.
_CHURNED = range(7, MAX_CUSTOMERS, 13)
_CORRECTED = range(9, MAX_CUSTOMERS, 17)
_POWER_BI_SHARE = 8  # one in so many Office customers' licences


@dataclass(frozen=True, slots=True)
class Profile:
    """A customer as Partner Insights knows it. `reported` (0 to 1) says how early in a refresh its rows come."""

    number: int
    tenant_id: str
    name: str
    market: str
    segment: str
    industry: str
    attributions: tuple[str, ...]
    reported: float


class Fact(NamedTuple):
    """One row, of any set: licences of a workload, or a subscription to a product, in one month.

    `available` licences are paid for, `assigned` to a user, `active` in use; `change` is that of `available`
    since the month before. `pairs` are the paid and active licences of each of EMS_COLUMNS.
    """

    customer: Profile
    month: date
    name: str
    service: str
    sales_channel: str
    attribution: str
    available: int
    assigned: int
    active: int
    duplicate: int = 0
    change: int = 0
    state: str = "Active"
    pairs: tuple[tuple[int, int], ...] = ()


class Facts:
    """Every row of every set, as a pure function of the data set, the customers and the month."""

    def __init__(self, dataset: Dataset, customers: Customers) -> None:
        self._dataset = dataset
        self._customers = customers
        self._usage_figures = lru_cache(maxsize=_CACHED_MONTHS)(self._compute_usage_figures)
        self._deployment_figures = lru_cache(maxsize=_CACHED_MONTHS)(self._compute_deployment_figures)
        self._kinds: Mapping[str, Callable[[date], Iterator[Fact]]] = {
            "office": self._office,
            "ems": self._ems,
            "seats": self._seats,
            "dynamics": lambda month: self._subscriptions("crm", month),
            "power-bi": lambda month: self._subscriptions("power-bi", month),
            "cpor": lambda month: (fact for fact in self._office(month) if fact.attribution == "CPOR"),
        }

    def of(self, kind: str, month: date, *, share: float = 1) -> Iterator[Fact]:
        """Yield the rows of a kind in a month, of this share of the customers."""
        return (fact for fact in self._kinds[kind](month) if fact.customer.reported < share)

    @cached_property
    def _profiles(self) -> list[Profile]:
        return [_profile(self._dataset.seed, number, self._customers) for number in range(len(self._customers.all))]

    def _office(self, month: date) -> Iterator[Fact]:
        for workload in WORKLOADS:
            if workload.service != "o365":
                continue
            for profile, paid, used in self._by_customer("o365", workload.name, month):
                paid_here, used_here = paid, used
                if profile.attributions[0] == "CPOR":  # more users than licences, which is lawful
                    used_here = paid + paid // 8 + 1
                elif profile.attributions[0] == "DPOR" and workload.name == "Yammer":
                    paid_here = 0
                yield from _attributed(
                    Fact(
                        customer=profile,
                        month=month,
                        name=WORKLOAD_NAMES[workload.name],
                        service="o365",
                        sales_channel="",
                        attribution=profile.attributions[0],
                        available=paid_here,
                        assigned=paid_here,
                        active=used_here,
                    )
                )

    def _ems(self, month: date) -> Iterator[Fact]:
        columns = [list(self._by_customer("ems", name, month)) for name in _EMS_WORKLOADS]
        for rows in zip(*columns, strict=True):
            profile, paid, used = rows[0]
            derived = tuple((paid // a, used // b) for a, b in _EMS_DERIVED)
            yield from _attributed(
                Fact(
                    customer=profile,
                    month=month,
                    name=PRODUCTS["ems"][0],
                    service="ems",
                    sales_channel=SALES_CHANNELS["reseller"],
                    attribution=profile.attributions[0],
                    available=paid,
                    assigned=paid,
                    active=used,
                    pairs=(*((row[1], row[2]) for row in rows), *derived),
                )
            )

    def _seats(self, month: date) -> Iterator[Fact]:
        for service in PRODUCTS:
            for fact in self._subscriptions(service, month):
                yield from _attributed(fact)
                if fact.customer.number in _CORRECTED and fact.name == PRODUCTS[service][0]:
                    correction = fact._replace(available=-2, assigned=0, active=0, change=-2, state="Disabled")
                    yield from _attributed(correction)

    def _subscriptions(self, service: str, month: date) -> Iterator[Fact]:
        """Yield a row for each subscription; a churned one has no licences left."""
        usage = self._usage("crm" if service == "crm" else "o365", _MAIN_WORKLOAD[service], month)
        products = PRODUCTS[service]
        before = month_before(month)
        cells = self._customers.cells(service)
        for channel in CHANNELS:
            now, then = (
                self._customers.split(service, *self._deployment(service, channel, of), 0, cells, day=self._day(of))
                for of in (month, before)
            )
            for index, (cell, past) in enumerate(zip(now, then, strict=True)):
                if not cell.whole:
                    continue
                customer, product = divmod(index, len(products))
                churned = customer in _CHURNED and product == 1
                whole, part = (0, 0) if churned else (cell.whole, cell.part)
                profile = self._profiles[customer]
                yield Fact(
                    customer=profile,
                    month=month,
                    name=products[product],
                    service=service,
                    sales_channel=SALES_CHANNELS[channel],
                    attribution=profile.attributions[0],
                    available=whole,
                    assigned=part,
                    active=part * usage[1] // usage[0],
                    change=whole - past.whole,
                    state="Churned" if churned else "Active",
                )

    def _by_customer(self, service: str, workload: str, month: date) -> Iterator[tuple[Profile, int, int]]:
        counts = self._customers.split_by_customer(*self._usage(service, workload, month), day=self._day(month))
        return ((profile, *pair) for profile, pair in zip(self._profiles, counts, strict=True))

    def _day(self, month: date) -> int:
        """Return the month's last day, counted from the data set's start."""
        return self._usage_figures(month)[0].day

    def _usage(self, service: str, workload: str, month: date) -> tuple[int, int]:
        """Return qualified and active licences on the month's last day, of both sales channels."""
        own = [
            figure for figure in self._usage_figures(month) if (figure.service, figure.workload) == (service, workload)
        ]
        return sum(figure.qualified for figure in own), sum(figure.active for figure in own)

    def _deployment(self, service: str, channel: str, month: date) -> tuple[int, int]:
        """Return sold and deployed licences on the month's last day."""
        named = "o365" if service == "power-bi" else service
        figure = next(f for f in self._deployment_figures(month) if (f.service, f.channel) == (named, channel))
        scale = _POWER_BI_SHARE if service == "power-bi" else 1
        return figure.sold // scale, figure.deployed // scale

    def _compute_usage_figures(self, month: date) -> Sequence[UsageFigure]:
        last = last_day(month)
        return self._dataset.usage(_later(last), processed_on=last)

    def _compute_deployment_figures(self, month: date) -> Sequence[DeploymentFigure]:
        last = last_day(month)
        return self._dataset.deployment(_later(last), processed_on=last)


_MAIN_WORKLOAD = {
    "o365": "Exchange", "crm": "Microsoft Dynamics CRM", "ems": "Exchange", "power-bi": "Teams",
}  # fmt: skip


def subscription_id(fact: Fact) -> str:
    """Return the id of a row's subscription, the same in every month."""
    key = f"{fact.customer.tenant_id} {fact.name} {fact.sales_channel} {fact.state == 'Disabled'}"
    return str(uuid.uuid5(uuid.NAMESPACE_OID, key))


def _attributed(fact: Fact) -> Iterator[Fact]:
    """Yield a row for each of the customer's attributions; all but the first are duplicates."""
    yield fact
    for attribution in fact.customer.attributions[1:]:
        yield fact._replace(attribution=attribution, duplicate=1)


def _profile(seed: int, number: int, customers: Customers) -> Profile:
    customer = customers.all[number]
    names = {1: f'{customer.name}, "{customer.name.split()[0]}"', 2: f"{customer.name},\r\nHead Office", 5: "C*****d"}

    def pick(of: str, words: Sequence[str]) -> str:
        return words[int(len(words) * chance(seed, "insights", of, number))]

    return Profile(
        number=number,
        tenant_id=customer.tenant_id.lower(),
        name=names.get(number % 12, customer.name),
        market=pick("market", _MARKETS),
        segment=pick("segment", _SEGMENTS),
        industry=pick("industry", _INDUSTRIES),
        attributions=_ATTRIBUTIONS[number % len(_ATTRIBUTIONS)],
        reported=chance(seed, "insights", "reported", number) if number else 0.0,  # the first one always is
    )


def _later(day: date) -> datetime:
    """Return a time by which the day's figures are processed."""
    return datetime.combine(day + timedelta(days=20), time(tzinfo=UTC))
