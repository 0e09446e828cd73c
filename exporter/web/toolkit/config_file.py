"""--web.config.file, in exporter-toolkit's format, read again when it changes.

github.com/prometheus/exporter-toolkit/blob/master/docs/web-configuration.md
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Annotated, Any

from pydantic import AfterValidator, Field

from exporter.clock import Clock
from exporter.errors import ConfigurationError, Problem
from exporter.files import read_regular, signature
from exporter.web.toolkit.reloading import SETTLED_SECONDS, NotYetError, Reloading
from exporter.web.toolkit.tls import TlsSettings
from exporter.yaml_file.document import Document, parse
from exporter.yaml_file.types import Strict
from exporter.yaml_file.validation import MAX_FILE_BYTES, read_text, read_text_again, validate

_TLS = "tls_server_config"
_USERS = "basic_auth_users"
# What exporter-toolkit has and this server lacks, with the alternative.
_UNSUPPORTED = {
    (_TLS, "cert"): "put the certificate in a file and set cert_file to its path",
    (_TLS, "key"): "put the key in a file and set key_file to its path",
    (_TLS, "client_ca"): "put the CA certificate in a file and set client_ca_file to its path",
    (_TLS, "curve_preferences"): "remove it: OpenSSL chooses the curve",
    ("rate_limit",): "limit requests in a reverse proxy",
}
# 16 bytes of salt and 23 of hash, in bcrypt's own base64: the last character of each has unused bits.
_BCRYPT = re.compile(r"\$2[abxy]\$([0-9]{2})\$[./A-Za-z0-9]{21}[.Oeu][./A-Za-z0-9]{31}", re.ASCII)
_MIN_COST, _MAX_COST = 4, 18
# The headers that may be set; where values are listed, to nothing else.
_HEADERS = {
    "Content-Security-Policy": (),
    "X-Frame-Options": ("deny", "sameorigin"),
    "X-Content-Type-Options": ("nosniff",),
    "X-XSS-Protection": (),
    "Strict-Transport-Security": (),
}
_VISIBLE = re.compile(r"[\t -~]*", re.ASCII)


@dataclass(frozen=True, slots=True, kw_only=True)
class WebSettings:
    """TLS, headers for every answer, users with their bcrypt hashes. By default, plain HTTP for everybody."""

    tls: TlsSettings | None = None
    headers: tuple[tuple[str, str], ...] = ()
    users: Mapping[str, bytes] = field(default_factory=dict)


class LiveSettings(Reloading[WebSettings]):
    """The newest good content of the file. While the server runs, nothing can be let in that wasn't before.

    A file that is rewritten in place is short at first: one that may have been cut is taken up once it has settled.
    """

    def __init__(self, file: Path, clock: Clock) -> None:
        self._file = file
        super().__init__("web configuration", self._read, partial(signature, file), clock)

    def _read(self, previous: WebSettings | None) -> WebSettings:
        settings = load_web(self._file, previous)
        if previous is not None and self._may_be_cut(settings, previous) and not self._has_settled():
            raise NotYetError
        return settings

    def _may_be_cut(self, settings: WebSettings, previous: WebSettings) -> bool:
        pairs = zip(_amounts(settings), _amounts(previous), strict=True)
        has_less = any(now < before for now, before in pairs)
        return has_less or not read_regular(self._file, MAX_FILE_BYTES).endswith(b"\n")

    def _has_settled(self) -> bool:
        """Return whether nobody is writing the file: by its own time, or, should another machine set that, by ours."""
        age = self.clock.time() - self._file.stat().st_ctime
        return max(age, self.unchanged_for_seconds) >= SETTLED_SECONDS


def _amounts(settings: WebSettings) -> tuple[int, ...]:
    """Return how much there is of everything that a file has less of if its end is missing, and is valid even so."""
    tls = settings.tls
    of_tls = (tls.min_version, len(tls.cipher_suites), len(tls.client_allowed_sans or ())) if tls else ()
    return (len(settings.users), len(settings.headers), *of_tls)


def _no_http2(value: bool) -> bool:  # noqa: FBT001  pydantic calls it
    if value:
        raise ValueError("HTTP/2 is not supported: remove the key, or set it to false")
    return value


def _header_value(value: str) -> str:
    if not _VISIBLE.fullmatch(value):
        raise ValueError("expected one line of ASCII")
    return value.strip()


def _hash(value: str) -> str:
    match = _BCRYPT.fullmatch(value)
    if match is None or int(match[1]) < _MIN_COST:
        raise ValueError("not a bcrypt hash: create one with htpasswd -nBC 10 '' | tr -d ':\\n'")
    if int(match[1]) > _MAX_COST:
        raise ValueError(f"each check would take too long: use a cost of at most {_MAX_COST}, preferably 10")
    return value


class _HttpServer(Strict):
    headers: dict[str, Annotated[str, AfterValidator(_header_value)]] = Field(default_factory=dict)
    http2: Annotated[bool, AfterValidator(_no_http2)] = False


class _WebFile(Strict):
    tls_server_config: TlsSettings | None = None
    http_server_config: _HttpServer = _HttpServer()
    basic_auth_users: dict[str, Annotated[str, AfterValidator(_hash)]] = Field(default_factory=dict)


def load_web(file: Path, previous: WebSettings | None = None) -> WebSettings:
    """Read and check the file; raises ConfigurationError with every problem in it.

    With `previous` settings, which are in use, a file that would let in more clients is a problem too.
    """
    read = read_text if previous is None else read_text_again
    document = parse(read(file, "--web.config.file"), None)
    for path, alternative in _UNSUPPORTED.items():
        if _section(document, *path[:-1]).pop(path[-1], None) is not None:
            document.report(path, f"exporter-toolkit's {path[-1]} is not supported: {alternative}")
    _check_names(document)
    if _section(document).get(_TLS) == {}:
        del document.content[_TLS]  # plain HTTP, as in exporter-toolkit
    # Unlike `resolve`: if the file is a link, as in Kubernetes, the files that it names are beside the link.
    content = validate(_WebFile, document, file.absolute().parent)
    if content is None or document.problems:
        raise ConfigurationError(str(file), tuple(sorted(set(document.problems))))
    settings = WebSettings(
        tls=content.tls_server_config,
        headers=tuple((name, value) for name, value in content.http_server_config.headers.items() if value),
        users={user: hashed.encode() for user, hashed in content.basic_auth_users.items()},
    )
    if previous is not None and (problem := _needs_restart(settings, previous)):
        raise ConfigurationError(str(file), (problem,))
    return settings


def _needs_restart(settings: WebSettings, previous: WebSettings) -> Problem | None:
    """Return what must not change while the server runs: a file that is cut must not open it to everybody."""
    tls, old = settings.tls, previous.tls
    if (tls is None) != (old is None):
        return Problem(0, _TLS, "to switch TLS on or off, restart the exporter")
    if previous.users and not settings.users:
        return Problem(0, _USERS, "to serve without passwords, restart the exporter")
    if tls is not None and old is not None:
        if tls.client_auth_type < old.client_auth_type:
            return Problem(0, f"{_TLS}.client_auth_type", "to require less of clients, restart the exporter")
        if old.client_ca_file is not None and tls.client_ca_file is None:
            return Problem(0, f"{_TLS}.client_ca_file", "to trust the system's CAs instead, restart the exporter")
        if old.client_allowed_sans and not tls.client_allowed_sans:
            return Problem(0, f"{_TLS}.client_allowed_sans", "to accept every client of the CA, restart the exporter")
    return None


def _check_names(document: Document) -> None:
    """Check what depends on keys that the user chooses: the schema knows only their values."""
    path = ("http_server_config", "headers")
    for name, value in _section(document, *path).items():
        allowed = _HEADERS.get(name)
        if allowed is None:
            document.report((*path, name), f"unsupported header: expected one of {', '.join(_HEADERS)}")
        elif allowed and value not in allowed:
            document.report((*path, name), f"expected {' or '.join(allowed)}")
    for name, hashed in _section(document, _USERS).items():
        if hashed is None:  # dropped as empty, it could leave no user, and nobody would need a password
            document.report((_USERS, name), "this user has no hash: add it, or remove the user")
        if ":" in name:
            document.report((_USERS, name), "a user name can't contain a colon: use another")


def _section(document: Document, *path: str) -> dict[str, Any]:
    """Return the mapping at the path, or an empty one."""
    value = document.content
    for key in path:
        value = value.get(key) if isinstance(value, dict) else None
    return value if isinstance(value, dict) else {}
