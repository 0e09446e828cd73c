"""Which refresh token is redeemed next, and where its successor is kept: the store, the seed, the memory."""

import hashlib
import threading
from contextlib import suppress
from dataclasses import KW_ONLY, astuple, dataclass, field
from pathlib import Path
from typing import NamedTuple

import msgspec

from exporter.auth.credential import read_secret_file
from exporter.auth.entra import TokenGrant
from exporter.auth.token_store import TokenRecord, TokenStore
from exporter.errors import LOGIN, AuthenticationError, StateError, TokenStoreError
from exporter.files import Signature, signature
from exporter.local_text import local_text
from exporter.logs import Logger
from exporter.messages import for_partner, line

# A file that can't be used is in the way of a token that can.
_MOVE_AWAY = line(
    "move the file away: the token in memory takes its place within a minute, and nobody needs to sign in"
)


class Known(NamedTuple):
    """The newest token, and the one last seen on disk: another while the newest can't be written."""

    current: TokenRecord | None = None
    stored: TokenRecord | None = None


@dataclass(eq=False)
class TokenMemory:
    """What is known of one partner's tokens. The lock is held to read or write a file, never for a request."""

    known: Known = field(default_factory=Known)
    lock: threading.Lock = field(default_factory=threading.Lock)


@dataclass(eq=False)
class RefreshTokens:
    """The refresh tokens of one partner. Not safe for threads: its caller holds a lock.

    The memory may be shared: a renewal that is under way at a reload ends in that of its successor.
    """

    store: TokenStore
    _: KW_ONLY
    seed_file: Path | None
    log: Logger
    memory: TokenMemory = field(default_factory=TokenMemory)

    def __post_init__(self) -> None:
        self._redeemed = Known()
        self.save_error: StateError | None = None  # of the last try

    def signature(self) -> Signature:
        """Return that of the store's file, then the seed's if there is one."""
        return (*self.store.signature(), *(signature(self.seed_file) if self.seed_file else ()))

    @property
    def current(self) -> TokenRecord | None:
        """The newest token."""
        return self.memory.known.current

    @property
    def unsaved(self) -> bool:
        """Whether the newest token is in memory only, because it could not be written."""
        current, stored = self.memory.known
        return current is not None and current != stored

    def restore(self) -> None:
        """Read the stored token, if it can be used, so that its dates can be shown before it is redeemed."""
        with self.memory.lock, suppress(AuthenticationError):
            self._load()

    def next(self) -> TokenRecord:
        """Return a newer token in memory, the stored one, or the seed; raises AuthenticationError if none."""
        with self.memory.lock:
            record = self._load()
            self._redeemed = self.memory.known
        record = record or self._read_seed()
        if record is None:
            raise self._no_token(self.memory.known.stored)
        return record

    def _no_token(self, stored: TokenRecord | None) -> AuthenticationError:
        """Return the error where there is nothing to redeem; a stored token is another application's."""
        message, fix = line("there is no refresh token yet"), line("sign in once: {}", LOGIN)
        if stored:
            theirs = local_text("cloud {}, tenant_id {}, client_id {}".format(*astuple(stored.identity)))
            message = line("{} for this application: {} has one for {}", message, self.store.path, theirs)
            fix = line("if that is right, set it in the configuration, otherwise {}", fix)
        return AuthenticationError(message, remedy=for_partner(fix, self.store.registration.partner), error="no_token")

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
        """Save what `next` was redeemed for; return whether it is stored now.

        Failures are logged, and it is kept in memory. If somebody has found a newer token since `next`, that one
        stays, and this one is lost without harm, since Entra ID leaves older tokens valid.
        """
        with self.memory.lock:
            if self.current is not None and self.memory.known != self._redeemed:
                self.log.info("the token was renewed twice at once, keeping the other one")
                return False
            return self._save(record)

    def save_again(self) -> bool:
        """Try once more to store a token that could not be written; return whether that was done now."""
        with self.memory.lock:
            current = self.current
            return current is not None and self.unsaved and self._save(current)

    def _save(self, record: TokenRecord) -> bool:
        known, self.save_error = self.memory.known, None
        try:
            if self.store.save(record, replacing=known.stored):
                self.memory.known = Known(record, record)
                return True
            self.log.info("another process stored a token, using it at the next renewal")
            stored = self.store.load()
            self.memory.known = Known(stored, stored)
        except StateError as error:
            self.memory.known, self.save_error = known._replace(current=record), error
            remedy = _MOVE_AWAY if isinstance(error, TokenStoreError) else error.remedy
            self.log.error("token not saved, kept in memory", error=error.message, remedy=remedy)
        return False

    def _load(self) -> TokenRecord | None:
        current, last_seen = self.memory.known
        try:
            stored = self.store.load()
        except StateError as error:
            if current is None:
                raise AuthenticationError(error.message, remedy=error.remedy, error="token_store") from error
            self.log.error("token store failed, keeping the token in memory", error=error.message)
            return current
        if self.unsaved and stored != current and (stored == last_seen or self.store.may_be_ours(stored)):
            return current
        if stored and stored.identity != self.store.registration.identity:
            self.memory.known = Known(current, stored)
            self.log.warning("stored token belongs to another application, not used", file=self.store.path)
            return None
        self.memory.known = Known(stored, stored)
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
        mfa=record.mfa if grant.methods is None else "mfa" in grant.methods,
    )
