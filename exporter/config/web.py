"""--web.config.file, in exporter-toolkit's format.

github.com/prometheus/exporter-toolkit/blob/master/docs/web-configuration.md. What Prometheus' own exporters
refuse is refused; what Python's ssl can't do is refused by name.
"""

import re
import ssl
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BeforeValidator, Field

from exporter.config.document import Document, parse
from exporter.config.schema import FilePath, Strict
from exporter.config.validation import read_text, validate
from exporter.errors import ConfigurationError
from exporter.web.settings import TlsSettings, WebSettings
from exporter.web.tls import build_context

# Go's names for the suites of TLS 1.2 and before; those of TLS 1.3 can't be chosen in Go either.
_CIPHERS = {
    "TLS_RSA_WITH_AES_128_CBC_SHA": "AES128-SHA",
    "TLS_RSA_WITH_AES_256_CBC_SHA": "AES256-SHA",
    "TLS_RSA_WITH_AES_128_GCM_SHA256": "AES128-GCM-SHA256",
    "TLS_RSA_WITH_AES_256_GCM_SHA384": "AES256-GCM-SHA384",
    "TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA": "ECDHE-ECDSA-AES128-SHA",
    "TLS_ECDHE_ECDSA_WITH_AES_256_CBC_SHA": "ECDHE-ECDSA-AES256-SHA",
    "TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA": "ECDHE-RSA-AES128-SHA",
    "TLS_ECDHE_RSA_WITH_AES_256_CBC_SHA": "ECDHE-RSA-AES256-SHA",
    "TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256": "ECDHE-ECDSA-AES128-GCM-SHA256",
    "TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384": "ECDHE-ECDSA-AES256-GCM-SHA384",
    "TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256": "ECDHE-RSA-AES128-GCM-SHA256",
    "TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384": "ECDHE-RSA-AES256-GCM-SHA384",
    "TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256": "ECDHE-RSA-CHACHA20-POLY1305",
    "TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256": "ECDHE-ECDSA-CHACHA20-POLY1305",
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
_UNVERIFIED = ("RequestClientCert", "RequireAnyClientCert", "RequireClientCert")
_BCRYPT = re.compile(r"\$2[abxy]\$(0[4-9]|[12][0-9]|3[01])\$[./A-Za-z0-9]{53}", re.ASCII)
_VISIBLE = re.compile(r"[\t -~]*", re.ASCII)


def _client_auth(value: Any) -> Any:
    if value in _UNVERIFIED:
        raise ValueError(
            f"{value} can't be served: Python's TLS takes no client certificate without verifying it; "
            "use RequireAndVerifyClientCert with client_ca_file"
        )
    return value


def _cipher(value: str) -> str:
    if value not in _CIPHERS:
        raise ValueError(f"there is no such cipher suite for TLS 1.2; known are {', '.join(_CIPHERS)}")
    return value


def _hash(value: str) -> str:
    if not _BCRYPT.fullmatch(value):
        raise ValueError("this is no bcrypt hash: make one with htpasswd -nBC 10 '' | tr -d ':\\n'")
    return value


def _no_http2(value: Any) -> Any:
    if str(value).lower() in ("true", "yes", "on", "1"):
        raise ValueError("this server has no HTTP/2: leave the key out, or say false")
    return value


def _header_value(value: str) -> str:
    if not _VISIBLE.fullmatch(value):
        raise ValueError("a header is one line of ASCII")
    return value


HeaderValue = Annotated[str, AfterValidator(_header_value)]


class _Tls(Strict):
    cert_file: FilePath | None = None
    key_file: FilePath | None = None
    client_ca_file: FilePath | None = None
    client_auth_type: Annotated[
        Literal["NoClientCert", "VerifyClientCertIfGiven", "RequireAndVerifyClientCert"],
        BeforeValidator(_client_auth),
    ] = "NoClientCert"
    min_version: Literal["TLS10", "TLS11", "TLS12", "TLS13"] = "TLS12"
    max_version: Literal["TLS10", "TLS11", "TLS12", "TLS13"] = "TLS13"
    cipher_suites: tuple[Annotated[str, AfterValidator(_cipher)], ...] = ()


class _Headers(Strict):
    content_security_policy: HeaderValue | None = Field(default=None, alias="Content-Security-Policy")
    x_frame_options: Literal["deny", "sameorigin"] | None = Field(default=None, alias="X-Frame-Options")
    x_content_type_options: Literal["nosniff"] | None = Field(default=None, alias="X-Content-Type-Options")
    x_xss_protection: HeaderValue | None = Field(default=None, alias="X-XSS-Protection")
    strict_transport_security: HeaderValue | None = Field(default=None, alias="Strict-Transport-Security")


class _HttpServer(Strict):
    headers: _Headers = _Headers()
    http2: Annotated[bool, BeforeValidator(_no_http2)] = False


class _WebFile(Strict):
    tls_server_config: _Tls | None = None
    http_server_config: _HttpServer = _HttpServer()
    basic_auth_users: dict[str, Annotated[str, AfterValidator(_hash)]] = Field(default_factory=dict)


def load_web(file: Path) -> WebSettings:
    """Read and check the file; raises ConfigurationError with every mistake in it."""
    document = parse(read_text(file, "--web.config.file"), None)
    content = validate(_WebFile, document, file.resolve().parent)
    settings = None
    if content is not None:
        tls = content.tls_server_config
        if tls == _Tls():
            tls = None  # an empty section is plain HTTP, as in exporter-toolkit
        if tls is not None:
            _check_tls(document, tls)
        settings = WebSettings(
            tls=_tls_settings(document, tls) if tls is not None and not document.problems else None,
            headers=tuple(_headers(content.http_server_config.headers)),
            users={user: hashed.encode() for user, hashed in content.basic_auth_users.items()},
        )
    if document.problems or settings is None:
        raise ConfigurationError(str(file), tuple(sorted(set(document.problems))))
    return settings


def has_tls(file: Path) -> bool:
    """Return whether the file asks for TLS, be it good or not: a running server keeps what it has."""
    content = parse(read_text(file, "--web.config.file"), None).content
    return isinstance(content, dict) and bool(content.get("tls_server_config"))


def _check_tls(document: Document, tls: _Tls) -> None:
    where = "tls_server_config"
    for key, other in (("cert_file", "key_file"), ("key_file", "cert_file")):
        if getattr(tls, key) is None:
            document.report((where, key), f"this key is missing: {other} needs it, and TLS needs both")
    if tls.client_ca_file is not None and tls.client_auth_type == "NoClientCert":
        document.report(
            (where, "client_ca_file"),
            "this goes with a client_auth_type that verifies: set it, or remove this",
        )
    if _VERSIONS[tls.min_version] > _VERSIONS[tls.max_version]:
        document.report((where, "min_version"), "min_version is above max_version: no client could connect")


def _tls_settings(document: Document, tls: _Tls) -> TlsSettings | None:
    """Return the settings, once a context could be made of them; else the document holds the reason."""
    if tls.cert_file is None or tls.key_file is None:
        return None
    settings = TlsSettings(
        cert_file=tls.cert_file,
        key_file=tls.key_file,
        client_ca_file=tls.client_ca_file,
        verify=_CLIENT_AUTH[tls.client_auth_type],
        minimum=_VERSIONS[tls.min_version],
        maximum=_VERSIONS[tls.max_version],
        ciphers=":".join(_CIPHERS[name] for name in tls.cipher_suites) or None,
    )
    try:
        build_context(settings)
    except (OSError, ssl.SSLError, ValueError) as error:
        names = ", ".join(str(each) for each in settings.files())
        document.report(
            ("tls_server_config",),
            f"can't serve TLS with {names}: {error}; give a certificate and its key as PEM, unencrypted",
        )
    return settings


def _headers(headers: _Headers) -> Iterator[tuple[str, str]]:
    for name, field in _Headers.model_fields.items():
        value = getattr(headers, name)
        if value:
            yield str(field.alias), value
