"""Every file that is watched is read again when it changes, even to one of the same size and age.

Archives, image layers and read-only volumes give files the time 0, and a volume that is updated gives the new file
the time of the old one.
"""

import os
import ssl
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import pytest

from exporter.auth.credential import ClientCertificate, ClientSecret, Credential
from exporter.upstream.trust import Trust
from exporter.web.toolkit.config_file import LiveSettings
from exporter.web.toolkit.tls import ReloadingTls
from partnercenter_simulator import Simulator
from tests.support.certificates import ClientIdentity
from tests.support.chains import authority, server_certificate
from tests.support.clock import FakeClock
from tests.support.files import let_the_clock_tick
from tests.support.sign_in import SignInKit

Shows = Callable[[], object]
"""Whether the new content is in use."""


@dataclass(frozen=True)
class Watched:
    """Two contents of a file, and a watcher of it; both must be valid where they are read."""

    old: bytes
    new: bytes
    watch: Callable[[Path, Simulator], Shows]


ROOTS = authority("old"), authority("new")
SERVERS = server_certificate(None), server_certificate(None)
CLIENTS = ClientIdentity.new(), ClientIdentity.new()


@pytest.fixture(scope="module")
def running() -> Iterator[Simulator]:
    with Simulator(seed=7) as running:
        yield running


def of_ca_file(file: Path, _simulator: Simulator) -> Shows:
    trust = Trust(file)
    new = ssl.PEM_cert_to_DER_cert(ROOTS[1].pem.decode())

    def shows() -> object:
        trust.refresh()
        return new in trust.context.get_ca_certs(binary_form=True)

    return shows


def of_web_config(file: Path, _simulator: Simulator) -> Shows:
    settings = LiveSettings(file, FakeClock())
    return lambda: dict(settings().headers)["X-Frame-Options"] == "deny"


def of_server_certificate(file: Path, _simulator: Simulator) -> Shows:
    config = file.with_name("web.yaml")
    config.write_text(f"tls_server_config: {{cert_file: {file}, key_file: {file}}}\n")
    settings = LiveSettings(config, FakeClock())
    context = ReloadingTls(lambda: settings().tls, FakeClock())
    new = ssl.PEM_cert_to_DER_cert(SERVERS[1].pem.decode())
    return lambda: sent_certificate(context) == new


def sent_certificate(context: ssl.SSLContext) -> bytes | None:
    """Return the certificate that a server sends."""
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    anyone = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    anyone.check_hostname, anyone.verify_mode = False, ssl.CERT_NONE
    client = anyone.wrap_bio(to_client, to_server)
    server = context.wrap_bio(to_server, to_client, server_side=True)
    for side in (client, server) * 2:
        with suppress(ssl.SSLWantReadError):  # until the other side has written more
            side.do_handshake()
    return client.getpeercert(binary_form=True)


def of_credential(file: Path, simulator: Simulator, *, made_of: Callable[[Path], Credential]) -> Shows:
    kit = SignInKit(simulator, file.parent)
    kit.close()
    return kit.authenticator(entra=kit.entra(made_of(file))).changed_on_disk


def of_seed(file: Path, simulator: Simulator) -> Shows:
    kit = SignInKit(simulator, file.parent)
    kit.close()
    kit.seed_file = file
    return kit.authenticator().changed_on_disk


WATCHED: dict[str, Watched] = {
    "ca_file": Watched(ROOTS[0].pem, ROOTS[1].pem, of_ca_file),
    "web.config.file": Watched(
        b"http_server_config: {headers: {X-Frame-Options: sameorigin}}\n",
        b"http_server_config: {headers: {X-Frame-Options: deny}}\n",
        of_web_config,
    ),
    "cert_file and key_file": Watched(SERVERS[0].pem_with_key, SERVERS[1].pem_with_key, of_server_certificate),
    "client_secret_file": Watched(
        b"old secret", b"new secret", partial(of_credential, made_of=lambda file: ClientSecret(file=file))
    ),
    "client_certificate_file": Watched(
        CLIENTS[0].key_pem() + CLIENTS[0].certificate_pem,
        CLIENTS[1].key_pem() + CLIENTS[1].certificate_pem,
        partial(of_credential, made_of=lambda file: ClientCertificate(certificate_file=file)),
    ),
    "refresh_token_file": Watched(b"old token", b"new token", of_seed),
}


def write(file: Path, content: bytes) -> None:
    """Write a file of time 0."""
    file.write_bytes(content)
    os.utime(file, ns=(0, 0))


def rewritten(link: Path, content: bytes) -> None:
    let_the_clock_tick(link)
    write(link, content)


def replaced(link: Path, content: bytes) -> None:
    write(link.with_name("fresh"), content)
    link.with_name("fresh").replace(link.resolve())


def mounted_anew(link: Path, content: bytes) -> None:
    """Swap the link to the folder, as Kubernetes does."""
    second = link.with_name("second")
    second.mkdir()
    write(second / "file", content)
    link.with_name("next").symlink_to("second")
    link.with_name("next").replace(link.with_name("current"))


def gone_for_a_while(link: Path, content: bytes) -> None:
    link.resolve().unlink()
    write(link.resolve(), content)


@pytest.mark.parametrize("change", [rewritten, replaced, mounted_anew, gone_for_a_while], ids=lambda f: f.__name__)
@pytest.mark.parametrize("name", WATCHED)
def test_a_change_is_noticed_whatever_time_and_size_the_file_has(
    running: Simulator, tmp_path: Path, name: str, change: Callable[[Path, bytes], None]
) -> None:
    watched = WATCHED[name]
    size = max(len(watched.old), len(watched.new))
    old, new = (content.rjust(size, b"\n") for content in (watched.old, watched.new))
    (tmp_path / "first").mkdir()
    (tmp_path / "current").symlink_to("first")
    link = tmp_path / "link"
    link.symlink_to("current/file")
    write(link, old)
    shows = watched.watch(link, running)
    assert not shows()
    change(link, new)
    assert (link.stat().st_mtime_ns, link.stat().st_size) == (0, size)
    assert shows()


def test_there_is_one_way_to_notice_a_change() -> None:
    sources = {file.name: file.read_text() for file in (Path(__file__).parents[2] / "exporter").rglob("*.py")}
    assert [name for name, text in sources.items() if "st_mtime" in text or "st_ino" in text] == ["files.py"]
