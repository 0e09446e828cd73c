"""Client certificates as Entra ID accepts them: self-signed, with an RSA key."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    KeySerializationEncryption,
    NoEncryption,
    PrivateFormat,
)
from cryptography.hazmat.primitives.serialization.pkcs12 import serialize_key_and_certificates

Key = rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey


@dataclass(frozen=True)
class ClientIdentity:
    """A certificate and its key, in every format that operators use."""

    key: Key
    certificate: x509.Certificate

    @classmethod
    def new(cls, *, days: int = 365, key: Key | None = None, begin_in_days: int = -1) -> "ClientIdentity":
        """Create one that is valid for some days from yesterday, or from another day."""
        key = key or rsa.generate_private_key(65537, 2048)
        name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "exporter")])
        begin = datetime.now(UTC).replace(microsecond=0) + timedelta(days=begin_in_days)
        builder = x509.CertificateBuilder(
            name, name, key.public_key(), x509.random_serial_number(), begin, begin + timedelta(days=days)
        )
        return cls(key, builder.sign(key, SHA256()))

    @property
    def expires_at(self) -> float:
        """The certificate's expiry in Unix seconds."""
        return self.certificate.not_valid_after_utc.timestamp()

    @property
    def certificate_pem(self) -> bytes:
        """The certificate only."""
        return self.certificate.public_bytes(Encoding.PEM)

    def key_pem(self, password: str = "") -> bytes:
        """Return the private key only, encrypted if there is a password."""
        return self.key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, _encryption(password))

    def pfx(self, password: str = "", *, others: Sequence["ClientIdentity"] = ()) -> bytes:
        """Return certificate and key as PFX, with certificates of others, encrypted if there is a password."""
        extra = [other.certificate for other in others] or None
        return serialize_key_and_certificates(b"exporter", self.key, self.certificate, extra, _encryption(password))


def _encryption(password: str) -> KeySerializationEncryption:
    return BestAvailableEncryption(password.encode()) if password else NoEncryption()
