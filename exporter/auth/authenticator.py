"""One partner's access token: renewed with the stored refresh token, each rotation saved before use."""

import threading
from collections import Counter
from dataclasses import KW_ONLY, dataclass, replace

from exporter.auth.access import Access, Refusal
from exporter.auth.entra import EntraApplication, TokenGrant
from exporter.auth.refresh_tokens import RefreshTokens, renewed_record
from exporter.auth.refusal import KNOWN_ERRORS
from exporter.auth.sign_in_record import SignInRecord, SignInRecords, token_digest
from exporter.auth.token_store import TokenRecord
from exporter.clock import Clock
from exporter.errors import AuthenticationError, PollError, RefreshTokenRefused
from exporter.files import Signature, signature
from exporter.logs import Logger
from exporter.model.status import Failure, SignInStatus
from exporter.redaction import Secret

# learn.microsoft.com/entra/identity-platform/refresh-tokens: 90 days, not configurable.
REFRESH_TOKEN_LIFETIME_SECONDS = 90 * 86_400.0
# OAuth's codes with which Entra ID refuses the token or its account, not the application.
_TOKEN_REFUSED = ("invalid_grant", "interaction_required", "login_required", "consent_required")


@dataclass(eq=False)
class Authenticator:
    """Provides access tokens for one partner. Safe for threads: one renewal at a time."""

    entra: EntraApplication
    tokens: RefreshTokens
    _: KW_ONLY
    records: SignInRecords
    clock: Clock
    log: Logger

    def __post_init__(self) -> None:
        self._lock = threading.Lock()
        self._access: Access | None = None
        self._refusal: Refusal | None = None
        self._refused_token: str | None = None
        self._api_refuses = False
        self._seen_files = self._files()
        # The newest state, for metrics and pages; any thread may read it.
        partner = self.entra.registration.partner
        self.status = SignInStatus(partner=partner, credential_expires_at=self._credential_expiry())
        self.failures = Counter(dict.fromkeys((*KNOWN_ERRORS, "other"), 0))

    def restore(self) -> None:
        """Show what an earlier run knew: the stored token's dates, and whether it was accepted. Reads files only."""
        self.tokens.restore()
        current, record = self.tokens.current, self.records.load()
        if record is not None and record.token_digest == token_digest(current):
            self._api_refuses = record.api_refuses
            self._refused_token = current.refresh_token if current and record.token_refused else None
            self.status = replace(self.status, mfa_compliant=record.mfa_compliant)
            self._show(up=record.up, failure=record.failure)
        else:
            # Another program, such as `login`, has stored it: only Entra ID's answer to a sign-in sets the date.
            self._show(up=True if current and current.issued_at is not None else None, failure=None)

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

    def report_mfa(self, *, compliant: bool) -> None:
        """Note whether the API takes the sign-in for one with MFA."""
        with self._lock:
            if compliant is not self.status.mfa_compliant:
                self.status = replace(self.status, mfa_compliant=compliant)
                self._save_record()

    @property
    def requests(self) -> Counter[str]:
        """The requests to Entra ID so far, by HTTP status."""
        return self.entra.http.requests

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
        self.tokens.store, self.tokens.memory = predecessor.tokens.store, predecessor.tokens.memory
        self.failures, self.entra.http.requests = predecessor.failures, predecessor.entra.http.requests
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
        return (*self.tokens.signature(), *signature(*self.entra.credential.files()))

    def _with_our_token(self, files: Signature) -> Signature:
        """Return an earlier signature but for the stored token, which this program has just written."""
        return (*self.tokens.store.signature(), *files[1:])

    def _valid_access(self) -> Access | None:
        access = self._access
        return access if access and self.clock.monotonic() < access.use_until else None

    def _renew(self) -> Access:
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
        self._access = Access.of(grant, files, now=self.clock.monotonic())
        if self._api_refuses:
            self._show(up=False, failure=self.status.failure)
            self._save_record()
        else:
            self._set_status(None)
        return self._access

    def _note_failure(self, error: PollError, files: Signature) -> None:
        self._refusal = Refusal.of(error, files, now=self.clock.monotonic())
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
        self._show(up=error is None, failure=None if error is None else Failure.of(error))
        self._save_record()

    def _show(self, *, up: bool | None, failure: Failure | None) -> None:
        current = self.tokens.current
        issued_at = current.issued_at if current and current.refresh_token != self._refused_token else None
        self.status = SignInStatus(
            partner=self.entra.registration.partner,
            up=up,
            account=current.account if current else None,
            token_issued_at=issued_at,
            token_expires_at=None if issued_at is None else issued_at + REFRESH_TOKEN_LIFETIME_SECONDS,
            credential_expires_at=self._credential_expiry(),
            mfa_compliant=self.status.mfa_compliant,
            failure=failure,
        )

    def _save_record(self) -> None:
        current = self.tokens.current
        self.records.save(
            SignInRecord(
                identity=self.entra.registration.identity,
                token_digest=token_digest(current),
                up=bool(self.status.up),
                token_refused=current is not None and current.refresh_token == self._refused_token,
                api_refuses=self._api_refuses,
                mfa_compliant=self.status.mfa_compliant,
                failure=self.status.failure,
            )
        )

    def _credential_expiry(self) -> float | None:
        try:
            return self.entra.credential.expiry()
        except AuthenticationError:
            return None
