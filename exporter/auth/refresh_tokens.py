"""Which refresh token is redeemed next, and where its successor is kept: the store, the seed, the memory."""

import hashlib
from dataclasses import KW_ONLY, dataclass
from pathlib import Path

import msgspec

from exporter.auth.credential import read_secret_file
from exporter.auth.entra import TokenGrant
from exporter.auth.token_store import TokenRecord, TokenStore
from exporter.errors import LOGIN, AuthenticationError, StateError
from exporter.logs import Logger
from exporter.messages import for_partner, line


@dataclass(eq=False)
class RefreshTokens:
    """The refresh tokens of one partner; `current` is the newest. Not safe for threads: its caller holds a lock."""

    store: TokenStore
    _: KW_ONLY
    seed_file: Path | None
    log: Logger
    current: TokenRecord | None = None
    stored: TokenRecord | None = None

    @property
    def files(self) -> tuple[Path, ...]:
        """The store's file, then the seed's if there is one."""
        return (self.store.path, self.seed_file) if self.seed_file else (self.store.path,)

    @property
    def unsaved(self) -> bool:
        """Whether the newest token is in memory only, because it could not be written."""
        return self.current is not None and self.current != self.stored

    def next(self) -> TokenRecord:
        """Return a newer token in memory, the stored one, or the seed; raises AuthenticationError if none."""
        record = self._load() or self._read_seed()
        if record is None:
            raise AuthenticationError(
                line("there is no refresh token yet"),
                remedy=for_partner(line("sign in once: {}", LOGIN), self.store.registration.partner),
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
        self.log.info("stored refresh token refused, trying the seed", file=self.seed_file)
        return seed

    def save(self, record: TokenRecord) -> bool:
        """Return whether the token is stored now; failures are logged, and it is kept in memory."""
        try:
            if self.store.save(record, replacing=self.stored):
                self.current = self.stored = record
                return True
            self.log.info("another process stored a token, using it at the next renewal")
            self.current = self.stored = self.store.load()
        except StateError as error:
            self.current = record
            self.log.error("token not saved, kept in memory", error=error.message, remedy=error.remedy)
        return False

    def _load(self) -> TokenRecord | None:
        try:
            stored = self.store.load()
        except StateError as error:
            if self.current is None:
                raise AuthenticationError(error.message, remedy=error.remedy, error="token_store") from error
            self.log.error("token store failed, keeping the token in memory", error=error.message)
            return self.current
        if self.unsaved and stored in (None, self.stored):
            return self.current
        self.stored = stored
        if stored and stored.identity != self.store.registration.identity:
            self.log.warning("stored token belongs to another application, not used", file=self.store.path)
            return None
        self.current = stored
        return stored

    def _read_seed(self) -> TokenRecord | None:
        if self.seed_file is None:
            return None
        token = read_secret_file(self.seed_file).strip()
        digest = hashlib.sha256(token.encode()).hexdigest()
        identity = self.store.registration.identity
        return TokenRecord(identity=identity, refresh_token=token, seed_digest=digest) if token else None


def renewed_record(record: TokenRecord, grant: TokenGrant, *, now: float) -> TokenRecord:
    """Return what to store after a grant; without a new refresh token the old one and its date stay."""
    token = grant.refresh_token
    return msgspec.structs.replace(
        record,
        refresh_token=token.reveal() if token else record.refresh_token,
        issued_at=now if token else record.issued_at,
        account=grant.account or record.account,
    )
