"""Whatever stands in --web.config.file or in a request's head: an answer or a clear error, never a fault."""

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from starlette.responses import PlainTextResponse
from starlette.types import Message, Scope

from exporter.errors import ConfigurationError, ListenError
from exporter.web.toolkit.config_file import WebSettings, load_web
from exporter.web.toolkit.guard import Guard
from exporter.web.toolkit.listening import split_address, systemd_sockets

HASH = "$2y$04$X0h1gDsPszWURQaxFh.zoubFi6DXncSjhoQNJgRrnGs7EsimhC7zG"
KEYS = (
    "tls_server_config",
    "http_server_config",
    "basic_auth_users",
    "rate_limit",
    "cert_file",
    "key_file",
    "key",
    "client_ca_file",
    "client_auth_type",
    "min_version",
    "max_version",
    "cipher_suites",
    "prefer_server_cipher_suites",
    "headers",
    "http2",
    "X-Frame-Options",
    "Content-Security-Policy",
)
VALUES = ("", "TLS12", "TLS13", "RequireAndVerifyClientCert", "RequestClientCert", "deny", "web.yml", HASH)
scalars = st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=20), st.sampled_from(VALUES))
keys = st.one_of(st.sampled_from(KEYS), st.text(max_size=20))
trees = st.recursive(
    scalars,
    lambda inner: st.one_of(st.lists(inner, max_size=4), st.dictionaries(keys, inner, max_size=6)),
    max_leaves=20,
)
documents = st.dictionaries(st.sampled_from(KEYS[:4]), st.dictionaries(keys, trees, max_size=5), max_size=4)

Read = Callable[[bytes], WebSettings | ConfigurationError]


@pytest.fixture(scope="session")
def read(tmp_path_factory: pytest.TempPathFactory) -> Read:
    """Return a function that reads bytes as the web configuration."""
    file: Path = tmp_path_factory.mktemp("web") / "web.yml"

    def load(content: bytes) -> WebSettings | ConfigurationError:
        file.write_bytes(content)
        try:
            return load_web(file)
        except ConfigurationError as error:
            return error

    return load


def check(loaded: WebSettings | ConfigurationError) -> None:
    """What was taken can be served: header lines are lines, and hashes are hashes."""
    if isinstance(loaded, ConfigurationError):
        assert loaded.problems
        assert all(problem.message for problem in loaded.problems)
        assert str(loaded).encode()
        return
    assert loaded.tls is None
    for name, value in loaded.headers:
        assert value == value.strip() != ""
        assert f"{name}: {value}".isascii()
        assert "\n" not in value
        assert "\r" not in value
    for user, hashed in loaded.users.items():
        assert ":" not in user
        assert hashed.startswith(b"$2")


@given(content=st.binary(max_size=300))
def test_any_bytes_are_settings_or_a_clear_error(read: Read, content: bytes) -> None:
    check(read(content))


@given(content=st.text(alphabet="{}[]:,-&*!|>'\"%@`#?~ \n\tabkey_", max_size=200))
def test_any_yaml_like_text_is_settings_or_a_clear_error(read: Read, content: str) -> None:
    check(read(content.encode()))


@given(content=st.one_of(trees, documents))
def test_any_yaml_document_is_settings_or_a_clear_error(read: Read, content: Any) -> None:
    check(read(yaml.safe_dump(content).encode("utf-8", "surrogatepass")))


@given(text=st.one_of(st.text(), st.from_regex(r"\[?[a-z0-9.:]*\]?:[0-9]{0,6}", fullmatch=True)))
def test_any_listen_address_is_host_and_port_or_a_clear_error(text: str) -> None:
    try:
        host, port = split_address(text)
    except ConfigurationError:
        return
    assert 0 <= port <= 65_535
    written, _, digits = text.rpartition(":")
    assert int(digits) == port
    # Nobody who wrote a host is listened for everywhere.
    assert written in (host, f"[{host}]")


@given(count=st.text(alphabet="0123456789-+. ²٣x", max_size=8), process=st.sampled_from(["1", "2", "", "x"]))
def test_whatever_systemd_s_variables_are_no_socket_of_another_process_is_used(count: str, process: str) -> None:
    with pytest.raises(ListenError):
        systemd_sockets({"LISTEN_FDS": count, "LISTEN_PID": process}, 3)


async def status(guard: Guard, headers: list[tuple[bytes, bytes]]) -> int:
    """Send one request; return the answer's status."""
    messages: list[Message] = []

    async def send(message: Message) -> None:
        messages.append(message)

    async def receive() -> Message:
        return {"type": "http.disconnect"}

    scope: Scope = {"type": "http", "method": "GET", "path": "/metrics", "headers": headers, "client": None}
    await guard(scope, receive, send)
    return int(messages[0]["status"])


# What h11 lets through: visible bytes and what is above ASCII.
header_bytes = st.binary(max_size=200).map(lambda value: bytes(byte for byte in value if byte >= 0x20).strip())
basic = st.one_of(header_bytes, header_bytes.map(lambda value: b"Basic " + value), st.just(b"Basic"))


@given(values=st.lists(basic, max_size=3))
def test_any_authorization_header_is_a_refusal_and_never_a_fault(values: list[bytes]) -> None:
    guard = Guard(
        PlainTextResponse("in"), lambda: WebSettings(users={"alice": HASH.encode()}), matches=lambda _p, _h: False
    )
    assert asyncio.run(status(guard, [(b"authorization", value) for value in values])) == 401
