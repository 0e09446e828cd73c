"""Certificates as they are issued in the field, right and wrong, and a server's side of TLS with them."""

import ssl
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

_DAY = timedelta(days=1)


@dataclass(frozen=True)
class Issued:
    """A certificate with its key."""

    key: ec.EllipticCurvePrivateKey
    certificate: x509.Certificate

    @property
    def pem(self) -> bytes:
        """The certificate only."""
        return self.certificate.public_bytes(Encoding.PEM)

    @property
    def pem_with_key(self) -> bytes:
        """The private key, then the certificate."""
        return self.key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()) + self.pem


@dataclass(frozen=True, kw_only=True)
class Odd:
    """What may be wrong with a certificate, or only rare. By default nothing is."""

    without: Sequence[str] = ()  # constraints, usage, subject_id, issuer_id
    begins_in_days: float = -1
    ends_in_days: float = 1
    names: Sequence[str] = ("localhost",)
    path_length: int | None = None
    permitted: str = ""
    extended_usage: x509.ObjectIdentifier | None = None


FINE = Odd()


def authority(name: str = "CA", issuer: Issued | None = None, odd: Odd = FINE) -> Issued:
    """Return a CA, a root or one that another has issued."""
    return _issue(name, issuer, odd, is_ca=True)


def server_certificate(issuer: Issued | None, odd: Odd = FINE) -> Issued:
    """Return a server's certificate; without an issuer it is self-signed."""
    return _issue("server", issuer, odd, is_ca=False)


def _issue(name: str, issuer: Issued | None, odd: Odd, *, is_ca: bool) -> Issued:
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])
    issuer_key, issuer_name = (issuer.key, issuer.certificate.subject) if issuer else (key, subject)
    now = datetime.now(UTC).replace(microsecond=0)
    builder = x509.CertificateBuilder(
        issuer_name,
        subject,
        key.public_key(),
        x509.random_serial_number(),
        now + odd.begins_in_days * _DAY,
        now + odd.ends_in_days * _DAY,
    )
    usages = {name: name in (("key_cert_sign", "crl_sign") if is_ca else ("digital_signature",)) for name in _USAGES}
    extensions: dict[str, tuple[x509.ExtensionType, bool]] = {
        "constraints": (x509.BasicConstraints(is_ca, odd.path_length if is_ca else None), True),
        "usage": (x509.KeyUsage(**usages), True),
        "subject_id": (x509.SubjectKeyIdentifier.from_public_key(key.public_key()), False),
    }
    if issuer:
        identifier = x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer_key.public_key())
        extensions["issuer_id"] = (identifier, False)
    if not is_ca:
        extensions["names"] = (x509.SubjectAlternativeName([x509.DNSName(name) for name in odd.names]), False)
    if odd.permitted:
        extensions["permitted"] = (x509.NameConstraints([x509.DNSName(odd.permitted)], None), True)
    if odd.extended_usage:
        extensions["extended"] = (x509.ExtendedKeyUsage([odd.extended_usage]), False)
    for kind, (extension, critical) in extensions.items():
        if kind not in odd.without:
            builder = builder.add_extension(extension, critical)
    return Issued(key, builder.sign(issuer_key, SHA256()))


_USAGES = (
    "digital_signature",
    "content_commitment",
    "key_encipherment",
    "data_encipherment",
    "key_agreement",
    "key_cert_sign",
    "crl_sign",
    "encipher_only",
    "decipher_only",
)


def serving_context(leaf: Issued, *chain: Issued) -> ssl.SSLContext:
    """Return the server's side of TLS with a certificate and what it sends with it."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    with TemporaryDirectory() as folder:
        file = Path(folder) / "all.pem"
        file.write_bytes(b"".join([leaf.pem_with_key, *(issued.pem for issued in chain)]))
        context.load_cert_chain(file)
    return context
