"""Who bought the partner's licences: customers and products that add up to the data set's whole counts."""

import uuid
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import accumulate

from partnercenter_simulator.dataset import chance

DEFAULT_CUSTOMERS = 40
MOST_CUSTOMERS = 20_000

_FIRST = (
    "Adventure", "Alpine", "Blue Yonder", "Coho", "Contoso", "Fabrikam", "Fourth", "Graphic", "Humongous",
    "Litware", "Lucerne", "Margie's", "Nod", "Northwind", "Proseware", "Relecloud", "Südwind", "Tailspin",
    "Trey", "VanArsdel", "Wide World", "Wingtip", "Woodgrove", "Ørsted & Søn", "日本", '"Best" of',
)  # fmt: skip
_SECOND = (
    "Airlines", "Bank", "Cycles", "Design", "Energy", "Foods", "Importers", "Insurance", "Logistics", "Media",
    "Pharma", "Research", "School", "Toys", "Traders", "Winery",
)  # fmt: skip
_LEGAL = ("", " Ltd", " GmbH", " S.A.", " Inc.", " B.V.")

PRODUCTS = {
    "o365": ("Microsoft 365 Business Standard", "Office 365 E3", "Microsoft 365 E5", "Office 365 E1"),
    "crm": ("Dynamics 365 Sales Enterprise", "Dynamics 365 Customer Service"),
    "ems": ("Enterprise Mobility + Security E3", "Enterprise Mobility + Security E5"),
}
"""What is sold of each service; the first sells best."""

_WHOLE = 1 << 48  # shares are whole numbers of this, so that their sum is exact


@dataclass(frozen=True, slots=True)
class Customer:
    """A customer's tenant: the id as the API writes it, in capitals."""

    tenant_id: str
    name: str


@dataclass(frozen=True, slots=True)
class Product:
    """What was sold."""

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
    """A partner's customers, seeded, and how the licences of a service fall to them and its products."""

    def __init__(self, seed: int, count: int) -> None:
        if not 1 <= count <= MOST_CUSTOMERS:
            raise ValueError(f"a partner has 1 to {MOST_CUSTOMERS:,} customers, not {count}")
        self.all = tuple(_customer(seed, number) for number in range(count))
        self._sizes = [0.2 + 4 * chance(seed, "customer size", number) ** 3 for number in range(count)]
        self._products = {
            service: tuple(Product(_identifier(seed, service, name).lower(), name) for name in names)
            for service, names in PRODUCTS.items()
        }
        self._borders = lru_cache(maxsize=len(PRODUCTS))(self._compute_borders)

    def products(self, service: str) -> Sequence[Product]:
        """Return the products of a service."""
        return self._products[service]

    def cells(self, service: str) -> int:
        """Return how many cells a service has: a customer and a product each."""
        return len(self.all) * len(self._products[service])

    def split(self, service: str, whole: int, part: int, start: int, stop: int) -> Iterator[Cell]:
        """Yield the cells `start` to `stop` of these counts; all cells add up to them exactly."""
        products = self._products[service]
        borders = self._borders(service)
        before = whole * borders[start] // _WHOLE
        for index in range(start, min(stop, self.cells(service))):
            customer, product = divmod(index, len(products))
            after = whole * borders[index + 1] // _WHOLE
            # Rounded along the same borders, no part is more than its whole.
            share = part * after // whole - part * before // whole if whole else 0
            yield Cell(self.all[customer], products[product], after - before, share)
            before = after

    def _compute_borders(self, service: str) -> list[int]:
        """Return the cells' ends, from 0 to the whole."""
        weights = [size / (2 + each) for size in self._sizes for each in range(len(PRODUCTS[service]))]
        total = sum(weights)
        ends = [min(int(end / total * _WHOLE), _WHOLE) for end in accumulate(weights)]
        return [0, *ends[:-1], _WHOLE]


def _customer(seed: int, number: int) -> Customer:
    first, second, legal = (
        words[int(len(words) * chance(seed, "name", position, number))]
        for position, words in enumerate((_FIRST, _SECOND, _LEGAL))
    )
    branch = f" {number // 100 + 1}" if number >= 100 else ""  # noqa: PLR2004 -- names repeat at about here
    return Customer(_identifier(seed, "tenant", number).upper(), f"{first} {second}{branch}{legal}")


def _identifier(*key: object) -> str:
    return str(uuid.UUID(int=int(chance(*key) * 2**64) << 64 | int(chance(*key, "low") * 2**64), version=4))
