"""The states of sources and sign-ins: what metrics, pages and state files are made of."""

from dataclasses import dataclass, replace
from typing import Self

from exporter.errors import NOTHING, PollError
from exporter.messages import Line
from exporter.model.chart import Chart
from exporter.model.rows import Api, SourceName


@dataclass(frozen=True, slots=True)
class Identity:
    """The application and tenant that a token or data belongs to; case is ignored when comparing."""

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
class Failure:
    """The last error of a poll or a sign-in, as a person reads it."""

    reason: str
    message: Line
    remedy: Line = NOTHING
    correlation_id: Line = NOTHING
    request_id: Line = NOTHING

    @classmethod
    def of(cls, error: PollError) -> Self:
        """Return the failure that an error is shown as."""
        exchange = error.exchange
        return cls(str(error.reason), error.message, error.remedy, exchange.correlation_id, exchange.request_id)


@dataclass(frozen=True, slots=True)
class PollStatus:
    """The state of one source of one partner. Times are Unix seconds; None is 'not yet'.

    `stale` means that its data was withdrawn because of its age; `notes` are those of the last good answer.
    """

    partner: str
    source: SourceName
    api: Api
    interval_seconds: float
    max_series: int | None = None
    in_progress: bool = False
    up: bool | None = None
    last_poll_at: float | None = None
    last_success_at: float | None = None
    next_poll_at: float | None = None
    last_duration_seconds: float | None = None
    rows: int | None = None
    failure: Failure | None = None
    failures_in_a_row: int = 0
    stale: bool = False
    notes: tuple[Line, ...] = ()

    def scheduled(self, *, at: float) -> Self:
        """Return the status with the time of the next poll."""
        return replace(self, next_poll_at=at)

    def started(self, *, at: float) -> Self:
        """Return the status as a poll starts."""
        return replace(self, last_poll_at=at, in_progress=True)

    def succeeded(self, *, at: float, rows: int, duration_seconds: float, notes: tuple[Line, ...] = ()) -> Self:
        """Return the status after a poll with this many usable rows."""
        return replace(
            self,
            in_progress=False,
            up=True,
            last_success_at=at,
            last_duration_seconds=duration_seconds,
            rows=rows,
            failure=None,
            failures_in_a_row=0,
            stale=False,
            notes=notes,
        )

    def failed(self, failure: Failure, *, duration_seconds: float) -> Self:
        """Return the status after a failed poll; `rows` stays that of the last good one."""
        return replace(
            self,
            in_progress=False,
            up=False,
            last_duration_seconds=duration_seconds,
            failure=failure,
            failures_in_a_row=self.failures_in_a_row + 1,
        )

    def withdrawn(self) -> Self:
        """Return the status once the data is no longer shown."""
        return replace(self, stale=True)


@dataclass(frozen=True, slots=True)
class SignInStatus:
    """The state of one partner's sign-in. Times are Unix seconds; None is 'not known'.

    `mfa_compliant` is whether Partner Center last took it for one with MFA.
    """

    partner: str
    up: bool | None = None
    account: Line | None = None
    token_issued_at: float | None = None
    token_expires_at: float | None = None
    credential_expires_at: float | None = None
    failure: Failure | None = None
    mfa_compliant: bool | None = None


@dataclass(frozen=True, slots=True)
class SourceView:
    """One source as the status page shows it; without a chart where it has no rows."""

    status: PollStatus
    chart: Chart | None = None
