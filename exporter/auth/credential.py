"""The application's own credential: read from its files at each use, so that a rotation needs no restart.

Each kind has `files()`, whose change means a new credential; `for_msal()`, which returns MSAL's
client_credential and raises AuthenticationError; and `expiry()`, in Unix seconds where it is known.
"""

import codecs
import unicodedata
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from exporter.errors import AuthenticationError
from exporter.files import read_regular
from exporter.local_text import local_text
from exporter.messages import Line, line
from exporter.permissions import User, why_denied
from exporter.redaction import Secret

_MAX_SECRET_BYTES = 64 * 1024
_CONTROLS = {"\n": "a line feed", "\r": "a carriage return", "\t": "a tab", "\0": "NUL"}


@dataclass(frozen=True, slots=True, kw_only=True)
class ClientSecret:
    """A client secret, given as a value or in a file; `expires_at` only if the operator configured it."""

    value: Secret | None = None
    file: Path | None = None
    expires_at: float | None = None

    def files(self) -> tuple[Path, ...]:
        """Return the secret's file, if it has one."""
        return (self.file,) if self.file else ()

    def for_msal(self) -> str:
        """Return the secret."""
        if self.file:
            return read_secret_file(self.file)
        return self.value.reveal() if self.value else ""

    def expiry(self) -> float | None:
        """Return what the operator configured."""
        return self.expires_at


@dataclass(frozen=True, slots=True, kw_only=True)
class ClientCertificate:
    """A certificate with its private key: PEM (the key in the same file or its own) or PFX."""

    certificate_file: Path
    key_file: Path | None = None
    password_file: Path | None = None

    def files(self) -> tuple[Path, ...]:
        """Return the files that there are."""
        return tuple(file for file in (self.certificate_file, self.key_file, self.password_file) if file)

    def for_msal(self) -> Mapping[str, str]:
        """Return key and certificate."""
        return self._load()[0]

    def expiry(self) -> float:
        """Return the certificate's own end date; raises AuthenticationError."""
        return self._load()[1]

    def begin(self) -> float:
        """Return from when the certificate is valid, in Unix seconds; raises AuthenticationError."""
        from exporter.auth import certificate  # noqa: PLC0415  as below

        return certificate.begin(self._load()[0])

    def _load(self) -> tuple[Mapping[str, str], float]:
        from exporter.auth import certificate  # noqa: PLC0415  cryptography is heavy; few need it

        password = Secret(read_password_file(self.password_file)) if self.password_file else None
        return certificate.read(self.certificate_file, self.key_file, password)


@dataclass(frozen=True, slots=True)
class FederatedToken:
    """A token that another authority (a Kubernetes cluster, for example) keeps renewing in a file."""

    token_file: Path

    def files(self) -> tuple[Path, ...]:
        """Return nothing: the file changes all the time, and is read at each use."""
        return ()

    def for_msal(self) -> Mapping[str, Callable[[], str]]:
        """Return a function: MSAL calls it for the assertion at each request."""
        # A method, unlike a lambda, equals itself at the next call: the credential has not changed.
        return {"client_assertion": self._assertion}

    def expiry(self) -> float | None:
        """Return None: the issuer renews the token by itself."""
        return None

    def _assertion(self) -> str:
        return read_secret_file(self.token_file).strip()


Credential = ClientSecret | ClientCertificate | FederatedToken


def secret_text(text: str) -> str:
    """Return a secret without a byte-order mark and line ends around it.

    Raises ValueError that names the first character which no secret has (RFC 6749, appendix A), and nothing else of it.
    """
    secret = without_line_ends(text)
    for place, character in enumerate(secret, 1):
        if not " " <= character <= "~":
            name = local_text(_CONTROLS.get(character, unicodedata.name(character, "a control character")))
            raise ValueError(
                line("character {} is U+{:04X} ({}), which no secret contains: remove it", place, ord(character), name)
            )
    return secret


def without_line_ends(text: str) -> str:
    """Return a text without a byte-order mark and line ends around it: editors and shells add them."""
    return text.strip("\ufeff\r\n")


def decoded(content: bytes) -> str:
    """Return a secret file's text, which some editors write as UTF-16; raises UnicodeDecodeError."""
    is_utf16 = content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)) and content[2:]
    return content.decode("utf-16" if is_utf16 else "utf-8-sig")


def read_secret_file(path: Path) -> str:
    """Return the secret in a file; raises AuthenticationError."""
    text = read_password_file(path)
    try:
        return secret_text(text)
    except ValueError as error:
        message = line("can't use the secret in {}: {}", path, local_text(str(error)))
        raise AuthenticationError(message, remedy=line("write nothing but the secret to the file")) from error


def read_password_file(path: Path) -> str:
    """Return the password in a file, which may be any text; raises AuthenticationError."""
    try:
        return without_line_ends(decoded(read_regular(path, max_bytes=_MAX_SECRET_BYTES)))
    except OSError as error:
        raise unreadable(path, error) from error
    except UnicodeDecodeError as error:
        raise unreadable(path, line("it is not text")) from error


def unreadable(path: Path, reason: Line | OSError) -> AuthenticationError:
    """Return the error for a file that can't be read."""
    message = line("can't read {}: {}", path, reason)
    if isinstance(reason, PermissionError):
        why, remedy = why_denied(path, User.current())
        return AuthenticationError(line("{}; {}", message, why) if why else message, remedy=remedy)
    return AuthenticationError(message, remedy=line("check the file and its permissions"))
