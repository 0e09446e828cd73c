"""What survives a restart of how the last sign-in ended, so that no alert resolves and fires anew at a deploy."""

import hashlib
from functools import partial

import msgspec

from exporter.auth.entra import Registration
from exporter.auth.token_store import TokenRecord
from exporter.files import StateDirectory
from exporter.logs import Logger
from exporter.model.status import Failure, Identity
from exporter.saved_state import SavedState, printable_failure


class SignInRecord(msgspec.Struct, frozen=True, kw_only=True):
    """Whether the sign-in was accepted, with the token that `token_digest` stands for (None: there was none)."""

    identity: Identity
    token_digest: str | None
    up: bool
    token_refused: bool = False
    api_refuses: bool = False
    mfa_compliant: bool | None = None
    failure: Failure | None = None

    def __post_init__(self) -> None:
        """Make each text of the failure one printable line of limited length."""
        msgspec.structs.force_setattr(self, "failure", printable_failure(self.failure))


class SignInRecords:
    """One partner's record in the state directory. A failure is logged and never stops a sign-in."""

    def __init__(self, directory: StateDirectory, registration: Registration, log: Logger) -> None:
        self._files = SavedState(directory, log)
        self._identity = registration.identity
        # No source has this name.
        self._name = f"polls/{registration.partner}.sign-in.json"
        self._newest: SignInRecord | None = None

    def load(self) -> SignInRecord | None:
        """Return what an earlier run saved for this application; None if there is nothing usable."""
        record = self._files.load(self._name, partial(msgspec.json.decode, type=SignInRecord))
        return record if record and record.identity == self._identity else None

    def save(self, record: SignInRecord) -> None:
        """Save the record if it is another one than the last."""
        if record != self._newest:
            self._newest = record
            self._files.save(self._name, record)


def token_digest(record: TokenRecord | None) -> str | None:
    """Return what stands for a token where the token itself must not."""
    return hashlib.sha256(record.refresh_token.encode()).hexdigest() if record else None
