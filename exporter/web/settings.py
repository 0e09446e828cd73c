"""What --web.config.file says, as the server uses it; read anew whenever the file changes."""

import ssl
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from exporter.errors import ConfigurationError
from exporter.logs import Logger


@dataclass(frozen=True, slots=True)
class TlsSettings:
    """The server's certificate, and what it wants of clients. `ciphers` are OpenSSL's names, for TLS 1.2."""

    cert_file: Path
    key_file: Path
    client_ca_file: Path | None
    verify: ssl.VerifyMode
    minimum: ssl.TLSVersion
    maximum: ssl.TLSVersion
    ciphers: str | None

    def files(self) -> tuple[Path, ...]:
        """Return the files whose change means a new context."""
        return tuple(f for f in (self.cert_file, self.key_file, self.client_ca_file) if f)


@dataclass(frozen=True, slots=True)
class WebSettings:
    """TLS, headers for every answer, and users with their bcrypt hashes; without any of it: plain HTTP."""

    tls: TlsSettings | None = None
    headers: tuple[tuple[str, str], ...] = ()
    users: Mapping[str, bytes] = field(default_factory=dict)


class LiveSettings:
    """The newest good settings. A file that became bad changes nothing and is logged once."""

    def __init__(self, file: Path, read: Callable[[Path], WebSettings], log: Logger) -> None:
        self._file = file
        self._read = read
        self._log = log
        self._seen = signature((file,))
        self._settings = read(file)

    def __call__(self) -> WebSettings:
        """Return the settings, read anew where the file has changed."""
        seen = signature((self._file,))
        if seen != self._seen:
            self._seen = seen
            self._take_up()
        return self._settings

    def _take_up(self) -> None:
        try:
            fresh = self._read(self._file)
        except ConfigurationError as error:
            self._log.error("web configuration not reloaded", error=str(error))
            return
        if _fixed(fresh) != _fixed(self._settings):
            self._log.error(
                "web configuration not reloaded", error="TLS on or off, and client_auth_type, need a restart"
            )
            return
        self._settings = fresh
        self._log.info("web configuration reloaded")


def signature(files: tuple[Path, ...]) -> tuple[tuple[int, ...] | None, ...]:
    """Return what changes when any of the files does."""
    return tuple(_signature(file) for file in files)


def _signature(file: Path) -> tuple[int, ...] | None:
    try:
        status = file.stat()
    except OSError:
        return None
    return (status.st_ino, status.st_mtime_ns, status.st_size)


def _fixed(settings: WebSettings) -> ssl.VerifyMode | None:
    """Return what a running server can't change."""
    return settings.tls.verify if settings.tls else None
