"""--http.config.file, in Prometheus' format: how the requests to Prometheus are made.

prometheus.io/docs/prometheus/latest/configuration/configuration/#http_config
"""

import base64
import re
import ssl
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any

from pydantic import AfterValidator, BeforeValidator, Field

from exporter.auth.credential import read_secret_file, secret_text
from exporter.errors import AuthenticationError, ConfigurationError
from exporter.files import check_pem
from exporter.permissions import reason_of
from exporter.redaction import Secret
from exporter.upstream.proxies import bare, fix_for, is_usable
from exporter.upstream.trust import Trust
from exporter.yaml_file.document import Document, KeyPath, parse
from exporter.yaml_file.types import FilePath, Strict
from exporter.yaml_file.validation import read_text, validate

FLAG = "--http.config.file"
# What Prometheus has and this client lacks, with the alternative.
_UNSUPPORTED: dict[tuple[str, ...], str] = {
    ("oauth2",): "give a token that another program renews with authorization.credentials_file",
    ("no_proxy",): "set the environment variable NO_PROXY",
    ("proxy_from_environment",): "remove it: without proxy_url, HTTPS_PROXY and NO_PROXY count",
    ("proxy_connect_header",): "use a proxy that takes user and password in proxy_url",
    ("tls_config", "ca"): "put the certificates in a file and set ca_file to its path",
    ("tls_config", "cert"): "put the certificate in a file and set cert_file to its path",
    ("tls_config", "key"): "put the key in a file and set key_file to its path",
    ("tls_config", "server_name"): "give the name that the certificate is for in --prometheus",
    ("tls_config", "max_version"): "remove it: the newest version that both sides know is used",
}
_VERSIONS = {
    "TLS10": ssl.TLSVersion.TLSv1,
    "TLS11": ssl.TLSVersion.TLSv1_1,
    "TLS12": ssl.TLSVersion.TLSv1_2,
    "TLS13": ssl.TLSVersion.TLSv1_3,
}
_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+", re.ASCII)  # RFC 9110, 5.6.2
_VISIBLE = re.compile(r"[\t -~]*", re.ASCII)
# What this client sends itself, and what would contradict its other settings.
_RESERVED = ("authorization", "host", "content-length", "accept-encoding", "user-agent", "connection")


def _pem(file: Path) -> Path:
    try:
        check_pem(file)
    except OSError as error:
        raise ValueError(f"can't read {file}: {reason_of(file, error)}") from error
    return file


def _version(name: Any) -> ssl.TLSVersion:
    if name not in tuple(_VERSIONS):
        raise ValueError(f"expected one of {', '.join(_VERSIONS)}")
    return _VERSIONS[name]


def _proxy_url(value: str) -> str:
    if not is_usable(bare(value)):
        raise ValueError(fix_for(value))
    return bare(value)


def _one_line(value: str) -> str:
    if not _VISIBLE.fullmatch(value):
        raise ValueError("expected one line of ASCII")
    return value.strip()


def _no_redirects(value: bool) -> bool:  # noqa: FBT001  pydantic calls it
    if value:
        raise ValueError("redirects are not followed: remove the key, and give the address that they lead to")
    return value


_Inline = Annotated[str, Field(min_length=1), AfterValidator(secret_text)]
_Pem = Annotated[FilePath, AfterValidator(_pem)]
_Value = Annotated[str, AfterValidator(_one_line)]


class _BasicAuth(Strict):
    username: _Inline | None = Field(default=None, repr=False)
    username_file: FilePath | None = None
    password: _Inline | None = Field(default=None, repr=False)
    password_file: FilePath | None = None


class _Authorization(Strict):
    type: _Value = "Bearer"
    credentials: _Inline | None = Field(default=None, repr=False)
    credentials_file: FilePath | None = None


class _Tls(Strict):
    ca_file: _Pem | None = None
    cert_file: _Pem | None = None
    key_file: _Pem | None = None
    insecure_skip_verify: bool = False
    min_version: Annotated[ssl.TLSVersion, BeforeValidator(_version)] | None = None


class _Header(Strict):
    values: list[_Value] = Field(default_factory=list)
    secrets: list[_Inline] = Field(default_factory=list, repr=False)
    files: list[FilePath] = Field(default_factory=list)


class _HttpFile(Strict):
    basic_auth: _BasicAuth | None = None
    authorization: _Authorization | None = None
    bearer_token: _Inline | None = Field(default=None, repr=False)
    bearer_token_file: FilePath | None = None
    tls_config: _Tls = _Tls()
    proxy_url: Annotated[str, AfterValidator(_proxy_url)] | None = Field(default=None, repr=False)
    follow_redirects: Annotated[bool, AfterValidator(_no_redirects)] = False
    enable_http2: bool = True
    http_headers: dict[str, _Header] = Field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class HttpConfig:
    """How to reach Prometheus. `headers` go with every request; what of them must not be shown is in `secrets`."""

    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    secrets: tuple[Secret, ...] = ()
    tls: _Tls = field(default_factory=_Tls)
    proxy_url: str | None = field(default=None, repr=False)

    def trust(self) -> Trust:
        """Return whose certificates are trusted, with the client's own; raises OSError if a file can't be used."""
        trust = Trust(self.tls.ca_file)
        if self.tls.min_version is not None:
            trust.context.minimum_version = self.tls.min_version
        if self.tls.cert_file is not None:
            trust.context.load_cert_chain(self.tls.cert_file, self.tls.key_file)
        if self.tls.insecure_skip_verify:
            trust.context.check_hostname = False
            trust.context.verify_mode = ssl.CERT_NONE
        return trust


def load_http_config(file: Path) -> HttpConfig:
    """Read and check the file, and the files that it names; raises ConfigurationError with every problem."""
    document = parse(read_text(file, FLAG), None)
    for path, alternative in _UNSUPPORTED.items():
        if _section(document.content, path[:-1]).pop(path[-1], None) is not None:
            document.report(path, f"Prometheus' {path[-1]} is not supported: {alternative}")
    content = validate(_HttpFile, document, file.absolute().parent)
    config = _Reading(document, content).config() if content else None
    if config is None or document.problems:
        raise ConfigurationError(str(file), tuple(sorted(set(document.problems))))
    return config


def _section(content: Any, path: KeyPath) -> dict[str, Any]:
    """Return the mapping at the path, or an empty one."""
    for key in path:
        content = content.get(key) if isinstance(content, dict) else None
    return content if isinstance(content, dict) else {}


@dataclass(slots=True)
class _Reading:
    """The valid file, what is wrong between its keys, and what is in the files that it names."""

    document: Document
    file: _HttpFile
    secrets: list[Secret] = field(default_factory=list)

    def config(self) -> HttpConfig:
        """Return what it says; problems are the document's."""
        headers = {name: self._header(name, given) for name, given in self.file.http_headers.items()}
        if authorization := self._authorization():
            headers["Authorization"] = authorization
        config = HttpConfig(
            headers=headers, secrets=tuple(self.secrets), tls=self.file.tls_config, proxy_url=self.file.proxy_url
        )
        self._check_tls(config)
        return config

    def _authorization(self) -> str:
        """Return the header's value, empty without one."""
        given = [key for key in ("basic_auth", "authorization") if getattr(self.file, key) is not None]
        given += [key for key in ("bearer_token", "bearer_token_file") if getattr(self.file, key)]
        for key in given[1:]:
            self.document.report((key,), f"more than one way to authenticate ({', '.join(given)}): keep one")
        if basic := self.file.basic_auth:
            at = ("basic_auth",)
            user = self._one(at, "username", basic.username, basic.username_file)
            password = self._hide(self._one(at, "password", basic.password, basic.password_file))
            if not user:
                self.document.report(at, "username or username_file is required")
            return f"Basic {self._hide(base64.b64encode(f'{user}:{password}'.encode()).decode())}"
        if authorization := self.file.authorization:
            at = ("authorization",)
            if authorization.type.lower() == "basic":
                self.document.report((*at, "type"), "for user and password, use basic_auth instead")
            token = self._hide(self._one(at, "credentials", authorization.credentials, authorization.credentials_file))
            if not token:
                self.document.report(at, "credentials or credentials_file is required")
            return f"{authorization.type} {token}"
        token = self._hide(self._one((), "bearer_token", self.file.bearer_token, self.file.bearer_token_file))
        return f"Bearer {token}" if token else ""

    def _header(self, name: str, given: _Header) -> str:
        path = ("http_headers", name)
        if not _TOKEN.fullmatch(name) or name.lower() in _RESERVED:
            self.document.report(path, "this header can't be set here: choose another name")
        secrets = [self._hide(secret) for secret in given.secrets]
        files = [self._hide(self._read((*path, "files", index), file)) for index, file in enumerate(given.files)]
        return ", ".join([*given.values, *secrets, *files])

    def _one(self, path: KeyPath, key: str, inline: str | None, file: Path | None) -> str:
        """Return what is given inline or in a file, empty for neither."""
        if inline is not None and file is not None:
            self.document.report((*path, f"{key}_file"), f"{key} is given as well: keep one")
        if file is not None:
            return self._read((*path, f"{key}_file"), file)
        return inline or ""

    def _read(self, path: KeyPath, file: Path) -> str:
        try:
            secret = read_secret_file(file).strip()
        except AuthenticationError as error:
            self.document.report(path, f"{error.message}: {error.remedy}")
            return ""
        if not secret:
            self.document.report(path, f"{file} is empty: write the secret to it")
        return secret

    def _hide(self, secret: str) -> str:
        self.secrets += [Secret(secret)] if secret else []
        return secret

    def _check_tls(self, config: HttpConfig) -> None:
        at = ("tls_config",)
        if config.tls.key_file is not None and config.tls.cert_file is None:
            self.document.report((*at, "key_file"), "only valid with cert_file: add that, or remove this")
        try:
            config.trust()
        except (OSError, ssl.SSLError) as error:
            files = [str(file) for file in (config.tls.ca_file, config.tls.cert_file, config.tls.key_file) if file]
            reason = getattr(error, "reason", None) or error.strerror or type(error).__name__
            self.document.report(at, f"can't use {', '.join(files)} ({reason}): each must contain PEM, the key its own")
