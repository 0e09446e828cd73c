"""Which way a request goes: through the configured proxy, through one of the environment, or directly."""

import ssl
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
import trustme

from exporter.clock import Clock
from exporter.redaction import Redactor
from exporter.upstream.transport import HttpTransport
from tests.support.https import https_server, tunnelling_proxy


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture(scope="module")
def port(authority: trustme.CA) -> Iterator[int]:
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert("localhost", "127.0.0.1", "api.example").configure_cert(context)
    with https_server(context) as port:
        yield port


def ways(authority: trustme.CA, folder: Path, *urls: str, proxy_url: str | None = None) -> None:
    """Send a request to each URL; all must be answered."""
    authority.cert_pem.write_to_path(str(folder / "ca.pem"))
    transport = HttpTransport.open(clock=Clock(), timeout_seconds=60.0, ca_file=folder / "ca.pem", proxy_url=proxy_url)
    with closing(transport):
        for url in urls:
            reply = transport.send("GET", url, headers={}, max_bytes=100, redactor=Redactor())
            assert reply.status == 200


@pytest.mark.parametrize("no_proxy", ["127.0.0.0/8", "[::1],fe80::/10,127.0.0.1", "wrong:entry localhost,127.0.0.1"])
def test_what_no_proxy_names_is_reached_directly(
    authority: trustme.CA, port: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, no_proxy: str
) -> None:
    with tunnelling_proxy(port) as (proxy, asked):
        monkeypatch.setenv("HTTPS_PROXY", proxy)
        monkeypatch.setenv("NO_PROXY", no_proxy)
        ways(authority, tmp_path, f"https://127.0.0.1:{port}", "https://api.example")
    assert asked == [b"CONNECT api.example:443 HTTP/1.1"]


@pytest.mark.parametrize("no_proxy", ["*", "api.example", "127.0.0.1"])
def test_the_configured_proxy_is_for_everything_whatever_the_environment_says(
    authority: trustme.CA, port: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, no_proxy: str
) -> None:
    with tunnelling_proxy(port) as (proxy, asked), tunnelling_proxy(port) as (other, not_asked):
        monkeypatch.setenv("HTTPS_PROXY", other)
        monkeypatch.setenv("ALL_PROXY", "socks5://nowhere")
        monkeypatch.setenv("NO_PROXY", no_proxy)
        ways(authority, tmp_path, f"https://127.0.0.1:{port}", "https://api.example", proxy_url=proxy)
    assert asked == [b"CONNECT 127.0.0.1:%d HTTP/1.1" % port, b"CONNECT api.example:443 HTTP/1.1"]
    assert not_asked == []


@pytest.mark.parametrize("variable", ["https_proxy", "ALL_PROXY"])
def test_without_an_exemption_a_proxy_of_the_environment_is_used(
    authority: trustme.CA, port: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, variable: str
) -> None:
    with tunnelling_proxy(port) as (proxy, asked):
        monkeypatch.setenv(variable, proxy.removeprefix("http://"))
        ways(authority, tmp_path, f"https://localhost:{port}")
    assert asked == [b"CONNECT localhost:%d HTTP/1.1" % port]
