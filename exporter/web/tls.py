"""The server's side of TLS, with certificates that are taken up when they change on disk."""

import ssl
from collections.abc import Callable

from exporter.logs import Logger
from exporter.web.settings import TlsSettings, WebSettings, signature


def build_context(settings: TlsSettings) -> ssl.SSLContext:
    """Return a new context; raises OSError or ssl.SSLError where the files don't serve."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = settings.minimum
    context.maximum_version = settings.maximum
    if settings.ciphers is not None:
        context.set_ciphers(settings.ciphers)
    context.load_cert_chain(settings.cert_file, settings.key_file, password=_no_password)
    context.verify_mode = settings.verify
    if settings.client_ca_file is not None:
        context.load_verify_locations(cafile=settings.client_ca_file)
    elif settings.verify is not ssl.CERT_NONE:
        context.load_default_certs(ssl.Purpose.CLIENT_AUTH)
    return context


def _no_password() -> str:
    """Refuse an encrypted key; OpenSSL would ask on the terminal for its password."""
    raise ssl.SSLError("the key is encrypted: give one without a password")


class ReloadingTls:
    """A context for listening that hands every handshake to the newest one.

    `load_cert_chain` on a context in use would leave it broken when a pair doesn't match, and authorities
    could only be added; so a fresh context is built and tried, and swapped in as the handshake begins.
    """

    def __init__(self, settings: Callable[[], WebSettings], log: Logger) -> None:
        self._settings = settings
        self._log = log
        tls = self._tls()
        self._used = (tls, signature(tls.files()))
        self._newest = self.context = build_context(tls)
        self.context.sni_callback = self._hand_over

    def _tls(self) -> TlsSettings:
        tls = self._settings().tls
        if tls is None:
            raise ValueError("these settings have no TLS")
        return tls

    def _hand_over(self, connection: ssl.SSLObject, _name: str | None, _context: ssl.SSLContext) -> None:
        """Let this handshake use the newest certificate. OpenSSL calls it without a server name too."""
        self._refresh()
        if self._newest is not self.context:
            connection.context = self._newest

    def _refresh(self) -> None:
        tls = self._tls()
        wanted = (tls, signature(tls.files()))
        if wanted == self._used:
            return
        self._used = wanted
        try:
            self._newest = build_context(tls)
        except (OSError, ssl.SSLError, ValueError) as error:
            self._log.error("TLS certificate not reloaded, the old one serves on", error=str(error))
        else:
            self._log.info("TLS certificate reloaded")
