"""Where sources and sign-ins stand: what metrics, pages and state files are made of."""

from dataclasses import dataclass

from exporter.model.rows import Row


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
    rows: tuple[Row, ...]
    targets: tuple[float | None, ...]
