"""What survives a restart of how the last sign-in ended, so that no alert resolves and fires anew at a deploy."""

import hashlib

import msgspec

from exporter.auth.entra import Registration
from exporter.auth.token_store import TokenRecord
from exporter.errors import StateError
from exporter.files import StateDirectory
from exporter.local_text import local_text
from exporter.logs import Logger
from exporter.messages import line
from exporter.model.status import Failure, Identity


class SignInRecord(msgspec.Struct, frozen=True, kw_only=True):
    """Whether the sign-in was accepted, with the token that `token_digest` stands for (None: there was none)."""

    identity: Identity
    token_digest: str | None
    up: bool
    token_refused: bool = False
    api_refuses: bool = False
    failure: Failure | None = None


class SignInRecords:
    """One partner's record in the state directory. A failure is logged and never stops a sign-in."""

    def __init__(self, directory: StateDirectory, registration: Registration, log: Logger) -> None:
        self._directory = directory
        self._identity = registration.identity
        # No source has this name.
        self._name = f"polls/{registration.partner}.sign-in.json"
        self._log = log
        self._newest: SignInRecord | None = None
        self._is_saved = True

    def load(self) -> SignInRecord | None:
        """Return what an earlier run saved for this application; None if there is nothing usable."""
        try:
            content = self._directory.read(self._name)
            record = None if content is None else msgspec.json.decode(content, type=SignInRecord)
        except (StateError, msgspec.MsgspecError, ValueError, RecursionError) as error:
            # The decoder says where in the file, and quotes nothing of it.
            reason = local_text(str(error), limit=200) or line("impossible values")
            self._log.warning("ignoring saved state", file=local_text(self._name), error=reason)
            return None
        return record if record and record.identity == self._identity else None

    def save(self, record: SignInRecord) -> None:
        """Save the record if it is another one than the last."""
        if record != self._newest:
            self._newest, self._is_saved = record, False
            self.save_again()

    def save_again(self) -> None:
        """Try once more to save a record that could not be written."""
        if self._is_saved or self._newest is None:
            return
        try:
            self._directory.replace(self._name, msgspec.json.encode(self._newest) + b"\n")
            self._is_saved = True
        except StateError as error:
            self._log.error("state not saved", error=error.message, remedy=error.remedy)


def token_digest(record: TokenRecord | None) -> str | None:
    """Return what stands for a token where the token itself must not."""
    return hashlib.sha256(record.refresh_token.encode()).hexdigest() if record else None
