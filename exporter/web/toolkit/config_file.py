"""--web.config.file, in exporter-toolkit's format.

github.com/prometheus/exporter-toolkit/blob/master/docs/web-configuration.md. What Prometheus' own exporters
refuse is refused; what Python's ssl can't do is refused by name.
"""

import re
import ssl
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BeforeValidator, Field

from exporter.errors import ConfigurationError
from exporter.web.toolkit.settings import TlsSettings, WebSettings
from exporter.web.toolkit.tls import build_context
from exporter.yaml_file.document import Document, parse
from exporter.yaml_file.types import FilePath, Strict
from exporter.yaml_file.validation import read_text, validate

# Go's names (tls.CipherSuites) in OpenSSL's words. Those of TLS 1.3 may be named, but not chosen: as in Go
# they are always on.
_CIPHERS = {
    "TLS_AES_128_GCM_SHA256": "",
    "TLS_AES_256_GCM_SHA384": "",
    "TLS_CHACHA20_POLY1305_SHA256": "",
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
_TLS = "tls_server_config"
_UNVERIFIED = ("RequestClientCert", "RequireAnyClientCert", "RequireClientCert")
# What exporter-toolkit knows beside what is served here, with the way out.
_NOT_SERVED = {
    (_TLS, "cert"): "put the certificate into a file and name it with cert_file",
    (_TLS, "key"): "put the key into a file and name it with key_file",
    (_TLS, "client_ca"): "put the authority into a file and name it with client_ca_file",
    (_TLS, "client_allowed_sans"): "use an authority that signs these clients only",
    (_TLS, "curve_preferences"): "leave it out: OpenSSL chooses the curve",
    ("rate_limit",): "limit requests in a proxy in front of this exporter",
}
# 16 bytes of salt and 23 of hash, in bcrypt's own base64: the last character of each has unused bits.
_BCRYPT = re.compile(r"\$2[abxy]\$([0-9]{2})\$[./A-Za-z0-9]{21}[.Oeu][./A-Za-z0-9]{31}", re.ASCII)
_LEAST_COST, _HIGHEST_COST = 4, 18
# Each header that may be set, with its values where they are counted.
_HEADERS = {
    "Content-Security-Policy": (),
    "X-Frame-Options": ("deny", "sameorigin"),
    "X-Content-Type-Options": ("nosniff",),
    "X-XSS-Protection": (),
    "Strict-Transport-Security": (),
}
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
        raise ValueError(f"there is no such cipher suite; known are {', '.join(_CIPHERS)}")
    return value


def _hash(value: str) -> str:
    match = _BCRYPT.fullmatch(value)
    if match is None or int(match[1]) < _LEAST_COST:
        raise ValueError("this is no bcrypt hash: make one with htpasswd -nBC 10 '' | tr -d ':\\n'")
    if int(match[1]) > _HIGHEST_COST:
        raise ValueError(
            f"a check would take too long: make the hash with a cost of {_HIGHEST_COST} at most, better 10"
        )
    return value


def _no_http2(value: bool) -> bool:  # noqa: FBT001  pydantic calls it
    if value:
        raise ValueError("this server has no HTTP/2: leave the key out, or say false")
    return value


def _header_value(value: str) -> str:
    if not _VISIBLE.fullmatch(value):
        raise ValueError("a header is one line of ASCII")
    return value.strip()


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
    cipher_suites: list[Annotated[str, AfterValidator(_cipher)]] = Field(default_factory=list)
    # Accepted and ignored by exporter-toolkit too.
    prefer_server_cipher_suites: bool = True


class _HttpServer(Strict):
    headers: dict[str, HeaderValue | None] = Field(default_factory=dict)
    http2: Annotated[bool, AfterValidator(_no_http2)] = False


class _WebFile(Strict):
    tls_server_config: _Tls | None = None
    http_server_config: _HttpServer = _HttpServer()
    basic_auth_users: dict[str, Annotated[str, AfterValidator(_hash)]] = Field(default_factory=dict)


def load_web(file: Path) -> WebSettings:
    """Read and check the file; raises ConfigurationError with every mistake in it."""
    document = parse(read_text(file, "--web.config.file"), None)
    _refuse_unserved(document)
    _check_names(document)
    # Unlike `resolve`: where the file is a link, as in Kubernetes, what it names stands beside the link.
    content = validate(_WebFile, document, file.absolute().parent)
    settings = None
    if content is not None:
        tls = content.tls_server_config
        if not _section(document, _TLS):
            tls = None  # an empty section is plain HTTP, as in exporter-toolkit
        if tls is not None:
            _check_tls(document, tls)
        settings = WebSettings(
            tls=_tls_settings(document, tls) if tls is not None and not document.problems else None,
            headers=tuple(
                (name, value) for name, value in content.http_server_config.headers.items() if value
            ),
            users={user: hashed.encode() for user, hashed in content.basic_auth_users.items()},
        )
    if document.problems or settings is None:
        raise ConfigurationError(str(file), tuple(sorted(set(document.problems))))
    return settings


def _refuse_unserved(document: Document) -> None:
    for path, remedy in _NOT_SERVED.items():
        if _section(document, *path[:-1]).pop(path[-1], None) is not None:
            document.report(path, f"exporter-toolkit's {path[-1]} is not served here: {remedy}")


def _check_names(document: Document) -> None:
    """Check what depends on the user's own keys: the schema knows their values only."""
    where = ("http_server_config", "headers")
    for name, value in _section(document, *where).items():
        values = _HEADERS.get(name)
        if values is None:
            document.report((*where, name), f"this header can't be set: known are {', '.join(_HEADERS)}")
        elif values and value not in values:
            document.report((*where, name), f"this must be {' or '.join(values)}")
    for name, hashed in _section(document, "basic_auth_users").items():
        if hashed is None:  # without it this would be no user, and without users no password is asked
            document.report(("basic_auth_users", name), "this user has no hash: add it, or remove the user")
        if ":" in name:
            document.report(("basic_auth_users", name), "no user's name can hold a colon: choose another")


def _section(document: Document, *path: str) -> dict[str, Any]:
    """Return the mapping at the path; an empty one where there is none."""
    place = document.content
    for key in path:
        place = place.get(key) if isinstance(place, dict) else None
    return place if isinstance(place, dict) else {}


def _check_tls(document: Document, tls: _Tls) -> None:
    for key, other in (("cert_file", "key_file"), ("key_file", "cert_file")):
        if getattr(tls, key) is None:
            document.report((_TLS, key), f"this key is missing: {other} needs it, and TLS needs both")
    if tls.client_ca_file is not None and tls.client_auth_type == "NoClientCert":
        document.report(
            (_TLS, "client_ca_file"),
            "this goes with a client_auth_type that verifies: set it, or remove this",
        )
    for key in ("cert_file", "key_file", "client_ca_file"):
        file = getattr(tls, key)
        try:
            if file is not None:
                file.open("rb").close()
        except OSError as error:
            document.report((_TLS, key), f"can't read {file}: {error.strerror}")
    if _minimum(tls) > _VERSIONS[tls.max_version]:
        document.report(
            (_TLS, "max_version"), "no version is left: look at min_version and at cipher_suites too"
        )


def _tls_settings(document: Document, tls: _Tls) -> TlsSettings | None:
    """Return the settings, once a context could be made of them; else the document holds the reason."""
    if tls.cert_file is None or tls.key_file is None:
        return None
    settings = TlsSettings(
        cert_file=tls.cert_file,
        key_file=tls.key_file,
        client_ca_file=tls.client_ca_file,
        verify=_CLIENT_AUTH[tls.client_auth_type],
        minimum=_minimum(tls),
        maximum=_VERSIONS[tls.max_version],
        ciphers=_openssl_ciphers(tls),
    )
    try:
        build_context(settings)
    except (OSError, ssl.SSLError, ValueError) as error:
        names = ", ".join(str(each) for each in settings.files())
        document.report(
            (_TLS,),
            f"can't serve TLS with {names}: {error}; give certificates and the key as PEM, unencrypted",
        )
    return settings


def _minimum(tls: _Tls) -> ssl.TLSVersion:
    only_newest = tls.cipher_suites and not any(_CIPHERS[name] for name in tls.cipher_suites)
    return _VERSIONS["TLS13" if only_newest else tls.min_version]


def _openssl_ciphers(tls: _Tls) -> str | None:
    """Return what OpenSSL is told; None leaves the choice to Python."""
    names = [_CIPHERS[name] for name in tls.cipher_suites if _CIPHERS[name]]
    if _minimum(tls) >= ssl.TLSVersion.TLSv1_2:
        return ":".join(names) or None
    # TLS 1.0 and 1.1 sign with SHA-1, which OpenSSL has at its lowest level only.
    return ":".join([*(names or ["DEFAULT"]), "@SECLEVEL=0"])
