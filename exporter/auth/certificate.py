"""Client certificates: PEM and PFX files as PEM, and their end date."""

from pathlib import Path

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.hazmat.primitives.serialization import pkcs12

from exporter.auth.credential import unreadable
from exporter.errors import AuthenticationError
from exporter.files import read_regular
from exporter.local_text import local_text
from exporter.messages import line
from exporter.redaction import Secret


def read(certificate_file: Path, key_file: Path | None, password: Secret | None) -> tuple[dict[str, str], float]:
    """Read a PEM or PFX certificate with its key; return MSAL's client_credential and its end (Unix).

    Without a thumbprint MSAL signs with PS256 and x5t#S256. Raises AuthenticationError that names the file.
    """
    try:
        key = read_regular(key_file) if key_file else None
        return _parse(read_regular(certificate_file), key, password)
    except OSError as error:
        raise unreadable(Path(error.filename), error) from error
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        raise AuthenticationError(
            line("can't use the certificate {}: {}", certificate_file, local_text(str(error), limit=200)),
            remedy=line(
                "use PEM with its private key (or client_certificate_key_file), or PFX; "
                "a password goes in client_certificate_password_file"
            ),
        ) from error


def _parse(certificate: bytes, key: bytes | None, password: Secret | None) -> tuple[dict[str, str], float]:
    secret = password.reveal().encode() if password else None
    if b"-----BEGIN" not in certificate:
        private_key, leaf, _ = pkcs12.load_key_and_certificates(certificate, secret)
        if private_key is None or leaf is None:
            raise ValueError("the PFX file lacks the certificate or its key")
    else:
        private_key = serialization.load_pem_private_key(key or certificate, secret)
        leaf = x509.load_pem_x509_certificates(certificate)[0]
    if not isinstance(private_key, RSAPrivateKey):
        raise TypeError("Entra ID accepts only RSA keys")
    if leaf.public_key() != private_key.public_key():
        raise ValueError("the private key does not belong to the certificate")
    pem = private_key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    public = leaf.public_bytes(serialization.Encoding.PEM)
    credential = {"private_key": pem.decode(), "public_certificate": public.decode()}
    return credential, leaf.not_valid_after_utc.timestamp()
