"""What --web.config.file says, as the server uses it; read anew whenever the file changes."""

import math
import ssl
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from exporter.clock import Clock
from exporter.errors import ConfigurationError, Problem
from exporter.files import signature
from exporter.logs import Logger

_RETRY_SECONDS = 10.0


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
    """The newest good settings. A file that became bad changes nothing, and is tried again and again.

    What is wrong need not stand in the file itself: a certificate that it names may come later.
    """

    def __init__(self, file: Path, read: Callable[[Path], WebSettings], *, clock: Clock, log: Logger) -> None:
        self._file = file
        self._read = read
        self._clock = clock
        self._log = log
        self._complained = ""
        self._retry_at = math.inf
        self._seen = signature(file)
        self._settings = read(file)

    def __call__(self) -> WebSettings:
        """Return the settings, read anew where the file has changed."""
        seen = signature(self._file)
        if seen != self._seen or self._clock.monotonic() >= self._retry_at:
            self._seen = seen
            self._take_up()
        return self._settings

    def _take_up(self) -> None:
        try:
            fresh = self._read(self._file)
            self._check_restart(fresh)
        except ConfigurationError as error:
            self._retry_at = self._clock.monotonic() + _RETRY_SECONDS
            if str(error) != self._complained:
                self._complained = str(error)
                self._log.error("web configuration not reloaded, the old one holds on", error=str(error))
            return
        self._retry_at, self._complained = math.inf, ""
        self._settings = fresh
        self._log.info("web configuration reloaded")

    def _check_restart(self, fresh: WebSettings) -> None:
        if (fresh.tls is None) != (self._settings.tls is None):
            problem = Problem(0, "tls_server_config", "to switch TLS on or off, restart the exporter")
            raise ConfigurationError(str(self._file), (problem,))
