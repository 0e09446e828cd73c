"""The server's side of TLS: its settings in exporter-toolkit's format, and its context."""

import ssl
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Annotated, Any, Self

from pydantic import AfterValidator, BeforeValidator, Field, ValidationInfo, field_validator, model_validator

from exporter.clock import Clock
from exporter.files import check_pem, signature
from exporter.permissions import reason_of
from exporter.web.toolkit.handshake import Handshake, canonical_san
from exporter.web.toolkit.reloading import Reloading
from exporter.yaml_file.types import FilePath, Strict

# Go's names (tls.CipherSuites) with OpenSSL's. Those of TLS 1.3 may be named, but as in Go they are always on.
_CIPHERS = {"TLS_AES_128_GCM_SHA256": "", "TLS_AES_256_GCM_SHA384": "", "TLS_CHACHA20_POLY1305_SHA256": ""} | {
    f"TLS_ECDHE_{key}_WITH_{name}": f"ECDHE-{key}-{openssl_name}"
    for key in ("ECDSA", "RSA")
    for name, openssl_name in (
        ("AES_128_CBC_SHA", "AES128-SHA"),
        ("AES_256_CBC_SHA", "AES256-SHA"),
        ("AES_128_GCM_SHA256", "AES128-GCM-SHA256"),
        ("AES_256_GCM_SHA384", "AES256-GCM-SHA384"),
        ("CHACHA20_POLY1305_SHA256", "CHACHA20-POLY1305"),
    )
}
_VERSIONS = {
    "TLS10": ssl.TLSVersion.TLSv1,
    "TLS11": ssl.TLSVersion.TLSv1_1,
    "TLS12": ssl.TLSVersion.TLSv1_2,
    "TLS13": ssl.TLSVersion.TLSv1_3,
}
_CLIENT_AUTH = {
    "NoClientCert": ssl.CERT_NONE,
    "VerifyClientCertIfGiven": ssl.CERT_OPTIONAL,
    "RequireAndVerifyClientCert": ssl.CERT_REQUIRED,
}


def _value_of(values: Mapping[str, object], name: Any) -> object:
    if name not in tuple(values):
        raise ValueError(f"expected one of {', '.join(values)}")
    return values[name]


def _client_auth(name: Any) -> object:
    if name in ("RequestClientCert", "RequireAnyClientCert", "RequireClientCert"):
        raise ValueError(
            f"{name} is not supported: Python's TLS accepts no client certificate without verifying it; "
            "use RequireAndVerifyClientCert with client_ca_file"
        )
    return _value_of(_CLIENT_AUTH, name)


def _readable(file: Path) -> Path:
    try:
        check_pem(file)
    except OSError as error:
        raise ValueError(f"can't read {file}: {reason_of(file, error)}") from error
    return file


_File = Annotated[FilePath, AfterValidator(_readable)]
_Version = Annotated[ssl.TLSVersion, BeforeValidator(partial(_value_of, _VERSIONS))]
_Cipher = Annotated[str, BeforeValidator(partial(_value_of, _CIPHERS))]
_San = Annotated[str, Field(min_length=1), AfterValidator(canonical_san)]


class TlsSettings(Strict):
    """`tls_server_config`: the server's certificate, and what it requires of clients.

    A field is checked with those above it. `cipher_suites` has OpenSSL's names, empty for those of TLS 1.3.
    """

    cert_file: _File
    key_file: _File
    client_auth_type: Annotated[ssl.VerifyMode, BeforeValidator(_client_auth)] = ssl.CERT_NONE
    client_ca_file: _File | None = None
    client_allowed_sans: Annotated[list[_San], Field(min_length=1)] | None = None
    min_version: _Version = ssl.TLSVersion.TLSv1_2
    cipher_suites: list[_Cipher] = Field(default_factory=list)
    max_version: _Version = ssl.TLSVersion.TLSv1_3
    # Accepted and ignored by exporter-toolkit too.
    prefer_server_cipher_suites: bool = True

    @property
    def files(self) -> tuple[Path, ...]:
        """What is read for a context."""
        return tuple(file for file in (self.cert_file, self.key_file, self.client_ca_file) if file)

    @field_validator("client_ca_file")
    @classmethod
    def _is_used(cls, value: Path | None, info: ValidationInfo) -> Path | None:
        if info.data.get("client_auth_type") is ssl.CERT_NONE:
            raise ValueError("only used with a client_auth_type that verifies: set one, or remove this key")
        return value

    @field_validator("client_allowed_sans")
    @classmethod
    def _is_compared(cls, value: list[str] | None, info: ValidationInfo) -> list[str] | None:
        """As in exporter-toolkit: a client that need not show a certificate would get in without one."""
        if info.data.get("client_auth_type", ssl.CERT_REQUIRED) is not ssl.CERT_REQUIRED:
            raise ValueError(
                "only used with client_auth_type: RequireAndVerifyClientCert: set that, or remove this key"
            )
        if info.data.get("client_ca_file", "wrong") is None:
            raise ValueError("only used with client_ca_file: add the CA that signs these certificates")
        return value

    @field_validator("max_version")
    @classmethod
    def _leaves_a_version(cls, value: ssl.TLSVersion, info: ValidationInfo) -> ssl.TLSVersion:
        if value < _minimum(info.data.get("min_version", value), info.data.get("cipher_suites", [])):
            raise ValueError("no TLS version is left: check min_version and cipher_suites too")
        return value

    @model_validator(mode="after")
    def _can_serve(self) -> Self:
        try:
            build_context(self)
        except (OSError, ValueError) as error:
            fix = "use PEM certificates and an unencrypted PEM key"
            raise ValueError(f"can't serve TLS with {', '.join(map(str, self.files))}: {error}; {fix}") from error
        return self


def _minimum(version: ssl.TLSVersion, ciphers: list[str]) -> ssl.TLSVersion:
    """Return the lowest version to offer: a list of TLS 1.3's cipher suites alone means TLS 1.3 only."""
    return ssl.TLSVersion.TLSv1_3 if ciphers and not any(ciphers) else version


def build_context(settings: TlsSettings) -> ssl.SSLContext:
    """Return a new context; raises OSError (ssl.SSLError too) or ValueError if the files don't work."""
    for file in settings.files:
        check_pem(file)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.sslobject_class = Handshake
    context.options |= ssl.OP_NO_RENEGOTIATION
    context.minimum_version = minimum = _minimum(settings.min_version, settings.cipher_suites)
    context.maximum_version = settings.max_version
    ciphers = [name for name in settings.cipher_suites if name]
    if minimum < ssl.TLSVersion.TLSv1_2:
        # TLS 1.0 and 1.1 sign with SHA-1, which OpenSSL allows at its lowest security level only.
        context.set_ciphers(":".join([*(ciphers or ["DEFAULT"]), "@SECLEVEL=0"]))
    elif ciphers:
        context.set_ciphers(":".join(ciphers))
    context.load_cert_chain(settings.cert_file, settings.key_file, password=_no_password)
    context.verify_mode = settings.client_auth_type
    # As in Go: every certificate in the file is trusted, an intermediate CA too.
    context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
    if settings.client_ca_file is not None:
        context.load_verify_locations(cafile=settings.client_ca_file)
    elif settings.client_auth_type is not ssl.CERT_NONE:
        context.load_default_certs(ssl.Purpose.CLIENT_AUTH)
    return context


def _no_password() -> str:
    """Refuse an encrypted key; OpenSSL would ask for its password on the terminal."""
    raise ValueError("the key is encrypted")


class ReloadingTls(ssl.SSLContext):
    """A context to listen with that hands every connection to the newest good one.

    A context in use can't be changed instead: `load_cert_chain` leaves it broken if key and certificate don't match,
    authorities are only ever added, and `verify_mode` doesn't follow. As a fresh one is chosen before each handshake
    (`sni_callback` is too late for versions), no session outlives a change. The stats of three files take 36 µs.
    """

    def __new__(cls, *_arguments: object, **_keywords: object) -> Self:
        """Return what asyncio accepts as a context."""
        return super().__new__(cls, ssl.PROTOCOL_TLS_SERVER)

    def __init__(self, settings: Callable[[], TlsSettings | None], clock: Clock) -> None:
        def current() -> TlsSettings:
            tls = settings()
            if tls is None:
                raise ValueError("TLS is not configured")
            return tls

        def made(_previous: object) -> tuple[ssl.SSLContext, frozenset[str]]:
            tls = current()
            return build_context(tls), frozenset(tls.client_allowed_sans or ())

        self._newest = Reloading(
            "TLS certificate", make=made, signature=lambda: (tls := current(), signature(*tls.files)), clock=clock
        )

    @property
    def problem(self) -> str:
        """Why the newest files are not in use; empty if they are."""
        return self._newest.problem

    def wrap_bio(
        self,
        incoming: ssl.MemoryBIO,
        outgoing: ssl.MemoryBIO,
        server_side: bool = False,  # noqa: FBT001, FBT002  the standard library's signature
        server_hostname: str | bytes | None = None,
        session: ssl.SSLSession | None = None,
    ) -> ssl.SSLObject:
        """Begin a connection with the newest certificate; asyncio calls this for each connection."""
        context, allowed_sans = self._newest()
        connection = context.wrap_bio(incoming, outgoing, server_side, server_hostname, session)
        if isinstance(connection, Handshake):
            connection.outgoing, connection.allowed_sans = outgoing, allowed_sans
        return connection
