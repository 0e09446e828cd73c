"""The application's own credential: read from its files at each use, so that a rotation needs no restart."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from exporter.errors import AuthenticationError
from exporter.redaction import Secret


@dataclass(frozen=True, slots=True)
class SecretSource:
    """A secret given as a value, or in a file that is read anew at each use."""

    value: Secret | None = None
    file: Path | None = None

    def read(self) -> Secret:
        """Return the secret without its last line break; raises AuthenticationError."""
        if self.file is None:
            return self.value or Secret("")
        return Secret(read_secret_file(self.file).removesuffix("\n").removesuffix("\r"))


@dataclass(frozen=True, slots=True)
class ClientSecret:
    """A client secret; `expires_at` (Unix seconds) only where the operator wrote it down."""

    secret: SecretSource
    expires_at: float | None = None

    def files(self) -> tuple[Path, ...]:
        """Return the files whose change means a new credential."""
        return (self.secret.file,) if self.secret.file else ()

    def for_msal(self) -> str:
        """Return what MSAL takes as client_credential; raises AuthenticationError."""
        return self.secret.read().reveal()

    def expiry(self) -> float | None:
        """Return when the credential ends, in Unix seconds, where that is known."""
        return self.expires_at


@dataclass(frozen=True, slots=True)
class ClientCertificate:
    """A certificate with its private key: PEM (the key in the same file or its own) or PFX."""

    certificate_file: Path
    key_file: Path | None = None
    password: SecretSource | None = None

    def files(self) -> tuple[Path, ...]:
        """Return the files whose change means a new credential."""
        password_file = self.password.file if self.password else None
        return tuple(f for f in (self.certificate_file, self.key_file, password_file) if f)

    def for_msal(self) -> Mapping[str, Any]:
        """Return what MSAL takes as client_credential; raises AuthenticationError."""
        from exporter.auth import certificate  # noqa: PLC0415  cryptography is heavy; few need it

        password = self.password.read() if self.password else None
        return certificate.for_msal(self.certificate_file, self.key_file, password)

    def expiry(self) -> float | None:
        """Return the certificate's own end, in Unix seconds; raises AuthenticationError."""
        from exporter.auth import certificate  # noqa: PLC0415  as above

        password = self.password.read() if self.password else None
        return certificate.read(self.certificate_file, self.key_file, password).expires_at


@dataclass(frozen=True, slots=True)
class FederatedToken:
    """A token that another authority (a Kubernetes cluster, say) keeps fresh in a file."""

    token_file: Path

    def files(self) -> tuple[Path, ...]:
        """Return nothing: the file changes all the time, and is read at each use."""
        return ()

    def for_msal(self) -> Mapping[str, Callable[[], str]]:
        """Return what MSAL takes as client_credential: it asks for the assertion at each request."""
        return {"client_assertion": self._assertion}

    def _assertion(self) -> str:
        return read_secret_file(self.token_file).strip()

    def expiry(self) -> float | None:
        """Return None: the issuer renews the token by itself."""
        return None


Credential = ClientSecret | ClientCertificate | FederatedToken


def read_secret_file(path: Path) -> str:
    """Return the file's text; raises AuthenticationError."""
    try:
        return path.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not text"
        raise AuthenticationError(
            f"can't read {path}: {reason}", remedy="look at the file and its permissions"
        ) from error
