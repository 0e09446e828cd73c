"""Where sources and sign-ins stand: what metrics, pages and state files are made of."""

from dataclasses import dataclass, replace

from exporter.errors import PollError
from exporter.model.rows import Api, Row, SourceName


@dataclass(frozen=True, slots=True)
class Identity:
    """The application and tenant that a token or data belong to; compared case-insensitively."""

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
    """The last error of a poll or a sign-in, for a person to read."""

    reason: str
    message: str
    remedy: str = ""
    correlation_id: str = ""
    request_id: str = ""

    @classmethod
    def of(cls, error: PollError) -> "Failure":
        """Return what is shown of an error."""
        exchange = error.exchange
        return cls(
            str(error.reason), error.message, error.remedy, exchange.correlation_id, exchange.request_id
        )


@dataclass(frozen=True, slots=True)
class PollStatus:
    """Where one source of one partner stands. Times are Unix seconds; None is 'not yet'.

    `stale` tells that the data was withdrawn because it was too old. Each method returns the status after an
    event; none of them changes this one.
    """

    partner: str
    source: SourceName
    api: Api
    interval_seconds: float
    up: bool | None = None
    last_poll_at: float | None = None
    last_success_at: float | None = None
    next_poll_at: float | None = None
    last_duration_seconds: float | None = None
    rows: int | None = None
    failure: Failure | None = None
    stale: bool = False

    def started(self, at: float) -> "PollStatus":
        """Note that a poll has started."""
        return replace(self, last_poll_at=at)

    def succeeded(self, *, at: float, duration_seconds: float, rows: int) -> "PollStatus":
        """Note that the poll has succeeded."""
        return replace(
            self,
            up=True,
            last_success_at=at,
            last_duration_seconds=duration_seconds,
            rows=rows,
            failure=None,
            stale=False,
        )

    def failed(self, failure: Failure, *, duration_seconds: float) -> "PollStatus":
        """Note that the poll has failed; the data stays."""
        return replace(self, up=False, last_duration_seconds=duration_seconds, failure=failure)

    def scheduled(self, at: float) -> "PollStatus":
        """Note when the next poll is due."""
        return replace(self, next_poll_at=at)

    def withdrawn(self) -> "PollStatus":
        """Note that the data was too old."""
        return replace(self, stale=True)


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
    """One source as the status page shows it; `targets` gives the target ratio of each row."""

    status: PollStatus
    rows: tuple[Row, ...]
    targets: tuple[float | None, ...]
