"""The error tree. Each class says what failed, whether a retry can help, and what to do about it.

A message is a `Line`, which text from outside becomes only through what redacts it.

ExporterError
├── ConfigurationError        the configuration or a flag is wrong (exit status 2)
├── ListenError               can't listen on an address
├── StateError                the state directory can't be read or written
│   └── TokenStoreError       a stored token can't be trusted, so it is neither used nor overwritten
├── PollAborted               the exporter is stopping
└── PollError                 a poll failed; `reason` is the label on partnercenter_poll_failures_total
    ├── AuthenticationError   auth         Entra ID or the API refuses the sign-in
    │   ├── RefreshTokenRefused            … because the refresh token is no longer valid
    │   └── MfaRequired       mfa          … because it lacks MFA
    ├── Forbidden             forbidden    403
    ├── NotFound              not_found    404, 410
    ├── Rejected              rejected     any other 4xx, a redirect, a link to another origin
    ├── Throttled             throttled    429                                        (retried)
    ├── Unavailable           unavailable  5xx, 204                                   (retried)
    ├── UpstreamTimeout       timeout      408, no response in time                   (retried)
    ├── NetworkError          network      no connection, TLS, reset                  (retried)
    ├── PayloadError          payload      a response that can't be used
    │   └── TruncatedBody                  … because the connection closed halfway    (retried)
    └── InternalError         internal     a bug in this program
"""

from dataclasses import dataclass
from enum import StrEnum
from typing import Any, ClassVar, Self

from exporter.local_text import local_text
from exporter.messages import Line, joined, line

# What to do about an error that passes by itself.
RETRIED = line("wait: the next poll tries again")
# The command that signs in again, for `for_partner` to fill in.
LOGIN = line("partnercenter-exporter login --partner {partner}")
NOTHING = line("")
_MAX_PROBLEM = 2_000


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
    """Anything that this program reports in one line: what is wrong, and how to fix it.

    It never changes: what is learned on the way up goes into a new error, raised `from` this one.
    """

    def __init__(self, message: Line, *, remedy: Line = NOTHING) -> None:
        self.message = message
        self.remedy = remedy
        super().__init__(message)

    def __setattr__(self, name: str, value: object) -> None:
        """Set an attribute once. Python's own, such as `__traceback__`, stay open to Python."""
        if not name.startswith("__") and hasattr(self, name):
            raise AttributeError(f"{name} of a {type(self).__name__} can't be changed: raise a new error")
        super().__setattr__(name, value)


@dataclass(frozen=True, slots=True, order=True)
class Problem:
    """One mistake in a configuration: where it is, what is wrong and how to fix it."""

    line: int
    path: str
    message: str

    def __str__(self) -> str:
        # Where it stands and what it says are partly the operator's own words, control characters included.
        return local_text(f"{self.path}: {self.message}" if self.path else self.message, limit=_MAX_PROBLEM)


class ConfigurationError(ExporterError):
    """The configuration is wrong; `problems` holds every mistake that was found, `located` each with its file.

    `also` is what is wrong with another file.
    """

    def __init__(self, source: str, problems: tuple[Problem, ...], *, also: "ConfigurationError | None" = None) -> None:
        located = (*((source, problem) for problem in problems), *(also.located if also else ()))
        lines = (f"{file}:{p.line}: {p}" if p.line else f"{file}: {p}" for file, p in located)
        super().__init__(joined(local_text(text, limit=_MAX_PROBLEM) for text in lines))
        self.problems = tuple(problem for _, problem in located)
        self.located: tuple[tuple[str, Problem], ...] = located


class ListenError(ExporterError):
    """Can't listen on an address: in use, not this machine's, or not allowed."""


class StateError(ExporterError):
    """The state directory can't be read or written."""


class TokenStoreError(StateError):
    """A stored token is corrupt, someone else's or readable by everyone; it stays as it is."""


class PollAborted(ExporterError):
    """The exporter is stopping; the current poll is abandoned."""

    def __init__(self) -> None:
        super().__init__(line("stopped during a poll"))


@dataclass(frozen=True, slots=True)
class Exchange:
    """The request that an error is about: what to search logs for, and to quote to Microsoft support."""

    endpoint: Line = NOTHING
    status: int | None = None
    correlation_id: Line = NOTHING
    request_id: Line = NOTHING


class PollError(ExporterError):
    """A poll failed; `retry_after_seconds` if the upstream says so, `error` if a sign-in was refused (OAuth's code)."""

    reason: ClassVar[Reason] = Reason.INTERNAL
    retryable: ClassVar[bool] = False

    def __init_subclass__(cls, *, reason: Reason | None = None, retryable: bool = False) -> None:
        super().__init_subclass__()
        cls.reason = reason or cls.reason
        cls.retryable = retryable

    def __init__(
        self,
        message: Line,
        *,
        remedy: Line = NOTHING,
        exchange: Exchange = Exchange(),
        retry_after_seconds: float | None = None,
        error: str = "",
    ) -> None:
        super().__init__(message, remedy=remedy)
        self.exchange = exchange
        self.error = error
        self.retry_after_seconds = retry_after_seconds

    def arguments(self) -> dict[str, Any]:
        """Return the constructor's arguments: `type(error)(**error.arguments())` is an equal, new error."""
        return {name: value for name, value in vars(self).items() if not name.startswith("__")}

    def replace(
        self, *, message: Line | None = None, remedy: Line | None = None, exchange: Exchange | None = None
    ) -> Self:
        """Return a new error with some of them changed, to be raised `from` this one."""
        changes = {"message": message, "remedy": remedy, "exchange": exchange}
        return type(self)(**{**self.arguments(), **{name: fact for name, fact in changes.items() if fact is not None}})


class AuthenticationError(PollError, reason=Reason.AUTH):
    """Entra ID or the API refuses the sign-in."""


class RefreshTokenRefused(AuthenticationError):
    """The refresh token is expired, revoked or malformed; only a new sign-in helps."""


class MfaRequired(AuthenticationError, reason=Reason.MFA):
    """The sign-in lacks MFA, or Entra ID asks for it again."""


class Forbidden(PollError, reason=Reason.FORBIDDEN):
    """The API knows who is asking, and refuses."""


class NotFound(PollError, reason=Reason.NOT_FOUND):
    """The API has nothing at this path."""


class Rejected(PollError, reason=Reason.REJECTED):
    """The API refuses the request itself, or points elsewhere."""


class Throttled(PollError, reason=Reason.THROTTLED, retryable=True):
    """Too many requests."""


class Unavailable(PollError, reason=Reason.UNAVAILABLE, retryable=True):
    """The upstream has a problem of its own."""


class UpstreamTimeout(PollError, reason=Reason.TIMEOUT, retryable=True):
    """No complete response in time."""


class NetworkError(PollError, reason=Reason.NETWORK, retryable=True):
    """No connection, a TLS failure, or a connection closed before the response."""


class PayloadError(PollError, reason=Reason.PAYLOAD):
    """The response can't be used."""


class TruncatedBody(PayloadError, retryable=True):
    """The connection closed in the middle of the response."""


class InternalError(PollError):
    """A bug in this program; please report it."""
