"""What is wrong with a certificate that was refused: its dates, names and issuer, of which OpenSSL says nothing."""

from collections.abc import Iterator, Sequence
from contextlib import suppress
from datetime import UTC, datetime

from cryptography import x509
from cryptography.x509 import Certificate

from exporter.errors import NOTHING
from exporter.messages import Line, line
from exporter.redaction import Redactor

# X509_V_ERR_… of openssl/x509_vfy.h.
_NOT_YET_VALID, _EXPIRED = 9, 10
_UNKNOWN_ISSUER = (2, 7, 18, 19, 20, 21)
_ANOTHER_HOST = (62, 64)
_MAX_CERTIFICATES = 20
_MAX_NAMES = 5
_HEADER, _LENGTH = 4, 3


def detail_of(sent: bytes, code: int, redactor: Redactor) -> Line:
    """Return what OpenSSL's code is about, read from the Certificate message of a handshake; empty if unknown."""
    with suppress(Exception):  # a certificate may be wrong in any way, and it was refused anyway
        return _detail(_certificates(sent), code, redactor)
    return NOTHING


def _detail(chain: Sequence[Certificate], code: int, redactor: Redactor) -> Line:
    if not chain:
        return NOTHING
    now = datetime.now(UTC)
    if code == _EXPIRED:
        ends = [found.not_valid_after_utc for found in chain if found.not_valid_after_utc < now]
        return line(", it was valid until {}", _moment(ends[0], redactor)) if ends else NOTHING
    if code == _NOT_YET_VALID:
        begins = [found.not_valid_before_utc for found in chain if found.not_valid_before_utc > now]
        return line(", it is valid from {}", _moment(begins[0], redactor)) if begins else NOTHING
    if code in _UNKNOWN_ISSUER:
        return line(", its issuer is {}", redactor.quote(_last_issuer(chain)))
    if code in _ANOTHER_HOST:
        return line(", it is for {}", redactor.quote(", ".join(_names(chain[0])) or "no host name"))
    return NOTHING


def _moment(at: datetime, redactor: Redactor) -> Line:
    return redactor.quote(f"{at:%Y-%m-%d %H:%M} UTC")


def _last_issuer(chain: Sequence[Certificate]) -> str:
    """Return who issued the last certificate that leads from the server's own to a CA."""
    known = {found.subject: found for found in chain}
    last, seen = chain[0], 0
    while last.issuer in known and known[last.issuer] != last and seen < len(chain):
        last, seen = known[last.issuer], seen + 1
    return last.issuer.rfc4514_string()


def _names(certificate: Certificate) -> Sequence[str]:
    found: list[str] = []
    with suppress(x509.ExtensionNotFound):
        names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        found = [str(name.value) for name in names if isinstance(name, x509.DNSName | x509.IPAddress)]
    return found if len(found) <= _MAX_NAMES else [*found[:_MAX_NAMES], "…"]


def _certificates(message: bytes) -> Sequence[Certificate]:
    """Return what a Certificate message holds, the server's own first (RFC 5246, 7.4.2; RFC 8446, 4.4.2)."""
    return [x509.load_der_x509_certificate(der) for der in _entries(message)]


def _entries(message: bytes) -> Iterator[bytes]:
    # TLS 1.3 begins with an empty context, one byte; a list of certificates is never as long as to look like that.
    is_tls_1_3 = _number(message, _HEADER) != len(message) - _HEADER - _LENGTH
    at = _HEADER + is_tls_1_3 + _LENGTH
    for _ in range(_MAX_CERTIFICATES):
        size = _number(message, at)
        if at + _LENGTH >= len(message) or not size:
            return
        at += _LENGTH
        yield message[at : at + size]
        at += size
        if is_tls_1_3:
            at += 2 + int.from_bytes(message[at : at + 2], "big")  # its extensions


def _number(message: bytes, at: int) -> int:
    return int.from_bytes(message[at : at + _LENGTH], "big")
