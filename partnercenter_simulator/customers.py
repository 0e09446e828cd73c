"""The partner's customers and products, which split the data set's licence counts exactly.

Customers differ: some grow, some churn (they stop using their licences, and give them up weeks later), some hardly use
what they pay for, and many are tiny. The counts of the whole partner stay those of the data set.
"""

import math
import uuid
from array import array
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from enum import StrEnum
from functools import lru_cache
from itertools import accumulate, pairwise

from partnercenter_simulator.dataset import chance

DEFAULT_CUSTOMERS = 40
MAX_CUSTOMERS = 20_000

_FIRST_WORDS = (
    "Adventure", "Alpine", "Blue Yonder", "Coho", "Contoso", "Fabrikam", "Fourth", "Graphic", "Humongous",
    "Litware", "Lucerne", "Margie's", "Nod", "Northwind", "Proseware", "Relecloud", "Südwind", "Tailspin",
    "Trey", "VanArsdel", "Wide World", "Wingtip", "Woodgrove", "Ørsted & Søn", "日本", '"Best" of',
)  # fmt: skip
_SECOND_WORDS = (
    "Airlines", "Bank", "Cycles", "Design", "Energy", "Foods", "Importers", "Insurance", "Logistics", "Media",
    "Pharma", "Research", "School", "Toys", "Traders", "Winery",
)  # fmt: skip
_LEGAL_FORMS = ("", " Ltd", " GmbH", " S.A.", " Inc.", " B.V.")

PRODUCTS = {
    "o365": ("Microsoft 365 Business Standard", "Office 365 E3", "Microsoft 365 E5", "Office 365 E1"),
    "crm": ("Dynamics 365 Sales Enterprise", "Dynamics 365 Customer Service"),
    "ems": ("Enterprise Mobility + Security E3", "Enterprise Mobility + Security E5"),
    "power-bi": ("Power BI Pro", "Power BI Premium Per User"),  # in Partner Insights only
}
"""The products of each service, best-selling first."""

_TURNING_DAYS = 60  # customers grow and churn at some time within so many days before and after the start
_PACE_DAYS = 10
_NOTICE_DAYS = 30  # how long after a customer stopped using its licences it gives them up
_CACHED_SPLITS = 32  # as many as a poll has figures


class Kind(StrEnum):
    """How a customer develops."""

    STEADY = "steady"
    TINY = "tiny"
    GROWING = "growing"
    CHURNING = "churning"
    IDLE = "idle"


_SHARES = {Kind.TINY: 0.2, Kind.GROWING: 0.12, Kind.CHURNING: 0.1, Kind.IDLE: 0.08}  # the others are steady


@dataclass(frozen=True, slots=True)
class Customer:
    """A customer's tenant. The id is in upper case, as in the API."""

    tenant_id: str
    name: str


@dataclass(frozen=True, slots=True)
class Product:
    """A product of a service."""

    product_id: str
    name: str


@dataclass(frozen=True, slots=True)
class Cell:
    """The licences of one customer and product: `whole` (qualified, sold) and `part` (active, deployed)."""

    customer: Customer
    product: Product
    whole: int
    part: int


@dataclass(frozen=True, slots=True)
class _Habit:
    """How many licences a customer has, relative to the others, and how eagerly it uses them, by day."""

    kind: Kind
    size: float
    eagerness: float  # log odds that a licence is used, relative to the other customers
    turn: float  # the day in the middle of growth or churn

    @classmethod
    def of(cls, seed: int, number: int) -> "_Habit":
        kind = _kind(chance(seed, "customer kind", number))
        size = 0.2 + 4 * chance(seed, "customer size", number) ** 3
        eagerness = 2 * chance(seed, "customer eagerness", number) - 1
        turn = _TURNING_DAYS * (2 * chance(seed, "customer turn", number) - 1)
        return cls(kind, size, eagerness, turn)

    def on(self, day: int) -> tuple[float, float]:
        """Return size and eagerness on a day; the latter in steps, so that few values occur."""
        size, eagerness = self.size, self.eagerness
        match self.kind:
            case Kind.TINY:
                size *= 0.03
            case Kind.IDLE:
                eagerness -= 3
            case Kind.GROWING:
                size *= 0.3 + 1.2 * _step(day - self.turn)
            case Kind.CHURNING:
                size *= 1 - 0.9 * _step(day - self.turn - _NOTICE_DAYS)
                eagerness -= 5 * _step(day - self.turn)
            case Kind.STEADY:
                pass
        return size, round(eagerness * 4) / 4


class Customers:
    """A partner's customers, generated from a seed, and how they and the products split licence counts.

    Raises ValueError unless `count` is 1 to 20,000.
    """

    def __init__(self, seed: int, count: int) -> None:
        if not 1 <= count <= MAX_CUSTOMERS:
            raise ValueError(f"a partner has 1 to {MAX_CUSTOMERS:,} customers, not {count}")
        self.all = tuple(_customer(seed, number) for number in range(count))
        self._habits = tuple(_Habit.of(seed, number) for number in range(count))
        self._products = {
            service: tuple(Product(_identifier(seed, service, name).lower(), name) for name in names)
            for service, names in PRODUCTS.items()
        }
        self._on = lru_cache(maxsize=_CACHED_SPLITS)(self._compute_on)
        self._ends = lru_cache(maxsize=_CACHED_SPLITS)(self._compute_ends)

    @property
    def kinds(self) -> tuple[Kind, ...]:
        """How each customer develops, in the order of `all`."""
        return tuple(habit.kind for habit in self._habits)

    @property
    def products(self) -> tuple[Product, ...]:
        """The products of all services."""
        return tuple(product for products in self._products.values() for product in products)

    def cells(self, service: str) -> int:
        """Return how many cells a service has: one per customer and product."""
        return len(self.all) * len(self._products[service])

    def split(self, service: str, whole: int, part: int, start: int, stop: int, *, day: int = 0) -> Iterator[Cell]:
        """Yield cells `start` to `stop` of these counts; all the cells together add up to them exactly.

        `day` is counted from the data set's start: customers grow and churn before and after it.
        """
        products = self._products[service]
        shares = _shares_of_products(len(products))
        ends = self._ends(whole, part, day)
        stop = min(stop, self.cells(service))
        boundaries = (tuple(_boundary(end, index, shares) for end in ends) for index in range(start, stop + 1))
        for index, (begin, end) in enumerate(pairwise(boundaries), start):
            customer, product = divmod(index, len(products))
            used, idle = (after - before for before, after in zip(begin, end, strict=True))
            yield Cell(self.all[customer], products[product], used + idle, used)

    def split_by_customer(self, whole: int, part: int, *, day: int = 0) -> Iterator[tuple[int, int]]:
        """Yield the counts of each customer, in the order of `all`: the sums of its cells."""
        for begin, end in pairwise(zip(*self._ends(whole, part, day), strict=True)):
            used, idle = (int(after) - int(before) for before, after in zip(begin, end, strict=True))
            yield used + idle, used

    def _compute_on(self, day: int) -> tuple[tuple[float, float], ...]:
        return tuple(habit.on(day) for habit in self._habits)

    def _compute_ends(self, whole: int, part: int, day: int) -> tuple["array[float]", "array[float]"]:
        """Return the licences in use, and those that are not, of all customers up to each: 0 first, all of them last.

        Both are rounded where a cell ends: so neither is ever negative, and together they are the whole.
        """
        customers = self._on(day)
        odds = _common_odds(customers, part / whole if whole else 0.0)
        use = {eagerness: _logistic(eagerness + odds) for eagerness in {eagerness for _, eagerness in customers}}
        return (
            _cumulated((size * use[eagerness] for size, eagerness in customers), part),
            _cumulated((size * (1 - use[eagerness]) for size, eagerness in customers), whole - part),
        )


def _common_odds(customers: Iterable[tuple[float, float]], ratio: float) -> float:
    """Return the log odds that, added to everybody's eagerness, make the customers' usage this ratio."""
    sizes: dict[float, float] = {}
    for size, eagerness in customers:
        sizes[eagerness] = sizes.get(eagerness, 0.0) + size
    wanted = ratio * sum(sizes.values())
    low, high = -40.0, 40.0
    for _ in range(40):
        middle = (low + high) / 2
        if sum(size * _logistic(eagerness + middle) for eagerness, size in sizes.items()) < wanted:
            low = middle
        else:
            high = middle
    return (low + high) / 2


def _cumulated(weights: Iterable[float], count: int) -> "array[float]":
    sums = array("d", accumulate(weights, initial=0.0))
    total = sums[-1] or 1.0
    for index, reached in enumerate(sums):
        sums[index] = min(count * (reached / total), count)
    sums[-1] = count
    return sums


def _boundary(ends: "array[float]", index: int, shares: tuple[float, ...]) -> int:
    """Return the licences before a cell: of all customers before its own, and of its own's products before its own."""
    customer, product = divmod(index, len(shares))
    if product == 0:
        return int(ends[customer])
    begin, end = ends[customer], ends[customer + 1]
    return int(min(begin + (end - begin) * shares[product], end))


@lru_cache
def _shares_of_products(count: int) -> tuple[float, ...]:
    """Return the share of a customer's licences that the products before each have."""
    weights = [1 / (2 + rank) for rank in range(count)]
    return tuple(accumulate((weight / sum(weights) for weight in weights[:-1]), initial=0.0))


def _kind(number: float) -> Kind:
    for kind, share in _SHARES.items():
        if number < share:
            return kind
        number -= share
    return Kind.STEADY


def _step(days: float) -> float:
    return _logistic(days / _PACE_DAYS)


def _logistic(value: float) -> float:
    return (1 + math.tanh(value / 2)) / 2


def _customer(seed: int, number: int) -> Customer:
    first, second, legal = (
        words[int(len(words) * chance(seed, "name", position, number))]
        for position, words in enumerate((_FIRST_WORDS, _SECOND_WORDS, _LEGAL_FORMS))
    )
    branch = f" {number // 100 + 1}" if number >= 100 else ""  # noqa: PLR2004 -- about where names start to repeat
    return Customer(_identifier(seed, "tenant", number).upper(), f"{first} {second}{branch}{legal}")


def _identifier(*key: object) -> str:
    return str(uuid.UUID(int=int(chance(*key) * 2**64) << 64 | int(chance(*key, "low") * 2**64), version=4))
