"""Rows of licence data, as every room but the wire knows them."""

from dataclasses import dataclass, field
from enum import StrEnum

from exporter.counts import Counts, Names


class SourceName(StrEnum):
    """What is polled: the label `source`, and the key below `sources` in the configuration."""

    USAGE = "usage"
    DEPLOYMENT = "deployment"


class Api(StrEnum):
    """Which API feeds a source: the label `api`, and the key of that name in the configuration."""

    LEGACY = "legacy"
    COMMERCIAL = "commercial"


class Dimension(StrEnum):
    """What counts may be broken down by: the values of `detail` in the configuration."""

    CUSTOMER = "customer"
    PRODUCT = "product"


class DropReason(StrEnum):
    """Why a row is not shown: the label `reason` of partnercenter_rows_dropped_total."""

    INVALID = "invalid"
    DUPLICATE = "duplicate"
    LIMIT = "limit"


@dataclass(frozen=True, slots=True)
class UsageRow:
    """Use of one workload. `ratio` is 0 to 1 (a quirk of the API can pass 1); times are Unix seconds.

    The legacy API gives no counts.
    """

    workload: str
    service: str
    channel: str
    ratio: float | None = None
    processed_at: float | None = None
    active: float | None = None
    qualified: float | None = None

    @property
    def key(self) -> tuple[str, ...]:
        """What tells this row's series from the others."""
        return (self.workload, self.service, self.channel)

    @property
    def licences(self) -> tuple[float | None, float | None]:
        """How many are in use, of how many."""
        return (self.active, self.qualified)

    @property
    def measured(self) -> bool:
        """Whether the row carries licence data at all, beside labels and dates."""
        return any(value is not None for value in (self.ratio, *self.licences))


@dataclass(frozen=True, slots=True)
class DeploymentRow:
    """Deployment of one service: `ratio` 0 to 1, `sold` and `deployed` in licences; times are Unix seconds.

    The legacy API doesn't give `deployed`.
    """

    service: str
    channel: str
    ratio: float | None = None
    sold: float | None = None
    processed_at: float | None = None
    deployed: float | None = None

    @property
    def key(self) -> tuple[str, ...]:
        """What tells this row's series from the others."""
        return (self.service, self.channel)

    @property
    def licences(self) -> tuple[float | None, float | None]:
        """How many are deployed, of how many sold."""
        return (self.deployed, self.sold)

    @property
    def measured(self) -> bool:
        """Whether the row carries licence data at all, beside labels and dates."""
        return any(value is not None for value in (self.ratio, *self.licences))


Row = UsageRow | DeploymentRow
"""A row of any source."""


@dataclass(frozen=True, slots=True)
class Answer:
    """One complete answer of a source: its series, and how many rows were dropped for which reason.

    `usable` is how many rows the series were made of. With detail, `counts` has the sums for customers and
    products, to be drained once, and `names` theirs, by the label that has the id.
    """

    rows: tuple[Row, ...]
    dropped: dict[DropReason, int] = field(default_factory=dict)
    usable: int = 0
    counts: Counts | None = None
    names: dict[str, Names] = field(default_factory=dict)
