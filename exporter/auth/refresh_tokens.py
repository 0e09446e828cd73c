"""Which refresh token is redeemed next, and where its successor is kept: the store, the seed, the memory."""

import hashlib
from pathlib import Path

import msgspec

from exporter.auth.credential import read_secret_file
from exporter.auth.entra import Registration, TokenGrant
from exporter.auth.token_store import TokenRecord, TokenStore
from exporter.errors import LOGIN, AuthenticationError, StateError
from exporter.logs import Logger


class RefreshTokens:
    """The refresh tokens of one partner. Not safe for threads: its caller holds a lock.

    `current` is the newest token known; `files` are the store's, then the seed's if there is one.
    """

    def __init__(self, registration: Registration, store: TokenStore, *, seed_file: Path | None, log: Logger) -> None:
        self._registration = registration
        self._store = store
        self._seed_file = seed_file
        self._log = log
        self.files: tuple[Path, ...] = (store.path, seed_file) if seed_file else (store.path,)
        self._stored: TokenRecord | None = None
        self.current: TokenRecord | None = None

    @property
    def unsaved(self) -> bool:
        """Whether the newest token is in memory only, because it could not be written."""
        return self.current is not None and self.current != self._stored

    def next(self) -> TokenRecord:
        """Return a newer token in memory, the stored one, or the seed; raises AuthenticationError if none."""
        record = self._load() or self._read_seed()
        if record is None:
            raise AuthenticationError(
                "there is no refresh token yet",
                remedy=f"sign in once: {LOGIN.format(partner=self._registration.partner)}",
                error="no_token",
            )
        return record

    def fresh_seed(self, refused: TokenRecord) -> TokenRecord | None:
        """Return the seed file's token unless it was used before."""
        try:
            seed = self._read_seed()
        except AuthenticationError:  # the refusal of the stored token says more
            return None
        if seed is None or seed.seed_digest == refused.seed_digest or seed.secret == refused.secret:
            return None
        self._log.info("stored refresh token refused, trying the seed", file=str(self._seed_file))
        return seed

    def save(self, record: TokenRecord) -> bool:
        """Return whether the token is stored now; failures are logged, and it is kept in memory."""
        try:
            if self._store.save(record, replacing=self._stored):
                self.current = self._stored = record
                return True
            self._log.info("another process stored a token, using it at the next renewal")
            self.current = self._stored = self._store.load()
        except StateError as error:
            self.current = record
            self._log.error("token not saved, kept in memory", error=error.message, remedy=error.remedy)
        return False

    def inherit(self, predecessor: "RefreshTokens") -> None:
        """Take over a token of the same application that could not be written yet."""
        current = predecessor.current
        if current is not None and current.identity == self._registration.identity:
            self.current, self._stored = current, predecessor._stored  # noqa: SLF001  one of our own kind

    def _load(self) -> TokenRecord | None:
        try:
            stored = self._store.load()
        except StateError as error:
            if self.current is None:
                raise AuthenticationError(error.message, remedy=error.remedy, error="token_store") from error
            self._log.error("token store failed, keeping the token in memory", error=error.message)
            return self.current
        if self.unsaved and stored in (None, self._stored):
            return self.current
        self._stored = stored
        if stored and stored.identity != self._registration.identity:
            file = str(self._store.path)
            self._log.warning("stored token belongs to another application, not used", file=file)
            return None
        self.current = stored
        return stored

    def _read_seed(self) -> TokenRecord | None:
        if self._seed_file is None:
            return None
        token = read_secret_file(self._seed_file).strip()
        digest = hashlib.sha256(token.encode()).hexdigest()
        return new_record(self._registration, token, digest) if token else None


def new_record(registration: Registration, refresh_token: str, seed_digest: str | None = None) -> TokenRecord:
    """Return a record for a token whose issue date is not known."""
    return TokenRecord(
        identity=registration.identity, refresh_token=refresh_token, issued_at=None, seed_digest=seed_digest
    )


def renewed_record(record: TokenRecord, grant: TokenGrant, *, now: float) -> TokenRecord:
    """Return what to store after a grant; without a new refresh token the old one and its date stay."""
    token = grant.refresh_token
    return msgspec.structs.replace(
        record,
        refresh_token=token.reveal() if token else record.refresh_token,
        issued_at=now if token else record.issued_at,
        account=grant.account or record.account,
    )
