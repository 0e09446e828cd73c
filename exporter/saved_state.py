"""What survives a restart: what can't be read is ignored, what can't be written stops nothing; both are logged."""

from collections.abc import Callable
from dataclasses import astuple, dataclass
from typing import TypeVar

import msgspec

from exporter.errors import StateError
from exporter.files import StateDirectory
from exporter.local_text import local_text
from exporter.logs import Logger
from exporter.messages import Line, line
from exporter.model.status import Failure

T = TypeVar("T")

# Far more than a record needs.
_MAX_BYTES = 1024 * 1024
_MAX_NOTES = 50


@dataclass(frozen=True, slots=True)
class SavedState:
    """Files of the state directory, by their names there."""

    directory: StateDirectory
    log: Logger

    def load(self, name: str, decode: Callable[[bytes], T], *, max_bytes: int = _MAX_BYTES) -> T | None:
        """Return what `decode` makes of a file, None if there is nothing usable; `decode` may raise ValueError."""
        try:
            content = self.directory.read(name, max_bytes=max_bytes)
            return None if content is None else decode(content)
        except (StateError, msgspec.MsgspecError, ValueError, RecursionError) as error:
            # The decoder says where in the file, and quotes nothing of it.
            reason = local_text(str(error), limit=200) or line("impossible values")
            self.log.warning("ignoring saved state", file=local_text(name), error=reason)
            return None

    def save(self, name: str, record: msgspec.Struct, *content: bytes) -> None:
        """Write a record as one line, and what follows it, as soon as that is possible."""
        try:
            self.directory.replace(name, msgspec.json.encode(record) + b"\n", *content)
        except StateError as error:
            self.log.error("state not saved", error=error.message, remedy=error.remedy)


def printable_notes(notes: tuple[str, ...]) -> tuple[Line, ...]:
    """Return saved notes, each as one printable line of limited length, and not too many."""
    return tuple(map(local_text, notes[:_MAX_NOTES]))


def printable_failure(failure: Failure | None) -> Failure | None:
    """Return a saved failure with each text as one printable line of limited length."""
    return Failure(*map(local_text, astuple(failure))) if failure else None
