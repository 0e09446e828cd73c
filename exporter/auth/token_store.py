"""The refresh token on disk, one file a partner, with the application that it belongs to.

The format is ours: {version, identity, refresh_token, issued_at, account, mfa, seed_digest}.
A file that can't be trusted is never used and never overwritten.
"""

import stat
from pathlib import Path

import msgspec

from exporter.auth.entra import Registration
from exporter.errors import LOGIN, StateError, TokenStoreError
from exporter.files import Signature, StateDirectory
from exporter.local_text import local_text
from exporter.messages import Line, for_partner, line
from exporter.model.status import Identity
from exporter.model.values import LATEST
from exporter.private_files import Distrusted
from exporter.redaction import Secret

_FOLDER = "tokens"
_VERSION = 1
_OF_OTHERS = line("fix its owner and mode (0600), or move the file away and sign in again: {}", LOGIN)
_CORRUPT = line("move the file away and sign in again: {}", LOGIN)
_OF_ANOTHER_VERSION = line("run that version, or move the file away and sign in again: {}", LOGIN)
_OF_A_NEWER_VERSION = line(
    "run that version, which is newer than this one, or move the file away and sign in again: {}", LOGIN
)


class _Versioned(msgspec.Struct):
    """What files of all versions have in common."""

    version: int = _VERSION


class TokenRecord(msgspec.Struct, frozen=True, kw_only=True, repr_omit_defaults=True):
    """One stored token."""

    identity: Identity
    refresh_token: str
    issued_at: float | None = None  # Unix seconds, where it is known
    account: Line | None = None
    mfa: bool | None = None  # whether the sign-in used it, where the access token said so
    seed_digest: str | None = None  # of the seed last used: if it is refused, only a new seed is tried
    version: int = _VERSION

    def __post_init__(self) -> None:
        """Leave out a date that can't be one, and make the account one printable line, as metrics and pages need it."""
        if self.issued_at is not None and not 0 <= self.issued_at <= LATEST:
            msgspec.structs.force_setattr(self, "issued_at", None)
        if self.account is not None:
            msgspec.structs.force_setattr(self, "account", local_text(self.account))

    @property
    def secret(self) -> Secret:
        """Return the refresh token, wrapped."""
        return Secret(self.refresh_token)

    def __repr__(self) -> str:
        return f"TokenRecord({self.identity!r}, issued_at={self.issued_at!r})"


class TokenStore:
    """One partner's token file in the state directory."""

    def __init__(self, directory: StateDirectory, registration: Registration) -> None:
        self.registration = registration
        self._directory = directory
        self._name = f"{_FOLDER}/{registration.partner}.json"
        self.path = directory.root / self._name
        # What was there before our newest write, and what that writes: after a failure, either may be there.
        self._ours: tuple[TokenRecord | None, TokenRecord | None] = (None, None)
        self._failed = False

    def load(self) -> TokenRecord | None:
        """Return the stored token, or None; raises StateError. It may belong to another application."""
        try:
            # Only others count: Kubernetes makes volumes group-readable on purpose (fsGroup).
            content = self._directory.read(self._name, refused_mode=stat.S_IROTH | stat.S_IWOTH)
        except Distrusted as error:
            raise self._distrusted(error.why, line("{}; to fix it, {}", _OF_OTHERS, error.remedy)) from error
        if content is None:
            return None
        try:
            version = msgspec.json.decode(content, type=_Versioned).version
            record = msgspec.json.decode(content, type=TokenRecord) if version == _VERSION else None
        except (msgspec.MsgspecError, ValueError, RecursionError) as error:
            raise self._distrusted(line("it is corrupt"), _CORRUPT) from error
        if record is None:
            remedy = _OF_A_NEWER_VERSION if version > _VERSION else _OF_ANOTHER_VERSION
            raise self._distrusted(line("another version of this program wrote it"), remedy)
        if not record.refresh_token:
            raise self._distrusted(line("it is corrupt"), _CORRUPT)
        return record

    def save(self, record: TokenRecord, *, replacing: TokenRecord | None) -> bool:
        """Store a token in place of `replacing`, or where there is none; return whether it was stored.

        If another process has stored one meanwhile, theirs stays: it may come from a new sign-in, and
        ours is lost without harm, since Entra ID leaves older tokens valid. Raises StateError.
        """

        def compare_and_encode() -> bytes | None:
            stored = self.load()
            if stored != replacing and not self.may_be_ours(stored):
                return None
            self._ours = (stored, record)
            return msgspec.json.encode(record)

        try:
            saved = self._directory.update(self._name, compare_and_encode)
        except StateError:
            self._failed = True
            raise
        self._failed = False
        return saved

    def may_be_ours(self, stored: TokenRecord | None) -> bool:
        """Return whether there is no token, or one that a failed write of this program has left.

        A write that a hung file system holds up ends later, when there may be a newer token already.
        """
        return stored is None or (self._failed and stored in self._ours)

    def signature(self) -> Signature:
        """Return the file's signature."""
        return self._directory.signature(self._name)

    def overwrite(self, record: TokenRecord) -> None:
        """Store the token of a new sign-in in place of any other that can be read; raises StateError."""

        def check_and_encode() -> bytes:
            self.load()
            return msgspec.json.encode(record)

        self._directory.update(self._name, check_and_encode)

    def _distrusted(self, why: Line, remedy: Line) -> TokenStoreError:
        return TokenStoreError(
            line("the stored token {} is not used: {}", self.path, why),
            remedy=for_partner(remedy, self.registration.partner),
        )


def stored_tokens(directory: StateDirectory) -> dict[str, Path]:
    """Return the token file of each partner that has one, whether it can be used or not."""
    files = (directory.root / _FOLDER / name for name in directory.names(_FOLDER))
    return {file.stem: file for file in files if file.suffix == ".json"}
