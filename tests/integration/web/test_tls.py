"""TLS by --web.config.file: what clients meet, and what changes on disk while the server runs."""

import socket
import ssl
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import pytest
import trustme
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID

from exporter.web.toolkit.config_file import LiveSettings
from exporter.web.toolkit.tls import ReloadingTls
from tests.integration.web.conftest import SHORT, Serve, Served
from tests.integration.web.material import Material, serial_of
from tests.integration.web.wire import closed, read_answer
from tests.support.clock import FakeClock
from tests.support.files import UNUSABLE
from tests.support.logs import LogStream
from tests.support.process import until

V12, V13 = ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3
GET = b"GET /-/ready HTTP/1.1\r\nHost: x\r\n\r\n"
SCRAPE = b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n"
OK = b"HTTP/1.1 200 OK\r\n"
NOT_RELOADED = "TLS certificate not reloaded, keeping the previous one"


@dataclass
class Tls:
    """A server with TLS and what it is made of."""

    material: Material
    served: Served
    log: LogStream

    def connect(self, context: ssl.SSLContext, session: ssl.SSLSession | None = None) -> ssl.SSLSocket:
        """Shake hands; the connection is closed with the server."""
        plain = self.served.connect()
        client = context.wrap_socket(plain, server_hostname="localhost", session=session)
        return self.served.clients.enter_context(client)

    def ask(self, client: ssl.SSLSocket) -> bytes:
        """Ask whether it is ready."""
        client.sendall(GET)
        return read_answer(client)

    def try_(self, context: ssl.SSLContext) -> str:
        """Return `served`, or why the server refused."""
        try:
            assert self.ask(self.connect(context)).startswith(OK)
        except ssl.SSLError as error:
            return str(error.reason)
        return "served"

    def gets_in(self, context: ssl.SSLContext, session: ssl.SSLSession | None = None) -> bool:
        """Return whether it is served, or else hung up on, in the handshake or after it."""
        try:
            return self.ask(self.connect(context, session)).startswith(OK)
        except (OSError, EOFError):
            return False

    def serial(self) -> int:
        """Return the serial number of the certificate that a new connection meets."""
        certificate = self.connect(self.material.client()).getpeercert()
        assert certificate is not None
        return int(str(certificate["serialNumber"]), 16)


Start = Callable[..., Tls]


@pytest.fixture
def material(tmp_path: Path) -> Material:
    """A folder with a certificate, its key and the authority of clients."""
    made = Material(tmp_path)
    made.issue()
    made.write_client_ca()
    return made


@pytest.fixture
def start(material: Material, serve: Serve, log_stream: LogStream, clock: FakeClock) -> Iterator[Start]:
    """Return a function that serves with these keys of tls_server_config; other keywords are limits.

    Nothing but `refusals` may be logged as an error of the server.
    """

    expected: list[str] = []

    def begin(tls: dict[str, Any] | None = None, *, refusals: Sequence[str] = (), **limits: float) -> Tls:
        expected.extend(refusals)
        file = material.write(tls=tls or {})
        settings = LiveSettings(file, clock)
        context = ReloadingTls(lambda: settings().tls, clock)
        return Tls(material, serve(settings=settings, tls=context, **limits), log_stream)

    yield begin
    assert [entry["what"] for entry in log_stream.of("server error")] == expected


def test_a_scrape_over_tls_is_answered_whole(start: Start) -> None:
    tls = start()
    client = tls.connect(tls.material.client())
    client.sendall(SCRAPE)
    assert len(read_answer(client)) > 4_000_000
    assert tls.ask(client).startswith(OK)


def test_a_renewed_certificate_is_served_to_the_next_connection(start: Start, material: Material) -> None:
    tls = start()
    old = tls.connect(material.client())
    renewed = material.issue()
    assert tls.serial() == serial_of(renewed)
    assert tls.serial() == serial_of(renewed)
    assert tls.ask(old).startswith(OK)
    assert len(tls.log.of("TLS certificate reloaded")) == 1


@pytest.mark.parametrize("half", ["certificate", "key"])
def test_a_certificate_without_its_matching_key_changes_nothing_until_the_key_is_written(
    start: Start, material: Material, half: str
) -> None:
    before = material.issue()
    tls = start()
    renewed = material.authority.issue_cert("localhost")
    first, second = material.write_certificate, material.write_key
    if half == "key":
        first, second = second, first
    first(renewed)
    for _ in range(3):
        assert tls.serial() == serial_of(before)
    assert len(tls.log.of(NOT_RELOADED)) == 1
    second(renewed)
    assert tls.serial() == serial_of(renewed)
    assert len(tls.log.of("TLS certificate reloaded")) == 1


@pytest.mark.parametrize("name", ["server.pem", "server.key", "clients.pem"])
def test_a_file_that_becomes_invalid_changes_nothing_until_it_is_fixed(
    start: Start, material: Material, name: str
) -> None:
    before = material.issue()
    tls = start({"client_auth_type": "VerifyClientCertIfGiven", "client_ca_file": "clients.pem"})
    file = material.folder / name
    good = file.read_bytes()
    for times, bad in enumerate((None, b"", b"rubbish"), start=1):
        if bad is None:
            file.unlink()
        else:
            file.write_bytes(bad)
        for _ in range(2):
            assert tls.serial() == serial_of(before)
        assert len(tls.log.of(NOT_RELOADED)) == times
        file.write_bytes(good)
        assert tls.serial() == serial_of(before)
        assert len(tls.log.of("TLS certificate reloaded")) == times


@pytest.mark.parametrize("damage", UNUSABLE)
@pytest.mark.parametrize("name", ["server.pem", "server.key", "clients.pem"])
def test_a_file_that_can_not_be_read_delays_nobody(start: Start, material: Material, name: str, damage: str) -> None:
    before = material.issue()
    tls = start({"client_auth_type": "VerifyClientCertIfGiven", "client_ca_file": "clients.pem"})
    good = (material.folder / name).rename(material.folder / "good")
    with suppress(OSError):  # no file at all where the name is too long for a link
        (material.folder / name).symlink_to(UNUSABLE[damage](material.folder))
    for _ in range(2):
        assert tls.serial() == serial_of(before)
    assert len(tls.log.of(NOT_RELOADED)) == 1
    good.rename(material.folder / name)
    assert tls.serial() == serial_of(before)
    assert len(tls.log.of("TLS certificate reloaded")) == 1


def test_a_certificate_that_is_swapped_through_a_link_is_taken_up(start: Start, material: Material) -> None:
    """As Kubernetes does it: a folder's name is a link, and the link changes."""
    for name in ("server.pem", "server.key"):
        (material.folder / "one").mkdir(exist_ok=True)
        (material.folder / name).rename(material.folder / "one" / name)
        (material.folder / name).symlink_to(Path("data") / name)
    (material.folder / "data").symlink_to("one")
    tls = start()
    tls.serial()
    (material.folder / "two").mkdir()
    renewed = material.authority.issue_cert("localhost")
    (material.folder / "two" / "server.pem").write_bytes(renewed.cert_chain_pems[0].bytes())
    (material.folder / "two" / "server.key").write_bytes(renewed.private_key_pem.bytes())
    (material.folder / "next").symlink_to("two")
    (material.folder / "next").replace(material.folder / "data")
    assert tls.serial() == serial_of(renewed)


NONE, GOOD, FOREIGN = "no certificate", "a good certificate", "a certificate of another authority"
MISSING = {V12: "SSLV3_ALERT_HANDSHAKE_FAILURE", V13: "TLSV13_ALERT_CERTIFICATE_REQUIRED"}
UNKNOWN = "TLSV1_ALERT_UNKNOWN_CA"


@pytest.mark.parametrize(
    ("mode", "let_in"),
    [
        ("NoClientCert", {NONE, GOOD, FOREIGN}),
        ("VerifyClientCertIfGiven", {NONE, GOOD}),
        ("RequireAndVerifyClientCert", {GOOD}),
    ],
)
def test_clients_are_accepted_by_their_certificate_or_get_a_reason(
    start: Start, material: Material, mode: str, let_in: set[str]
) -> None:
    ca = {} if mode == "NoClientCert" else {"client_ca_file": "clients.pem"}
    tls = start({"client_auth_type": mode, **ca})
    for who, signer in ((NONE, None), (GOOD, material.clients), (FOREIGN, trustme.CA())):
        certificate = signer.issue_cert("prometheus") if signer else None
        for version in (V12, V13):
            refusal = UNKNOWN if who == FOREIGN else MISSING[version]
            expected = "served" if who in let_in else refusal
            assert tls.try_(material.client(certificate=certificate, highest=version)) == expected


REQUIRED = {"client_auth_type": "RequireAndVerifyClientCert", "client_ca_file": "clients.pem"}
REFUSED = "client certificate refused: none of its SANs is in client_allowed_sans"


def client_certificate(
    signer: trustme.CA, *names: x509.GeneralName, common_name: str = "prometheus", folder: Path
) -> Path:
    """Return a file with a client's certificate, its chain and key; trustme itself can't put a URI in it."""
    key = ec.generate_private_key(ec.SECP256R1())
    today = datetime.now(UTC)
    authority = x509.load_pem_x509_certificate(signer.cert_pem.bytes())
    signing = serialization.load_pem_private_key(signer.private_key_pem.bytes(), None)
    assert isinstance(signing, ec.EllipticCurvePrivateKey)
    builder = (
        x509.CertificateBuilder()
        .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)]))
        .issuer_name(authority.subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(today - timedelta(days=1))
        .not_valid_after(today + timedelta(days=1))
    )
    if names:
        builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=False)
    file = folder / "client.pem"
    private = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    file.write_bytes(builder.sign(signing, SHA256()).public_bytes(Encoding.PEM) + private)
    return file


DNS, EMAIL, URI = x509.DNSName, x509.RFC822Name, x509.UniformResourceIdentifier


def address(text: str) -> x509.IPAddress:
    return x509.IPAddress(ip_address(text))


@pytest.mark.parametrize("version", [V12, V13])
@pytest.mark.parametrize(
    ("allowed", "names", "outcome"),
    [
        ("prometheus.example", [DNS("prometheus.example")], "served"),
        ("prometheus.example", [DNS("other.example"), EMAIL("a@b.example"), DNS("prometheus.example")], "served"),
        ("sre@example.com", [EMAIL("sre@example.com")], "served"),
        ("10.0.0.1", [address("10.0.0.1")], "served"),
        ("2001:db8::1", [address("2001:db8::1")], "served"),
        ("2001:DB8:0:0::1", [address("2001:db8::1")], "served"),
        ("10.0.0.1", [address("::ffff:10.0.0.1")], "served"),
        ("spiffe://example.org/ns/monitoring/sa/prometheus", [URI("spiffe://example.org/ns/monitoring/sa/prometheus")],
         "served"),
        ("prometheus.example", [], "refused"),
        ("prometheus", [], "refused"),  # only the common name
        ("prometheus.example", [DNS("other.example")], "refused"),
        ("prometheus.example", [DNS("a.prometheus.example")], "refused"),
        ("prometheus.example", [DNS("Prometheus.example")], "refused"),
        ("prometheus.example", [DNS("*.example")], "refused"),
        ("*.example", [DNS("prometheus.example")], "refused"),
        ("prometheus.example", [DNS("prometheus.example\0.attacker.example")], "refused"),
        ("10.0.0.1", [address("10.0.0.2")], "refused"),
        ("spiffe://example.org/a", [URI("spiffe://example.org/a/b")], "refused"),
        ("prometheus.example", [x509.RegisteredID(x509.ObjectIdentifier("1.2.3.4"))], "refused"),
    ],
    ids=str,
)  # fmt: skip
def test_with_allowed_sans_only_a_certificate_with_one_of_them_gets_in(
    start: Start, material: Material, allowed: str, names: list[x509.GeneralName], outcome: str, version: ssl.TLSVersion
) -> None:
    tls = start(
        REQUIRED | {"client_allowed_sans": ["else.example", allowed]}, refusals=[REFUSED] * (outcome != "served")
    )
    client = material.client(highest=version)
    client.load_cert_chain(client_certificate(material.clients, *names, folder=material.folder))
    assert tls.gets_in(client) is (outcome == "served")


@pytest.mark.parametrize("version", [V12, V13])
def test_an_allowed_san_does_not_replace_the_authority_s_signature(
    start: Start, material: Material, version: ssl.TLSVersion
) -> None:
    tls = start(REQUIRED | {"client_allowed_sans": ["prometheus.example"]})
    forged = client_certificate(trustme.CA(), DNS("prometheus.example"), folder=material.folder)
    client = material.client(highest=version)
    client.load_cert_chain(forged)
    assert tls.try_(client) == UNKNOWN
    assert tls.try_(material.client(highest=version)) == MISSING[version]


def test_changed_sans_apply_to_the_next_connection_and_to_resumed_sessions(start: Start, material: Material) -> None:
    tls = start(REQUIRED | {"client_allowed_sans": ["a.example", "b.example"]}, refusals=[REFUSED])
    context = material.client(certificate=material.clients.issue_cert("b.example"), highest=V12)
    client = tls.connect(context)
    assert tls.ask(client).startswith(OK)
    resumed = tls.connect(context, client.session)
    assert resumed.session_reused
    assert tls.ask(resumed).startswith(OK)
    material.write(tls=REQUIRED | {"client_allowed_sans": ["a.example", "c.example"]})
    assert not tls.gets_in(context)
    assert not tls.gets_in(context, client.session)
    assert tls.ask(client).startswith(OK)  # open connections stay
    assert tls.gets_in(material.client(certificate=material.clients.issue_cert("c.example")))


def test_any_number_of_refused_certificates_leaves_no_connection_and_one_log_line(
    start: Start, material: Material
) -> None:
    tls = start(REQUIRED | {"client_allowed_sans": ["a.example"]}, refusals=[REFUSED])
    refused = material.client(certificate=material.clients.issue_cert("b.example"))
    for _ in range(50):
        assert not tls.gets_in(refused)
    until(lambda: tls.served.connections == 0)
    assert tls.gets_in(material.client(certificate=material.clients.issue_cert("a.example")))


def test_client_ca_file_may_contain_only_an_intermediate_authority(start: Start, material: Material) -> None:
    below = material.clients.create_child_ca()
    material.write_client_ca(below)
    tls = start({"client_auth_type": "RequireAndVerifyClientCert", "client_ca_file": "clients.pem"})
    assert tls.try_(material.client(certificate=below.issue_cert("prometheus"))) == "served"
    assert tls.try_(material.client(certificate=material.clients.issue_cert("other"))) == UNKNOWN


def test_a_changed_client_authority_applies_to_the_next_connection_and_to_resumed_sessions(
    start: Start, material: Material
) -> None:
    tls = start({"client_auth_type": "RequireAndVerifyClientCert", "client_ca_file": "clients.pem"})
    old = material.client(certificate=material.clients.issue_cert("prometheus"), highest=V12)
    client = tls.connect(old)
    assert tls.ask(client).startswith(OK)
    # The check itself: while nothing changes, a session is taken up again.
    assert tls.connect(old, client.session).session_reused
    newer = trustme.CA()
    material.write_client_ca(newer)
    with pytest.raises(ssl.SSLError, match="UNKNOWN_CA"):
        tls.connect(old, client.session)
    assert tls.try_(material.client(certificate=newer.issue_cert("prometheus"))) == "served"


TOO_OLD, TOO_NEW = "TLSV1_ALERT_PROTOCOL_VERSION", "UNSUPPORTED_PROTOCOL"


@pytest.mark.filterwarnings("ignore:ssl.TLSVersion.TLSv1:DeprecationWarning")
@pytest.mark.parametrize(
    ("keys", "spoken"),
    [
        ({}, (TOO_OLD, TOO_OLD, "TLSv1.2", "TLSv1.3")),
        ({"min_version": "TLS13"}, (TOO_OLD, TOO_OLD, TOO_OLD, "TLSv1.3")),
        ({"max_version": "TLS12"}, (TOO_OLD, TOO_OLD, "TLSv1.2", TOO_OLD)),
        ({"min_version": "TLS11"}, (TOO_OLD, "TLSv1.1", "TLSv1.2", "TLSv1.3")),
        ({"min_version": "TLS10", "max_version": "TLS11"}, ("TLSv1", "TLSv1.1", TOO_NEW, TOO_OLD)),
    ],
    ids=str,
)
def test_only_the_configured_tls_versions_are_used(
    start: Start, material: Material, keys: dict[str, str], spoken: tuple[str, ...]
) -> None:
    tls = start(keys)
    found: list[str | None] = []
    for name in ("TLSv1", "TLSv1_1", "TLSv1_2", "TLSv1_3"):
        only = ssl.TLSVersion[name]
        context = material.client(lowest=only, highest=only, ciphers="ALL:@SECLEVEL=0")
        try:
            found.append(tls.connect(context).version())
        except ssl.SSLError as error:
            found.append(error.reason)
    assert tuple(found) == spoken


AES_128, AES_256 = "ECDHE-ECDSA-AES128-GCM-SHA256", "ECDHE-ECDSA-AES256-GCM-SHA384"


@pytest.mark.parametrize(
    ("suites", "offered", "expected"),
    [
        (["TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256"], f"{AES_256}:{AES_128}", AES_128),
        (["TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256"], AES_256, "SSLV3_ALERT_HANDSHAKE_FAILURE"),
        (["TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA"], "ECDHE-ECDSA-AES128-SHA", "ECDHE-ECDSA-AES128-SHA"),
        (["TLS_AES_128_GCM_SHA256", "TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384"], "ALL", AES_256),
        (["TLS_AES_128_GCM_SHA256"], "ALL", "TLSV1_ALERT_PROTOCOL_VERSION"),
    ],
)
def test_only_the_configured_cipher_suites_are_used_below_tls_1_3(
    start: Start, material: Material, suites: list[str], offered: str, expected: str
) -> None:
    tls = start({"cipher_suites": suites})
    try:
        cipher = tls.connect(material.client(highest=V12, ciphers=offered)).cipher()
        spoken: str | None = cipher[0] if cipher else None
    except ssl.SSLError as error:
        spoken = error.reason
    assert spoken == expected
    assert tls.connect(material.client()).version() == "TLSv1.3"


def test_changed_keys_of_the_file_apply_to_the_next_connection(start: Start, material: Material) -> None:
    tls = start()
    client = material.client(highest=V12)
    kept = tls.connect(client)
    material.write(tls={"min_version": "TLS13"})
    assert tls.try_(client) == "TLSV1_ALERT_PROTOCOL_VERSION"
    material.write(tls={})
    assert tls.try_(client) == "served"
    material.write(tls={"client_auth_type": "RequireAndVerifyClientCert", "client_ca_file": "clients.pem"})
    assert tls.try_(client) == MISSING[V12]
    material.write(tls={})
    assert tls.try_(client) == MISSING[V12]
    assert tls.ask(kept).startswith(OK)


def test_tls_switched_off_in_the_file_is_refused_and_logged(start: Start, material: Material) -> None:
    tls = start()
    material.write()
    assert tls.try_(material.client()) == "served"
    [entry] = tls.log.of("web configuration not reloaded, keeping the previous one")
    assert entry["error"].endswith("to switch TLS on or off, restart the exporter")


def test_a_plain_http_request_gets_400_with_a_hint_to_use_https(start: Start) -> None:
    client = start().served.connect()
    client.sendall(GET)
    answer = read_answer(client)
    assert answer.startswith(b"HTTP/1.0 400 ")
    assert answer.endswith(b"Client sent an HTTP request to an HTTPS server.\n")
    client.shutdown(socket.SHUT_WR)
    assert closed(client)


@pytest.mark.parametrize(
    "sent", [b"", b"\x16", b"\x16\x03\x01\x02\x00\x01\x00", b"rubbish", GET], ids=["nothing", "1", "6", "no", "http"]
)
def test_an_unfinished_handshake_is_closed_in_time_without_a_log_line(start: Start, sent: bytes) -> None:
    tls = start(handshake_seconds=SHORT)
    client = tls.served.connect()
    client.sendall(sent)
    assert closed(client)
    assert tls.try_(tls.material.client()) == "served"
    assert [entry for entry in tls.log.entries if entry["level"] != "debug"] == []


def test_half_open_handshakes_do_not_delay_others(start: Start) -> None:
    tls = start()
    for _ in range(200):
        tls.served.connect()
    assert tls.try_(tls.material.client()) == "served"


def test_silent_and_slow_clients_are_closed_in_time_over_tls_too(start: Start) -> None:
    tls = start(header_seconds=SHORT, answer_seconds=SHORT)
    silent = tls.connect(tls.material.client())
    plain = tls.served.connect(receive_buffer=4_096)
    slow = tls.served.clients.enter_context(tls.material.client().wrap_socket(plain, server_hostname="localhost"))
    slow.sendall(SCRAPE)
    assert slow.recv(len(OK)) == OK
    until(lambda: tls.served.connections == 0)
    assert closed(silent)


def test_the_cap_applies_to_tls_too(start: Start) -> None:
    tls = start(connections=3)
    clients = [tls.connect(tls.material.client()) for _ in range(6)]
    assert all(closed(client) for client in clients[:3])
    assert tls.ask(clients[-1]).startswith(OK)


def test_the_end_doesn_t_wait_for_clients_over_tls(start: Start) -> None:
    tls = start()
    clients = [tls.connect(tls.material.client()) for _ in range(3)]
    half_open = tls.served.connect()
    tls.served.stop()
    assert all(closed(client) for client in [*clients, half_open])
    assert [entry for entry in tls.log.entries if entry["level"] == "error"] == []
