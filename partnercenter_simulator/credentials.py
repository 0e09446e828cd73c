"""The credentials of a confidential client: secrets, certificates and federated tokens."""

import hashlib
import threading
from collections.abc import Mapping, Sequence

import jwt
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.hazmat.primitives.serialization import Encoding
from jwt.exceptions import InvalidSubjectError
from jwt.types import Options

from partnercenter_simulator.entra_errors import EntraRefusal
from partnercenter_simulator.tokens import base64url

_LEEWAY_SECONDS = 300
_UNTIMED = Options(verify_exp=False, verify_nbf=False, verify_iat=False)
_JWT_BEARER = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"


class ClientCredentials:
    """The credentials registered for one application, any number of each kind, to test rotation."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._secrets: dict[str, float] = {}
        self._keys: dict[str, RSAPublicKey] = {}
        self._federated: set[str] = set()

    def accept_secret(self, secret: str, *, expires_at: float = float("inf")) -> None:
        """Accept a secret; after `expires_at` (seconds since 1970) it is refused with 7000222."""
        with self._lock:
            self._secrets[secret] = expires_at

    def refuse_secret(self, secret: str) -> None:
        """Remove a secret, which is then refused with 7000215."""
        with self._lock:
            self._secrets.pop(secret, None)

    def register_certificate(self, pem: bytes | str) -> None:
        """Accept assertions signed with this certificate's key, by its SHA-1 or SHA-256 thumbprint.

        Raises TypeError unless it is an RSA key.
        """
        certificate = x509.load_pem_x509_certificate(pem.encode() if isinstance(pem, str) else pem)
        key = certificate.public_key()
        if not isinstance(key, RSAPublicKey):
            raise TypeError("Entra ID accepts only certificates with an RSA key")
        der = certificate.public_bytes(Encoding.DER)
        sha1 = hashlib.sha1(der, usedforsecurity=False).digest()
        with self._lock:
            self._keys |= {f"x5t {base64url(sha1)}": key, f"x5t#S256 {base64url(hashlib.sha256(der).digest())}": key}

    def register_federated_token(self, token: str) -> None:
        """Accept exactly this token as a client assertion, as if from a trusted identity provider."""
        with self._lock:
            self._federated.add(token)

    def check(self, form: Mapping[str, str], *, audiences: Sequence[str], now: float) -> None:
        """Raise EntraRefusal unless the form contains a registered credential."""
        if form.get("client_assertion_type") == _JWT_BEARER and "client_assertion" in form:
            self._check_assertion(form["client_assertion"], form["client_id"], audiences, now)
        elif "client_secret" in form:
            self._check_secret(form["client_secret"], now)
        else:
            raise EntraRefusal(7000218)

    def _check_secret(self, secret: str, now: float) -> None:
        with self._lock:
            expires_at = self._secrets.get(secret)
        if expires_at is None:
            raise EntraRefusal(7000215)
        if expires_at <= now:
            raise EntraRefusal(7000222)

    def _check_assertion(self, assertion: str, client_id: str, audiences: Sequence[str], now: float) -> None:
        with self._lock:
            if assertion in self._federated:
                return
        try:
            key = self._key(jwt.get_unverified_header(assertion))
            claims = jwt.decode(
                assertion,
                key,
                algorithms=["RS256", "PS256"],
                audience=audiences,
                issuer=client_id,
                subject=client_id,
                # By the simulator's clock, below.
                options={**_UNTIMED, "require": ["aud", "exp", "iss", "sub"]},
            )
        except jwt.PyJWTError as error:
            raise EntraRefusal(_assertion_code(error)) from error
        if not _is_timely(claims, now):
            raise EntraRefusal(700024)

    def _key(self, header: Mapping[str, object]) -> RSAPublicKey:
        with self._lock:
            for name in ("x5t#S256", "x5t"):
                key = self._keys.get(f"{name} {str(header.get(name, '')).rstrip('=')}")
                if key is not None:
                    return key
        # Without a thumbprint it can only be a federated token.
        raise EntraRefusal(700027 if {"x5t", "x5t#S256"} & header.keys() else 700213)


def _is_timely(claims: Mapping[str, object], now: float) -> bool:
    """Return whether this is the time of an assertion, give or take five minutes."""
    begins = [value for name in ("nbf", "iat") if isinstance(value := claims.get(name), int | float)]
    end = claims["exp"]
    begun = all(begin <= now + _LEEWAY_SECONDS for begin in begins)
    return begun and isinstance(end, int | float) and now < end + _LEEWAY_SECONDS


def _assertion_code(error: jwt.PyJWTError) -> int:
    if isinstance(error, jwt.InvalidAudienceError):
        return 700023
    if isinstance(error, jwt.InvalidIssuerError | InvalidSubjectError):
        return 700021
    return 700027 if isinstance(error, jwt.InvalidSignatureError) else 700213
