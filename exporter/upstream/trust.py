"""Whose certificates are trusted, alike on every Python, and what to do about one that is refused."""

import ssl
from contextlib import suppress
from pathlib import Path

from exporter.files import Signature, check_pem, signature
from exporter.messages import Line, line

_UNKNOWN_ISSUER = line("add the CA that issued it to http.ca_file, or the intermediate that the server does not send")
_ANOTHER_HOST = line("check which server answers at this address: its certificate is for another host name")
_MALFORMED_CA = line(
    "add the CA that issued it to http.ca_file: less is required of chains then; or have them issued as RFC 5280 says"
)
_NO_CA = line(
    "an issuer in this chain is not a CA (basic constraints, key usage): reissue it, or add the server's own "
    "certificate to http.ca_file"
)
_OUT_OF_BOUNDS = line("a CA in this chain may not issue this certificate: use another, or extend its constraints")
_WEAK = line("have the certificate issued with a stronger key and hash: RSA with 2048 bits or more, and SHA-256")
_OTHERWISE = line("check which server answers at this address, and http.ca_file")

# X509_V_ERR_… of openssl/x509_vfy.h, and the remedy.
REMEDIES: dict[int, Line] = {
    2: _UNKNOWN_ISSUER,
    # Its CA has the name of a trusted one, and another key.
    7: line("add the newest certificate of the CA that issued it to http.ca_file: the CA was renewed, or is another"),
    9: line("check this machine's clock, which may be slow: the certificate is not valid yet"),
    10: line("check this machine's clock, which may be fast; if it is right, the server or its CA must renew it"),
    18: line("check which server answers; if it is yours, add its self-signed certificate to http.ca_file"),
    19: _UNKNOWN_ISSUER,
    20: _UNKNOWN_ISSUER,
    21: _UNKNOWN_ISSUER,
    22: line("check which server answers at this address: the chain of its certificates is too long"),
    24: _NO_CA,
    25: _OUT_OF_BOUNDS,
    26: line("have the certificate issued for servers: its extended key usage lacks serverAuth"),
    32: _NO_CA,
    34: line("have the certificate issued without the critical extension that OpenSSL does not know"),
    37: _NO_CA,
    47: _OUT_OF_BOUNDS,
    48: _OUT_OF_BOUNDS,
    62: _ANOTHER_HOST,
    64: _ANOTHER_HOST,
    66: _WEAK,
    67: _WEAK,
    68: _WEAK,
    79: _NO_CA,
    # What only a strict verification refuses.
    **dict.fromkeys(range(80, 95), _MALFORMED_CA),
}


class Trust:
    """The system's CAs and the operator's own, in one context for all connections.

    Every certificate in `ca_file` is trusted, an intermediate or a server's own too. Strict verification is for the
    system's CAs: those that proxies inspect TLS with often lack what RFC 5280 requires. Raises OSError if `ca_file`
    can't be used.
    """

    def __init__(self, ca_file: Path | None) -> None:
        # httpx would trust certifi's list; operators expect the system's, which holds their own CA.
        self.context = ssl.create_default_context()
        self.context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
        if ca_file is None:
            self.context.verify_flags |= ssl.VERIFY_X509_STRICT
        else:
            self.context.verify_flags &= ~ssl.VERIFY_X509_STRICT
        self._ca_file = ca_file
        self._loaded: Signature = ()
        self._load_if_changed()

    def refresh(self) -> None:
        """Load the operator's CAs again if their file has changed; one that can't be read changes nothing.

        OpenSSL can add CAs to a context in use but not remove them: a withdrawn one stays trusted until a restart.
        """
        with suppress(OSError):
            self._load_if_changed()

    def _load_if_changed(self) -> None:
        if self._ca_file is None:
            return
        found = signature(self._ca_file)
        if found != self._loaded:
            check_pem(self._ca_file)
            self.context.load_verify_locations(cafile=self._ca_file)
            self._loaded = found


def remedy_for(error: ssl.SSLCertVerificationError) -> Line:
    """Return what to do about a certificate that was refused."""
    return REMEDIES.get(error.verify_code, _OTHERWISE)
