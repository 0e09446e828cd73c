"""One partner's access token: renewed with the stored refresh token, each rotation saved before use."""

import threading
from collections import Counter
from collections.abc import Mapping
from dataclasses import KW_ONLY, dataclass, replace
from typing import Any, Self

from exporter.auth.entra import EntraApplication, TokenGrant
from exporter.auth.refresh_tokens import RefreshTokens, renewed_record
from exporter.auth.refusal import KNOWN_ERRORS
from exporter.auth.token_store import TokenRecord
from exporter.clock import Clock
from exporter.errors import AuthenticationError, PollError, RefreshTokenRefused
from exporter.files import Signature, signature
from exporter.logs import Logger
from exporter.model.status import Failure, SignInStatus
from exporter.redaction import Secret

# learn.microsoft.com/entra/identity-platform/refresh-tokens: 90 days, not configurable.
REFRESH_TOKEN_LIFETIME_SECONDS = 90 * 86_400.0
# A valid access token hides a refused refresh token for an hour or more; renewing it more often than this
# would only load Entra ID.
_RENEWAL_INTERVAL_SECONDS = 900.0
# As MSAL does: a token that is about to expire may do so on its way. A short life has a smaller margin, or each
# request would need a new token.
_EXPIRY_MARGIN_SECONDS = 300.0
_EXPIRY_MARGIN_OF_LIFE = 0.5
# Several sources of a partner fail together; one refusal is answer enough for all of them.
_REFUSAL_LASTS_SECONDS = 30.0
# Who waits for as long as the server asks may wake a little early.
_EARLY_SECONDS = 0.01
# OAuth's codes with which Entra ID refuses the token or its account, not the application.
_TOKEN_REFUSED = ("invalid_grant", "interaction_required", "login_required", "consent_required")


@dataclass(frozen=True, slots=True)
class _Access:
    """An access token, and the files that it came from. Times are monotonic."""

    token: Secret
    renew_at: float
    use_until: float
    files: Signature

    @classmethod
    def of(cls, grant: TokenGrant, files: Signature, *, now: float) -> Self:
        """Return the token of a grant."""
        life = grant.lifetime_seconds
        use_until = now + life - min(_EXPIRY_MARGIN_SECONDS, life * _EXPIRY_MARGIN_OF_LIFE)
        return cls(grant.access_token, now + _RENEWAL_INTERVAL_SECONDS, use_until, files)


@dataclass(frozen=True, slots=True)
class _Refusal:
    """What it takes to raise the same error again: a new one, as each source adds its own poll to it.

    It holds until other files are there; where the server says Retry-After, `files` is None, and until then.
    """

    kind: type[PollError]
    arguments: Mapping[str, Any]
    expires_at: float
    files: Signature | None

    @classmethod
    def of(cls, error: PollError, files: Signature, *, now: float) -> Self | None:
        """Return what there is to remember of an error, if anything."""
        wait = error.retry_after_seconds
        if wait:
            return cls(type(error), error.arguments(), now + wait, None)
        if isinstance(error, AuthenticationError):
            return cls(type(error), error.arguments(), now + _REFUSAL_LASTS_SECONDS, files)
        return None

    def check(self, files: Signature, *, now: float) -> None:
        """Raise the error again while it holds."""
        left = self.expires_at - now
        if left > _EARLY_SECONDS and self.files in (None, files):
            wait = left if self.files is None else None
            raise self.kind(**{**self.arguments, "retry_after_seconds": wait})


@dataclass(eq=False)
class Authenticator:
    """Provides access tokens for one partner. Safe for threads: one renewal at a time."""

    entra: EntraApplication
    tokens: RefreshTokens
    _: KW_ONLY
    clock: Clock
    log: Logger

    def __post_init__(self) -> None:
        self._lock = threading.Lock()
        self._access: _Access | None = None
        self._refusal: _Refusal | None = None
        self._refused_token: str | None = None
        self._api_refuses = False
        self._seen_files = self._files()
        # The newest state, for metrics and pages; any thread may read it.
        partner = self.entra.registration.partner
        self.status = SignInStatus(partner=partner, credential_expires_at=self._credential_expiry())
        self.failures: Counter[str] = Counter()

    def refresh_if_due(self) -> None:
        """Renew the token, unless that was done within 15 minutes; raises PollError.

        A token, seed or credential that somebody replaced is used at once. If Entra ID can't be reached, an
        access token that is still valid is kept.
        """
        with self._lock:
            access = self._access
            if access and self.clock.monotonic() < access.renew_at and access.files == self._files():
                return
            try:
                self._renew()
            except PollError as error:  # after a refusal no access token is left
                if not self._valid_access():
                    raise
                self.log.warning("token renewal failed, keeping the previous one", error=error.message)

    def access_token(self, *, rejected: Secret | None = None) -> Secret:
        """Return a token that is valid for a while and was not rejected; raises PollError."""
        with self._lock:
            access = self._valid_access()
            return (access if access and access.token != rejected else self._renew()).token

    def report_api(self, error: PollError | None) -> None:
        """Note whether the API accepts the sign-in: only the API sees missing MFA."""
        with self._lock:
            self._api_refuses = error is not None
            if error is not None or self._access is not None:
                self._set_status(error)

    def retry_save(self) -> None:
        """Try again to store a token that could not be written, unless a renewal is running, which does so itself."""
        if not self._lock.acquire(blocking=False):
            return
        try:
            if self.tokens.save_again():
                self._seen_files = self._with_our_token(self._seen_files)
        finally:
            self._lock.release()

    def inherit(self, predecessor: "Authenticator") -> None:
        """Take over the state of a predecessor for the same application, and share its tokens and counters.

        This waits for nothing. A renewal that the predecessor has under way, which may take as long as a
        request, counts its failure and keeps its token where this one finds them.
        """
        if predecessor.entra.registration.identity != self.entra.registration.identity:
            return
        self.tokens.memory = predecessor.tokens.memory
        self.failures = predecessor.failures
        # The status first: whatever changes meanwhile is newer than it, and the next renewal brings them together.
        self.status = replace(predecessor.status, credential_expires_at=self.status.credential_expires_at)
        self._refusal = predecessor._refusal  # noqa: SLF001  one of our own kind
        self._refused_token = predecessor._refused_token  # noqa: SLF001  likewise
        self._api_refuses = predecessor._api_refuses  # noqa: SLF001  likewise

    def changed_on_disk(self) -> bool:
        """Return whether somebody else replaced a token, seed or credential since the last call.

        During a renewal the change may be our own: the next call reports it.
        """
        if not self._lock.acquire(blocking=False):
            return False
        try:
            previous, self._seen_files = self._seen_files, self._files()
            return previous != self._seen_files
        finally:
            self._lock.release()

    def _files(self) -> Signature:
        return signature(*self.tokens.files, *self.entra.credential.files())

    def _with_our_token(self, files: Signature) -> Signature:
        """Return an earlier signature but for the stored token, which this program has just written."""
        return (*signature(self.tokens.files[0]), *files[1:])

    def _valid_access(self) -> _Access | None:
        access = self._access
        return access if access and self.clock.monotonic() < access.use_until else None

    def _renew(self) -> _Access:
        """Redeem the refresh token, save its successor, and only then use the access token."""
        files = self._files()
        if self._refusal:
            self._refusal.check(files, now=self.clock.monotonic())
        try:
            record, grant = self._redeem()
        except PollError as error:
            self._note_failure(error, files)
            raise
        self._refusal = None
        if self.tokens.save(renewed_record(record, grant, now=self.clock.time())):
            # Our own write is not a change by somebody else.
            self._seen_files = self._with_our_token(self._seen_files)
            files = self._with_our_token(files)
        self._access = _Access.of(grant, files, now=self.clock.monotonic())
        if not self._api_refuses:
            self._set_status(None)
        return self._access

    def _note_failure(self, error: PollError, files: Signature) -> None:
        self._refusal = _Refusal.of(error, files, now=self.clock.monotonic())
        if isinstance(error, AuthenticationError):
            self._access = None
            self.failures[error.error if error.error in KNOWN_ERRORS else "other"] += 1
            self._set_status(error)

    def _redeem(self) -> tuple[TokenRecord, TokenGrant]:
        record = self.tokens.next()
        try:
            return record, self.entra.redeem(record.secret)
        except AuthenticationError as error:
            token_refused = isinstance(error, RefreshTokenRefused) or error.error in _TOKEN_REFUSED
            seed = self.tokens.fresh_seed(record) if token_refused else None
            if seed is None:
                raise
            return seed, self.entra.redeem(seed.secret)

    def _set_status(self, error: PollError | None) -> None:
        """Show whether the sign-in works. A refused refresh token no longer has an issue date."""
        current = self.tokens.current
        if error is None:
            self._refused_token = None
        elif isinstance(error, RefreshTokenRefused) and current is not None:
            self._refused_token = current.refresh_token
        issued_at = current.issued_at if current and current.refresh_token != self._refused_token else None
        self.status = SignInStatus(
            partner=self.entra.registration.partner,
            up=error is None,
            account=current.account if current else None,
            token_issued_at=issued_at,
            token_expires_at=None if issued_at is None else issued_at + REFRESH_TOKEN_LIFETIME_SECONDS,
            credential_expires_at=self._credential_expiry(),
            failure=None if error is None else Failure.of(error),
        )

    def _credential_expiry(self) -> float | None:
        try:
            return self.entra.credential.expiry()
        except AuthenticationError:
            return None
