"""The error tree. Each class says what failed, whether a retry can help, and what to do about it.

ExporterError
├── ConfigurationError        the configuration or a flag is wrong (exit status 2)
├── ListenError               an address can't be listened on
├── StateError                the state directory can't be read or written
│   └── TokenStoreError       a stored token can't be trusted, and so is neither used nor overwritten
├── PollAborted               the exporter is stopping
└── PollError                 a poll failed; `reason` is the label on partnercenter_poll_failures_total
    ├── AuthenticationError   auth         Entra ID or the API refuses the sign-in
    │   ├── RefreshTokenRefused            … because the refresh token is dead
    │   └── MfaRequired       mfa          … because it lacks a second factor
    ├── Forbidden             forbidden    403
    ├── NotFound              not_found    404, 410
    ├── Rejected              rejected     any other 4xx, a redirect, a link to a foreign origin
    ├── Throttled             throttled    429                                        (retried)
    ├── Unavailable           unavailable  5xx, 204                                   (retried)
    ├── UpstreamTimeout       timeout      408, no answer in time                     (retried)
    ├── NetworkError          network      no connection, TLS, reset                  (retried)
    ├── PayloadError          payload      an answer that can't be used
    │   └── TruncatedBody                  … because the connection ended in its middle (retried)
    └── InternalError         internal     a fault in this program
"""

from dataclasses import dataclass
from enum import StrEnum
from typing import ClassVar, Self


class Reason(StrEnum):
    """Why a poll failed: the label `reason` of partnercenter_poll_failures_total."""

    AUTH = "auth"
    MFA = "mfa"
    FORBIDDEN = "forbidden"
    NOT_FOUND = "not_found"
    REJECTED = "rejected"
    THROTTLED = "throttled"
    UNAVAILABLE = "unavailable"
    TIMEOUT = "timeout"
    NETWORK = "network"
    PAYLOAD = "payload"
    INTERNAL = "internal"


class ExporterError(Exception):
    """Anything that this program reports in one line: what is wrong, and how to mend it."""

    def __init__(self, message: str, *, remedy: str = "") -> None:
        # Foreign words may hold what can't be written as UTF-8: no log, page or state file must fail of it.
        self.message = message.encode("utf-8", "replace").decode()
        self.remedy = remedy
        super().__init__(self.message)


@dataclass(frozen=True, slots=True, order=True)
class Problem:
    """One mistake in a configuration: where it stands, what is wrong and how to mend it."""

    line: int
    path: str
    message: str

    def __str__(self) -> str:
        return f"{self.path}: {self.message}" if self.path else self.message


class ConfigurationError(ExporterError):
    """The configuration is wrong; `problems` holds every mistake that was found."""

    def __init__(self, source: str, problems: tuple[Problem, ...]) -> None:
        lines = (
            f"{source}:{problem.line}: {problem}" if problem.line else f"{source}: {problem}"
            for problem in problems
        )
        super().__init__("\n".join(lines))
        self.problems = problems


class ListenError(ExporterError):
    """An address can't be listened on: in use, not this machine's, or not allowed."""


class StateError(ExporterError):
    """The state directory can't be read or written."""


class TokenStoreError(StateError):
    """A stored token is corrupt, foreign-owned or open to others; it stays as it is."""


class PollAborted(ExporterError):
    """The exporter is stopping; the poll under way is given up."""

    def __init__(self) -> None:
        super().__init__("stopped during a poll")


@dataclass(frozen=True, slots=True)
class Exchange:
    """The request that an error is about: what to look for in logs, and to quote to Microsoft's support."""

    endpoint: str = ""
    status: int | None = None
    correlation_id: str = ""
    request_id: str = ""


class PollError(ExporterError):
    """A poll failed. `retry_after_seconds` is the upstream's wish, None where it gave none."""

    reason: ClassVar[Reason] = Reason.INTERNAL
    retryable: ClassVar[bool] = False

    def __init__(
        self,
        message: str,
        *,
        remedy: str = "",
        exchange: Exchange | None = None,
        retry_after_seconds: float | None = None,
    ) -> None:
        super().__init__(message, remedy=remedy)
        self.exchange = exchange or Exchange()
        self.retry_after_seconds = retry_after_seconds

    def at(self, exchange: Exchange) -> Self:
        """Return this error with the request that it is about."""
        self.exchange = exchange
        return self


class AuthenticationError(PollError):
    """Entra ID or the API refuses the sign-in. `error` is OAuth's word for it, `codes` the AADSTS numbers."""

    reason = Reason.AUTH

    def __init__(
        self,
        message: str,
        *,
        remedy: str = "",
        exchange: Exchange | None = None,
        error: str = "",
        codes: tuple[int, ...] = (),
    ) -> None:
        super().__init__(message, remedy=remedy, exchange=exchange)
        self.error = error
        self.codes = codes


class RefreshTokenRefused(AuthenticationError):
    """The refresh token is expired, revoked or malformed; only a new sign-in helps."""


class MfaRequired(AuthenticationError):
    """The sign-in lacks a second factor, or Entra ID wants it anew."""

    reason = Reason.MFA


class Forbidden(PollError):
    """The API knows who asks, and refuses."""

    reason = Reason.FORBIDDEN


class NotFound(PollError):
    """The API has nothing at this path."""

    reason = Reason.NOT_FOUND


class Rejected(PollError):
    """The API refuses the request itself, or points elsewhere."""

    reason = Reason.REJECTED


class Throttled(PollError):
    """Too many requests."""

    reason = Reason.THROTTLED
    retryable = True


class Unavailable(PollError):
    """The upstream has a fault of its own."""

    reason = Reason.UNAVAILABLE
    retryable = True


class UpstreamTimeout(PollError):
    """No complete answer came in time."""

    reason = Reason.TIMEOUT
    retryable = True


class NetworkError(PollError):
    """No connection, a TLS failure, or a connection that broke before the answer."""

    reason = Reason.NETWORK
    retryable = True


class PayloadError(PollError):
    """The answer came and can't be used."""

    reason = Reason.PAYLOAD


class TruncatedBody(PayloadError):
    """The connection ended in the middle of the answer."""

    retryable = True


class InternalError(PollError):
    """A fault in this program; please report it."""

    reason = Reason.INTERNAL
