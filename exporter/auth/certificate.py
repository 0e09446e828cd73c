"""Client certificates: PEM and PFX files as PEM, their end date, and what they sign."""

import base64
import hashlib
import re
import ssl
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import TypeVar

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.hazmat.primitives.asymmetric.types import PrivateKeyTypes
from cryptography.hazmat.primitives.serialization import pkcs12

from exporter.auth.credential import unreadable
from exporter.errors import AuthenticationError
from exporter.files import read_regular
from exporter.local_text import local_text
from exporter.messages import line
from exporter.redaction import Secret

T = TypeVar("T")

_ASSERTION_SECONDS = 600.0
# To check an RSA key takes tens of milliseconds, and each sign-in needs it several times.
_MAX_KEYS = 128

# Bags of attributes, comments and parameters may stand between the blocks that matter, and blocks without an end.
_BLOCK = re.compile(rb"-----BEGIN ([A-Z0-9 ]+)-----(?:(?!-----BEGIN ).)*?-----END \1-----", re.DOTALL)
_ENCRYPTED = re.compile(rb"-----BEGIN ENCRYPTED|[^\n]*\nProc-Type: 4,ENCRYPTED")
_UNUSABLE = (ValueError, TypeError, UnsupportedAlgorithm)


def read(certificate_file: Path, key_file: Path | None, password: Secret | None) -> tuple[dict[str, str], float]:
    """Read a PEM or PFX certificate with its key; return MSAL's client_credential and its end (Unix).

    Of several certificates the newest that belongs to a key is taken. Raises AuthenticationError that names the file.
    """
    try:
        key = read_regular(key_file) if key_file else None
        return _parse(read_regular(certificate_file), key, password)
    except OSError as error:
        raise unreadable(Path(error.filename), error) from error
    except _UNUSABLE as error:
        raise AuthenticationError(
            line("can't use the certificate {}: {}", certificate_file, local_text(str(error), limit=200)),
            remedy=line(
                "use PEM with its private key (or client_certificate_key_file), or PFX; "
                "a password goes in client_certificate_password_file"
            ),
        ) from error


def begin(credential: Mapping[str, str]) -> float:
    """Return from when the certificate of a credential that `read` returned is valid (Unix)."""
    return x509.load_pem_x509_certificate(credential["public_certificate"].encode()).not_valid_before_utc.timestamp()


def assertion(credential: Mapping[str, str], *, client_id: str, audience: str, now: float) -> str:
    """Return a new client assertion of a credential that `read` returned; `now` is Unix time.

    Entra ID takes PS256 with x5t#S256: learn.microsoft.com/entra/identity-platform/certificate-credentials.
    """
    from msal.oauth2cli import JwtAssertionCreator  # noqa: PLC0415  heavy: the poll threads load it

    der = ssl.PEM_cert_to_DER_cert(credential["public_certificate"])
    creator = JwtAssertionCreator(
        credential["private_key"],
        "PS256",
        sha256_thumbprint=hashlib.sha256(der).hexdigest(),
        headers={"x5c": [base64.b64encode(der).decode()]},
    )
    times = {"issued_at": now, "not_before": now, "expires_at": now + _ASSERTION_SECONDS}
    signed: bytes = creator.create_normal_assertion(audience, client_id, **times)
    return signed.decode()


def _parse(certificate: bytes, key: bytes | None, password: Secret | None) -> tuple[dict[str, str], float]:
    secret = password.reveal().encode() if password else None
    if b"-----BEGIN" in certificate:
        keys, certificates = _pem_keys(key or certificate, secret), _pem_certificates(certificate)
    else:
        keys, certificates = _pfx_content(certificate, secret)
    private_key, leaf = _newest_pair(keys, certificates)
    pem = private_key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    public = leaf.public_bytes(serialization.Encoding.PEM)
    credential = {"private_key": pem.decode(), "public_certificate": public.decode()}
    return credential, leaf.not_valid_after_utc.timestamp()


def _newest_pair(
    keys: Sequence[PrivateKeyTypes], certificates: Sequence[x509.Certificate]
) -> tuple[RSAPrivateKey, x509.Certificate]:
    """Return the key and the certificate to sign in with; raises ValueError, TypeError."""
    usable = [key for key in keys if isinstance(key, RSAPrivateKey)]
    if not usable:
        raise TypeError("Entra ID accepts only RSA keys")
    pairs = [(key, leaf) for leaf in certificates for key in usable if _belong_together(leaf, key)]
    if not pairs:
        raise ValueError("the private key does not belong to the certificate")
    return max(pairs, key=lambda pair: _rank(pair[1], time.time()))


def _rank(certificate: x509.Certificate, now: float) -> tuple[bool, bool, float, float]:
    """Return what is higher for a better certificate: one that is valid now, then any that isn't yet to come."""
    begin, end = certificate.not_valid_before_utc.timestamp(), certificate.not_valid_after_utc.timestamp()
    return (begin <= now, begin <= now < end, begin, end)


def _belong_together(certificate: x509.Certificate, key: RSAPrivateKey) -> bool:
    try:
        return certificate.public_key() == key.public_key()
    except _UNUSABLE:  # an authority's, of a kind that is not supported here
        return False


def _pem_certificates(content: bytes) -> list[x509.Certificate]:
    blocks = [match[0] for match in _BLOCK.finditer(content) if match[1] in (b"CERTIFICATE", b"X509 CERTIFICATE")]
    return _loaded(blocks, x509.load_pem_x509_certificate, "the certificate")


def _pem_keys(content: bytes, password: bytes | None) -> list[PrivateKeyTypes]:
    blocks = [match[0] for match in _BLOCK.finditer(content) if match[1].endswith(b"PRIVATE KEY")]
    return _loaded(blocks, lambda block: _pem_key(block, password), "the private key")


@lru_cache(maxsize=_MAX_KEYS)
def _pem_key(block: bytes, password: bytes | None) -> PrivateKeyTypes:
    return serialization.load_pem_private_key(block, password if _ENCRYPTED.match(block) else None)


def _pfx_content(content: bytes, password: bytes | None) -> tuple[list[PrivateKeyTypes], list[x509.Certificate]]:
    key, leaf, others = pkcs12.load_key_and_certificates(content, password)
    certificates = [leaf, *others] if leaf else others
    if key is None or not certificates:
        raise ValueError("the PFX file lacks the certificate or its key")
    return [key], certificates


def _loaded(blocks: Iterable[bytes], load: Callable[[bytes], T], name: str) -> list[T]:
    """Return what can be loaded of the blocks; raises why the first can't if none can, ValueError if there is none."""
    loaded: list[T] = []
    problem: Exception = ValueError(f"{name} is missing")
    for block in reversed(list(blocks)):
        try:
            loaded.append(load(block))
        except _UNUSABLE as error:
            problem = error
    if not loaded:
        raise problem
    return loaded
