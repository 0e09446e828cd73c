"""One partner's access token: renewed from the stored refresh token, each rotation saved before use."""

import threading
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from exporter.auth.aadsts import KNOWN_ERRORS
from exporter.auth.entra import EntraApplication, TokenGrant
from exporter.auth.refresh_tokens import RefreshTokens, renewed_record
from exporter.auth.token_store import TokenRecord, TokenStore
from exporter.clock import Clock
from exporter.errors import AuthenticationError, PollError, RefreshTokenRefused
from exporter.files import Signature, signature
from exporter.logs import Logger
from exporter.model import Failure, SignInStatus
from exporter.redaction import Secret

# learn.microsoft.com/entra/identity-platform/refresh-tokens: 90 days, not configurable.
REFRESH_TOKEN_LIFETIME_SECONDS = 90 * 86_400.0
# A living access token hides a dead refresh token for an hour or more; asking more often than this
# would only load Entra ID.
_PROOF_INTERVAL_SECONDS = 900.0
# As MSAL does: a token about to end may end on its way.
_EXPIRY_MARGIN_SECONDS = 300.0
# Several sources of a partner fail together; one refusal is answer enough for all of them.
_REFUSAL_HOLDS_SECONDS = 30.0
# The words with which Entra ID refuses the token or its account, not the application.
_GRANT_REFUSED = ("invalid_grant", "interaction_required", "login_required", "consent_required")


@dataclass(frozen=True, slots=True)
class _Access:
    token: Secret
    obtained_at: float
    ends_at: float
    signature: Signature


@dataclass(frozen=True, slots=True)
class _Refusal:
    """What is needed to raise the same error anew: each source adds the poll that it fails."""

    kind: type[AuthenticationError]
    facts: Mapping[str, Any]
    cause: Signature
    at: float


class Authenticator:
    """Gives out access tokens of one partner. Safe for threads: one renewal at a time."""

    def __init__(
        self, entra: EntraApplication, store: TokenStore, *, seed_file: Path | None, clock: Clock, log: Logger
    ) -> None:
        self._entra = entra
        self._tokens = RefreshTokens(entra.registration, store, seed_file=seed_file, log=log)
        self._clock = clock
        self._log = log
        self._lock = threading.Lock()
        self._access: _Access | None = None
        self._refusal: _Refusal | None = None
        self._dead_token: str | None = None
        self._api_refuses = False
        self._seen = self._signature()
        self._status = SignInStatus(partner=entra.registration.partner)
        self.failures: dict[str, int] = {}

    @property
    def status(self) -> SignInStatus:
        """The newest state, for metrics and pages; any thread may read it."""
        return self._status

    @property
    def unsaved(self) -> bool:
        """Whether a token is in memory only, because it could not be written."""
        return self._tokens.unsaved

    def prove(self) -> None:
        """At the start of a poll: renew, unless that was done within 15 minutes. Raises PollError.

        A token, seed or credential that somebody replaced is tried at once.
        Where Entra ID can't be reached, a token with life left serves on.
        """
        with self._lock:
            if self._proven():
                return
            try:
                self._renew()
            except AuthenticationError:
                raise
            except PollError as error:
                if not self._alive():
                    raise
                self._log.warning("token renewal failed, the old one serves on", error=error.message)

    def access_token(self) -> Secret:
        """Return a token with at least five minutes of life; raises PollError."""
        with self._lock:
            if not self._alive():
                self._renew()
            return self._current()

    def renew(self, rejected: Secret) -> Secret:
        """Return another token than the one that the API rejected; raises PollError."""
        with self._lock:
            if self._access is None or self._access.token == rejected:
                self._renew()
            return self._current()

    def report_api(self, error: PollError | None) -> None:
        """Note whether the API accepts the sign-in: it alone sees a missing second factor."""
        with self._lock:
            self._api_refuses = error is not None
            if error is not None:
                self._set_refused(error)
            elif self._access is not None:
                self._set_accepted(self._status.account)

    def save_again(self) -> None:
        """Try once more to store a token that could not be written; failures are logged.

        A renewal under way does that itself, and is not waited for.
        """
        if not self._lock.acquire(blocking=False):
            return
        try:
            if self.unsaved and self._tokens.current is not None:
                self._save(self._tokens.current)
        finally:
            self._lock.release()

    def inherit(self, predecessor: "Authenticator") -> None:
        """Go on for one of the same application: with what is known, counted, and could not be saved yet."""
        if predecessor._entra.registration.identity != self._entra.registration.identity:  # noqa: SLF001  one of our own kind
            return
        with predecessor._lock:  # noqa: SLF001  likewise
            self._tokens.inherit(predecessor._tokens)  # noqa: SLF001  likewise
            self.failures = dict(predecessor.failures)
            self._dead_token = predecessor._dead_token  # noqa: SLF001  likewise
            self._api_refuses = predecessor._api_refuses  # noqa: SLF001  likewise
            status = predecessor.status
        self._status = replace(status, credential_expires_at=self._credential_expiry())

    def changed_on_disk(self) -> bool:
        """Return whether a token, seed or credential was replaced by somebody else since last asked.

        During a renewal it may be our own doing: that is answered once the renewal is over.
        """
        if not self._lock.acquire(blocking=False):
            return False
        try:
            before, self._seen = self._seen, self._signature()
            return before != self._seen
        finally:
            self._lock.release()

    def _signature(self) -> Signature:
        return signature(*self._tokens.files, *self._entra.credential.files())

    def _with_our_token(self, before: Signature) -> Signature:
        """Return an earlier signature but for the stored token, which this program has just written."""
        return (*signature(self._tokens.files[0]), *before[1:])

    def _current(self) -> Secret:
        if self._access is None:
            raise AuthenticationError("there is no access token")
        return self._access.token

    def _proven(self) -> bool:
        if self._access is None or self._access.signature != self._signature():
            return False
        return self._clock.monotonic() - self._access.obtained_at < _PROOF_INTERVAL_SECONDS

    def _alive(self) -> bool:
        return self._access is not None and (
            self._access.ends_at - self._clock.monotonic() > _EXPIRY_MARGIN_SECONDS
        )

    def _renew(self) -> None:
        """Redeem the refresh token, save its successor, and only then take up the access token."""
        cause = self._signature()
        held = self._refusal
        if held and held.cause == cause and self._clock.monotonic() - held.at < _REFUSAL_HOLDS_SECONDS:
            raise held.kind(**held.facts)
        try:
            record, grant = self._redeem()
        except AuthenticationError as error:
            self._refusal = _Refusal(type(error), error.facts(), cause, self._clock.monotonic())
            self._access = None
            word = error.error if error.error in KNOWN_ERRORS else "other"
            self.failures[word] = self.failures.get(word, 0) + 1
            self._set_refused(error)
            raise
        self._refusal = None
        self._take(record, grant, cause)

    def _redeem(self) -> tuple[TokenRecord, TokenGrant]:
        record = self._tokens.next()
        try:
            return record, self._entra.redeem(record.secret)
        except AuthenticationError as error:
            seed = self._tokens.fresh_seed(record) if _refuses_the_token(error) else None
            if seed is None:
                raise
            return seed, self._entra.redeem(seed.secret)

    def _take(self, record: TokenRecord, grant: TokenGrant, before: Signature) -> None:
        """Save the rotated token, then take up the access token; `before` is the signature it came from."""
        rotated = renewed_record(record, grant, now=self._clock.time())
        seen = self._with_our_token(before) if self._save(rotated) else before
        now = self._clock.monotonic()
        self._access = _Access(grant.access_token, now, now + grant.lifetime_seconds, seen)
        if not self._api_refuses:
            self._set_accepted(rotated.account)

    def _save(self, record: TokenRecord) -> bool:
        """Return whether the token is stored now; our own write is no news from others."""
        saved = self._tokens.save(record)
        if saved:
            self._seen = self._with_our_token(self._seen)
        return saved

    def _set_accepted(self, account: str | None) -> None:
        self._dead_token = None
        issued_at = self._issued_at()
        self._status = SignInStatus(
            partner=self._entra.registration.partner,
            up=True,
            account=account,
            token_issued_at=issued_at,
            token_expires_at=None if issued_at is None else issued_at + REFRESH_TOKEN_LIFETIME_SECONDS,
            credential_expires_at=self._credential_expiry(),
        )

    def _set_refused(self, error: PollError) -> None:
        """Show the refusal. A dead refresh token has no issue date any more; another keeps its own."""
        current = self._tokens.current
        if isinstance(error, RefreshTokenRefused) and current is not None:
            self._dead_token = current.refresh_token
        issued_at = self._issued_at()
        self._status = SignInStatus(
            partner=self._entra.registration.partner,
            up=False,
            account=current.account if current else None,
            token_issued_at=issued_at,
            token_expires_at=None if issued_at is None else issued_at + REFRESH_TOKEN_LIFETIME_SECONDS,
            credential_expires_at=self._credential_expiry(),
            failure=Failure(str(error.reason), error.message, error.remedy, error.exchange.correlation_id),
        )

    def _issued_at(self) -> float | None:
        current = self._tokens.current
        if current is None or current.refresh_token == self._dead_token:
            return None
        return current.issued_at

    def _credential_expiry(self) -> float | None:
        try:
            return self._entra.credential.expiry()
        except AuthenticationError:
            return None


def _refuses_the_token(error: AuthenticationError) -> bool:
    return isinstance(error, RefreshTokenRefused) or error.error in _GRANT_REFUSED
