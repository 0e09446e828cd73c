"""Rows of licence data, as used outside the wire layer."""

import math
from dataclasses import dataclass, field, fields
from enum import StrEnum
from typing import ClassVar, assert_never

from exporter.messages import Line
from exporter.model.totals import Breakdown, Labels

_DAY_SECONDS = 86_400.0


class SourceName(StrEnum):
    """What is polled: the label `source`, and the key below `sources` in the configuration."""

    USAGE = "usage"
    DEPLOYMENT = "deployment"


class Api(StrEnum):
    """Which API feeds a source: the label `api`, and the key of that name in the configuration."""

    LEGACY = "legacy"
    COMMERCIAL = "commercial"
    INSIGHTS = "insights"

    @property
    def stale_after_seconds(self) -> float:
        """The age from which its data counts as old.

        Insights has months, from their first day; one is complete about the 20th of the next.
        """
        match self:
            case Api.LEGACY | Api.COMMERCIAL:
                return 14 * _DAY_SECONDS
            case Api.INSIGHTS:
                return 75 * _DAY_SECONDS
            case _:
                assert_never(self)


class Dimension(StrEnum):
    """What counts can be broken down by: `detail` in the configuration. In the order of the labels."""

    CUSTOMER = "customer"
    PRODUCT = "product"

    @property
    def label(self) -> str:
        """The label that has the id."""
        return f"{self}_id"


class DropReason(StrEnum):
    """Why a row is not shown, or not in full: the label `reason` of partnercenter_rows_dropped_total.

    A row without one of its values (ratio and counts) is shown with what else it has.
    """

    INVALID = "invalid"
    DUPLICATE = "duplicate"
    LIMIT = "limit"
    NO_VALUE = "no_value"


@dataclass(frozen=True, slots=True)
class UsageRow:
    """Usage of one workload. `ratio` is 0 to 1 (a quirk of the API can exceed 1); times are Unix seconds.

    The legacy API gives no counts. `LICENCES` says what the two are, for people.
    """

    SOURCE: ClassVar = SourceName.USAGE
    LABELS: ClassVar = ("workload", "service", "channel")
    LICENCES: ClassVar[tuple[str, ...]] = ("in use", "qualified")

    workload: str
    service: str
    channel: str
    ratio: float | None = None
    processed_at: float | None = None
    active: float | None = None
    qualified: float | None = None

    @property
    def key(self) -> Labels:
        """The label values, which tell this row's series from the others."""
        return (self.workload, self.service, self.channel)

    @property
    def licences(self) -> tuple[float | None, ...]:
        """How many are in use, of how many."""
        return (self.active, self.qualified)


@dataclass(frozen=True, slots=True)
class DeploymentRow:
    """Deployment of one service: `ratio` 0 to 1, `sold` and `deployed` in licences; times are Unix seconds.

    The legacy API doesn't give `deployed`.
    """

    SOURCE: ClassVar = SourceName.DEPLOYMENT
    LABELS: ClassVar = ("service", "channel")
    LICENCES: ClassVar[tuple[str, ...]] = ("deployed", "sold")

    service: str
    channel: str
    ratio: float | None = None
    sold: float | None = None
    processed_at: float | None = None
    deployed: float | None = None

    @property
    def key(self) -> Labels:
        """The label values, which tell this row's series from the others."""
        return (self.service, self.channel)

    @property
    def licences(self) -> tuple[float | None, ...]:
        """How many are deployed, of how many sold."""
        return (self.deployed, self.sold)


Row = UsageRow | DeploymentRow
"""A row of any source."""


def row_type(source: SourceName) -> type[UsageRow] | type[DeploymentRow]:
    """Return the type of a source's rows."""
    match source:
        case SourceName.USAGE:
            return UsageRow
        case SourceName.DEPLOYMENT:
            return DeploymentRow
        case _:
            assert_never(source)


def has_value(row: Row) -> bool:
    """Return whether a row carries licence data at all, besides labels and dates."""
    return any(getattr(row, name) is not None for name in numbers_of(row) if name != "processed_at")


def is_blank(row: Row) -> bool:
    """Return whether a row carries nothing but labels."""
    return all(getattr(row, name) is None for name in numbers_of(row))


def numbers_of(row: Row) -> list[str]:
    """Return the names of a row's fields that hold a number where the API gave one."""
    return [field.name for field in fields(row) if field.name not in row.LABELS]


@dataclass(frozen=True, slots=True)
class Answer:
    """One complete answer of a source: its series, and how many rows were dropped for which reason.

    `usable` is how many rows the series were made of. With `keeps_breakdown`, the one that is shown stays. Where more
    is about to come, the next poll is due after `again_seconds`. `notes` are sentences that a person should read.
    """

    rows: tuple[Row, ...]
    dropped: dict[DropReason, int] = field(default_factory=dict)
    usable: int = 0
    breakdown: Breakdown | None = None
    keeps_breakdown: bool = False
    again_seconds: float = math.inf
    notes: tuple[Line, ...] = ()
