"""The server's side of TLS, with certificates that are taken up when they change on disk."""

import ssl
from collections.abc import Callable
from typing import Self

from exporter.files import signature
from exporter.logs import Logger
from exporter.web.toolkit.settings import TlsSettings, WebSettings

_NO_HTTPS = b"Client sent an HTTP request to an HTTPS server.\n"
_NO_HTTPS_ANSWER = b"HTTP/1.0 400 Bad Request\r\nContent-Length: %d\r\n\r\n%s" % (len(_NO_HTTPS), _NO_HTTPS)


def build_context(settings: TlsSettings) -> ssl.SSLContext:
    """Return a new context; raises OSError, ssl.SSLError or ValueError where the files don't serve."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.sslobject_class = Handshake
    context.options |= ssl.OP_NO_RENEGOTIATION
    context.minimum_version = settings.minimum
    context.maximum_version = settings.maximum
    if settings.ciphers is not None:
        context.set_ciphers(settings.ciphers)
    context.load_cert_chain(settings.cert_file, settings.key_file, password=_no_password)
    context.verify_mode = settings.verify
    # As in Go: whatever stands in the file is trusted, an authority under another one too.
    context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
    if settings.client_ca_file is not None:
        context.load_verify_locations(cafile=settings.client_ca_file)
    elif settings.verify is not ssl.CERT_NONE:
        context.load_default_certs(ssl.Purpose.CLIENT_AUTH)
    return context


def _no_password() -> str:
    """Refuse an encrypted key; OpenSSL would ask on the terminal for its password."""
    raise ValueError("the key is encrypted: give one without a password")


class Handshake(ssl.SSLObject):
    """A connection whose client is told why it is refused: asyncio would drop OpenSSL's alert.

    As long as "more is wanted", asyncio sends what is ready, and closes when the client does or the time for
    a handshake is over.
    """

    outgoing: ssl.MemoryBIO

    def do_handshake(self) -> None:
        """Go on with the handshake; raises ssl.SSLWantReadError until it is complete."""
        try:
            super().do_handshake()
        except (ssl.SSLWantReadError, ssl.SSLWantWriteError):
            raise
        except ssl.SSLError as error:
            if error.reason == "HTTP_REQUEST":
                self.outgoing.write(_NO_HTTPS_ANSWER)
            raise ssl.SSLWantReadError(error.errno, str(error)) from error


class ReloadingTls(ssl.SSLContext):
    """A context for listening that hands every connection to the newest good one.

    To change a context in use would leave it broken when a pair doesn't match, and authorities could only be
    added; so a fresh one is built and tried. As it is chosen before the handshake, versions, ciphers and
    client_auth_type follow as well, and no session outlives them.
    """

    def __new__(cls, _settings: Callable[[], WebSettings], _log: Logger) -> Self:
        """Return what asyncio takes for a context."""
        return super().__new__(cls, ssl.PROTOCOL_TLS_SERVER)

    def __init__(self, settings: Callable[[], WebSettings], log: Logger) -> None:
        self._settings = settings
        self._log = log
        self._complained = ""
        tls = self._tls()
        self._used = (tls, signature(*tls.files()))
        self._newest = build_context(tls)

    def wrap_bio(
        self,
        incoming: ssl.MemoryBIO,
        outgoing: ssl.MemoryBIO,
        server_side: bool = False,  # noqa: FBT001, FBT002  the standard library's signature
        server_hostname: str | bytes | None = None,
        session: ssl.SSLSession | None = None,
    ) -> ssl.SSLObject:
        """Begin a connection with the newest certificate; asyncio calls this for each."""
        self._refresh()
        connection = self._newest.wrap_bio(incoming, outgoing, server_side, server_hostname, session)
        if isinstance(connection, Handshake):
            connection.outgoing = outgoing
        return connection

    def _tls(self) -> TlsSettings:
        tls = self._settings().tls
        if tls is None:
            raise ValueError("these settings have no TLS")
        return tls

    def _refresh(self) -> None:
        """Take up what has changed on disk. What fails is tried again with the next connection."""
        tls = self._tls()
        wanted = (tls, signature(*tls.files()))
        if wanted == self._used:
            self._complained = ""
            return
        try:
            self._newest = build_context(tls)
        except (OSError, ssl.SSLError, ValueError) as error:
            if str(error) != self._complained:
                self._complained = str(error)
                self._log.error("TLS certificate not reloaded, the old one serves on", error=str(error))
        else:
            self._used, self._complained = wanted, ""
            self._log.info("TLS certificate reloaded")
