"""Whether the configuration, or a file that it names, has changed since it was last read."""

import os
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path
from typing import Any

from exporter.config.load import load_again
from exporter.config.model import Config
from exporter.files import read_regular
from exporter.yaml_file.document import parse
from exporter.yaml_file.validation import MAX_FILE_BYTES

# More than any file that is named there may have.
_MAX_NAMED_BYTES = 16 * 1024 * 1024
# Whoever issues it renews it all the time, and it is read at each use: only its coming and going is a change.
_ALWAYS_NEW = "federated_token_file"


class WatchedConfig:
    """The configuration file, with all that a reload would read, which is looked at from the start on.

    Contents are compared, so that neither a link that is exchanged, as in a ConfigMap, nor a file whose times are
    set back is missed, and nothing that was only touched counts. What can't be read counts as its error.
    """

    def __init__(self, file: Path) -> None:
        self._file = file
        self._parsed: tuple[bytes, tuple[tuple[str, Path], ...]] = (b"", ())
        self.seen = self.checksum()
        """The checksum at the last reading."""

    def read(self) -> Config:
        """Read and check it again; raises ConfigurationError."""
        # Before the reading: what changes meanwhile is a change.
        self.seen = self.checksum()
        return load_again(self._file)

    def checksum(self) -> bytes:
        """Return what is equal as long as nothing has changed."""
        content = _content(self._file, MAX_FILE_BYTES)
        total = sha256(_digest(content))
        for key, file in self._named(content):
            named = _content(file, _MAX_NAMED_BYTES)
            total.update(_digest(b"" if key == _ALWAYS_NEW and isinstance(named, bytes) else named))
        return total.digest()

    def _named(self, content: bytes | OSError | ValueError) -> tuple[tuple[str, Path], ...]:
        """Return the files that a configuration names, valid or not; a large one takes seconds to parse."""
        if not isinstance(content, bytes):
            return ()
        digest = _digest(content)
        if self._parsed[0] != digest:
            text = content.decode("utf-8-sig", "replace")
            self._parsed = digest, tuple(_files_in(parse(text, os.environ).content, self._file.absolute().parent))
        return self._parsed[1]


def _files_in(value: Any, folder: Path) -> Iterator[tuple[str, Path]]:
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, item in items:
        if isinstance(item, str):
            if str(key).endswith("_file"):
                yield str(key), folder / item
        else:
            yield from _files_in(item, folder)


def _content(file: Path, max_bytes: int) -> bytes | OSError | ValueError:
    try:
        return read_regular(file, max_bytes)
    except (OSError, ValueError) as error:  # ValueError: no file can have such a name
        return error


def _digest(content: bytes | OSError | ValueError) -> bytes:
    if isinstance(content, bytes):
        return b"content" + sha256(content).digest()
    return f"error {getattr(content, 'errno', None)}".encode()
