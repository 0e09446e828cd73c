"""The partner's customers and products, which split the data set's licence counts exactly."""

import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from itertools import accumulate

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

_SCALE = 1 << 48  # shares are integer fractions of this, so that they add up exactly


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


class Customers:
    """A partner's customers, generated from a seed, and how they and the products split licence counts.

    Raises ValueError unless `count` is 1 to 20,000.
    """

    def __init__(self, seed: int, count: int) -> None:
        if not 1 <= count <= MAX_CUSTOMERS:
            raise ValueError(f"a partner has 1 to {MAX_CUSTOMERS:,} customers, not {count}")
        self.all = tuple(_customer(seed, number) for number in range(count))
        self._sizes = [0.2 + 4 * chance(seed, "customer size", number) ** 3 for number in range(count)]
        self._products = {
            service: tuple(Product(_identifier(seed, service, name).lower(), name) for name in names)
            for service, names in PRODUCTS.items()
        }
        self._boundaries = lru_cache(maxsize=len(PRODUCTS))(self._compute_boundaries)

    def cells(self, service: str) -> int:
        """Return how many cells a service has: one per customer and product."""
        return len(self.all) * len(self._products[service])

    def split(self, service: str, whole: int, part: int, start: int, stop: int) -> Iterator[Cell]:
        """Yield cells `start` to `stop` of these counts; all the cells together add up to them exactly."""
        products = self._products[service]
        boundaries = self._boundaries(service)
        begin = whole * boundaries[start] // _SCALE
        for index in range(start, min(stop, self.cells(service))):
            customer, product = divmod(index, len(products))
            end = whole * boundaries[index + 1] // _SCALE
            # Both counts are rounded at the same boundaries, so no part exceeds its whole.
            share = part * end // whole - part * begin // whole if whole else 0
            yield Cell(self.all[customer], products[product], end - begin, share)
            begin = end

    def split_by_customer(self, service: str, whole: int, part: int) -> Iterator[tuple[int, int]]:
        """Yield the counts of each customer, in the order of `all`: the sums of its cells."""
        begin = (0, 0)
        for boundary in self._boundaries(service)[:: len(self._products[service])][1:]:
            end = whole * boundary // _SCALE
            ends = (end, part * end // whole if whole else 0)
            yield ends[0] - begin[0], ends[1] - begin[1]
            begin = ends

    def _compute_boundaries(self, service: str) -> list[int]:
        """Return the boundaries between cells, from 0 to `_SCALE`."""
        ranks = range(len(PRODUCTS[service]))
        weights = [size / (2 + rank) for size in self._sizes for rank in ranks]
        total = sum(weights)
        ends = [min(int(end / total * _SCALE), _SCALE) for end in accumulate(weights)]
        return [0, *ends[:-1], _SCALE]


def _customer(seed: int, number: int) -> Customer:
    first, second, legal = (
        words[int(len(words) * chance(seed, "name", position, number))]
        for position, words in enumerate((_FIRST_WORDS, _SECOND_WORDS, _LEGAL_FORMS))
    )
    branch = f" {number // 100 + 1}" if number >= 100 else ""  # noqa: PLR2004 -- about where names start to repeat
    return Customer(_identifier(seed, "tenant", number).upper(), f"{first} {second}{branch}{legal}")


def _identifier(*key: object) -> str:
    return str(uuid.UUID(int=int(chance(*key) * 2**64) << 64 | int(chance(*key, "low") * 2**64), version=4))
