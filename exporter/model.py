"""What travels between the rooms: rows of licence data, and the states that people look at."""

from dataclasses import dataclass, field
from enum import StrEnum

from exporter.counts import Counts, Names


class DropReason(StrEnum):
    """Why a row is not shown: the label `reason` of partnercenter_rows_dropped_total."""

    INVALID = "invalid"
    DUPLICATE = "duplicate"
    LIMIT = "limit"


@dataclass(frozen=True, slots=True)
class Identity:
    """The application and tenant that a token or data belong to; compared whatever the case."""

    cloud: str
    tenant_id: str
    client_id: str

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Identity) and self._folded() == other._folded()

    def __hash__(self) -> int:
        return hash(self._folded())

    def _folded(self) -> tuple[str, str, str]:
        return (self.cloud, self.tenant_id.lower(), self.client_id.lower())


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


@dataclass(frozen=True, slots=True)
class Answer:
    """One complete answer of a source: its series, and how many rows were dropped for which reason.

    `usable` is how many rows the series were made of. With detail, `counts` has the sums for customers and
    products, to be drained once, and `names` theirs, by the label that has the id.
    """

    rows: tuple[UsageRow | DeploymentRow, ...]
    dropped: dict[DropReason, int] = field(default_factory=dict)
    usable: int = 0
    counts: Counts | None = None
    names: dict[str, Names] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Failure:
    """The last error of a poll or a sign-in, in words for a person."""

    reason: str
    message: str
    remedy: str = ""
    correlation_id: str = ""
    request_id: str = ""


@dataclass(frozen=True, slots=True)
class PollStatus:
    """Where one source of one partner stands. Times are Unix seconds; None is 'not yet'."""

    partner: str
    source: str
    api: str
    interval_seconds: float
    up: bool | None = None
    last_poll_at: float | None = None
    last_success_at: float | None = None
    next_poll_at: float | None = None
    last_duration_seconds: float | None = None
    rows: int | None = None
    failure: Failure | None = None
    stale: bool = False


@dataclass(frozen=True, slots=True)
class SignInStatus:
    """Where one partner's sign-in stands. Times are Unix seconds; None is 'not known'."""

    partner: str
    up: bool | None = None
    account: str | None = None
    token_issued_at: float | None = None
    token_expires_at: float | None = None
    credential_expires_at: float | None = None
    failure: Failure | None = None


@dataclass(frozen=True, slots=True)
class Shown:
    """One source as the status page shows it; `targets` gives the target ratio of each usage row."""

    status: PollStatus
    rows: tuple[UsageRow | DeploymentRow, ...]
    targets: tuple[float | None, ...]
