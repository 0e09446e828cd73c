"""What is trusted and refused over TLS, the same on every Python, and the remedy that fits what was refused."""

import ssl
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
from cryptography.x509.oid import ExtendedKeyUsageOID

from exporter.clock import Clock
from exporter.errors import NetworkError
from exporter.redaction import Redactor
from exporter.upstream.transport import HttpTransport
from exporter.upstream.trust import REMEDIES, remedy_for
from tests.support.chains import FINE, Issued, Odd, authority, server_certificate, serving_context
from tests.support.https import https_server, tunnelling_proxy

ROOT = authority()


@contextmanager
def transport(ca_file: Path | None, proxy_url: str | None = None) -> Iterator[HttpTransport]:
    opened = HttpTransport.open(clock=Clock(), timeout_seconds=60.0, ca_file=ca_file, proxy_url=proxy_url)
    try:
        yield opened
    finally:
        opened.close()


def status(client: HttpTransport, port: int, host: str = "localhost") -> int:
    url = f"https://{host}:{port}/"
    return client.send("GET", url, headers={}, max_bytes=100, redactor=Redactor()).status


@dataclass(frozen=True)
class Chain:
    """What the server sends, what the operator trusts, and the host's name in the URL."""

    leaf: Issued
    trusted: Issued = ROOT
    sent: Sequence[Issued] = ()
    host: str = "localhost"


def under(ca: Issued, odd: Odd = FINE) -> Chain:
    """Return the chain of a server whose CA is trusted."""
    return Chain(server_certificate(ca, odd), ca)


INTERMEDIATE = authority("intermediate", ROOT)
LEAF = server_certificate(ROOT)
SELF_SIGNED = server_certificate(None)
LAX_ROOTS = {f"a root without {part}": authority(odd=Odd(without=[part])) for part in ("usage", "subject_id")}
LAX = {name: under(root) for name, root in LAX_ROOTS.items()} | {
    "a certificate without issuer_id": under(ROOT, Odd(without=["issuer_id"])),
    "a root without constraints": under(authority(odd=Odd(without=["constraints"]))),
    "a root with next to nothing": under(authority(odd=Odd(without=["usage", "subject_id"]))),
}
TRUSTED = LAX | {
    "a root": under(ROOT),
    "an intermediate that is sent": Chain(server_certificate(INTERMEDIATE), ROOT, [INTERMEDIATE]),
    "an intermediate alone in ca_file": Chain(server_certificate(INTERMEDIATE), INTERMEDIATE),
    "a server's own certificate": Chain(LEAF, LEAF),
    "a self-signed certificate": Chain(SELF_SIGNED, SELF_SIGNED),
}
NARROW = authority(odd=Odd(path_length=0))
BELOW_NARROW = authority("intermediate", NARROW)
NO_CA = server_certificate(None)
# OpenSSL's code, which chain it is of, and words of the remedy.
REFUSED: list[tuple[int, Chain, str]] = [
    (7, Chain(server_certificate(authority(), Odd(without=["issuer_id"]))), "the CA was renewed"),
    (9, under(ROOT, Odd(begins_in_days=0.5)), "check this machine's clock, which may be slow"),
    (10, under(ROOT, Odd(ends_in_days=-0.5)), "check this machine's clock, which may be fast"),
    (10, under(authority(odd=Odd(ends_in_days=-0.5))), "the server or its CA must renew it"),
    (18, Chain(SELF_SIGNED), "add its self-signed certificate to http.ca_file"),
    (19, Chain(LEAF, authority("another"), [ROOT]), "add the CA that issued it to http.ca_file"),
    (20, Chain(LEAF, authority("another")), "add the CA that issued it to http.ca_file"),
    (20, Chain(server_certificate(INTERMEDIATE)), "the intermediate that the server does not send"),
    (
        25,
        Chain(server_certificate(BELOW_NARROW), NARROW, [BELOW_NARROW]),
        "a CA in this chain may not issue this certificate",
    ),
    (26, under(ROOT, Odd(extended_usage=ExtendedKeyUsageOID.CLIENT_AUTH)), "extended key usage lacks serverAuth"),
    (47, under(authority(odd=Odd(permitted="example.com"))), "extend its constraints"),
    (62, under(ROOT, Odd(names=["api.example"])), "its certificate is for another host name"),
    (64, Chain(LEAF, host="127.0.0.1"), "its certificate is for another host name"),
    (79, under(NO_CA), "is not a CA (basic constraints, key usage)"),
]


@pytest.mark.parametrize("name", TRUSTED)
def test_what_the_operator_trusts_is_accepted_with_every_python(tmp_path: Path, name: str) -> None:
    chain = TRUSTED[name]
    file = tmp_path / "ca.pem"
    file.write_bytes(chain.trusted.pem)
    with https_server(serving_context(chain.leaf, *chain.sent)) as port, transport(file) as client:
        assert status(client, port, chain.host) == 200


@pytest.mark.parametrize("name", LAX)
def test_the_system_s_own_authorities_must_be_as_rfc_5280_says_with_every_python(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    chain = LAX[name]
    file = tmp_path / "system.pem"
    file.write_bytes(ROOT.pem + chain.trusted.pem)
    monkeypatch.setenv("SSL_CERT_FILE", str(file))
    with transport(None) as client:
        with https_server(serving_context(server_certificate(ROOT))) as port:
            assert status(client, port) == 200
        with https_server(serving_context(chain.leaf)) as port, pytest.raises(NetworkError) as caught:
            status(client, port)
    assert "http.ca_file" in caught.value.remedy


@pytest.mark.parametrize(("code", "chain", "words"), REFUSED, ids=lambda value: value if isinstance(value, str) else "")
@pytest.mark.parametrize("proxied", [False, True])
def test_the_remedy_fits_what_was_refused(
    tmp_path: Path, code: int, chain: Chain, words: str, *, proxied: bool
) -> None:
    file = tmp_path / "ca.pem"
    file.write_bytes(chain.trusted.pem)
    with (
        https_server(serving_context(chain.leaf, *chain.sent)) as port,
        tunnelling_proxy(port) as (proxy, _),
        transport(file, proxy if proxied else None) as client,
        pytest.raises(NetworkError) as caught,
    ):
        status(client, port, chain.host)
    assert caught.value.message.startswith("the server's certificate is not trusted: ")
    assert words in caught.value.remedy
    assert words in REMEDIES[code]


def test_a_refusal_that_no_row_knows_has_a_remedy_too() -> None:
    error = ssl.SSLCertVerificationError("unheard of")
    error.verify_code = 4_000
    assert "http.ca_file" in remedy_for(error)


def test_every_code_of_a_strict_verification_has_its_remedy() -> None:
    assert {*range(79, 95)} <= {*REMEDIES}
