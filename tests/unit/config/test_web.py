"""--web.config.file: what exporter-toolkit refuses is refused, and what isn't served here by name."""

import ssl
from pathlib import Path
from typing import Any

import pytest
import trustme
import yaml
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    PrivateFormat,
    load_pem_private_key,
)

from exporter.errors import ConfigurationError
from exporter.web.toolkit.config_file import WebSettings, load_web

HASH = "$2y$10$X0h1gDsPszWURQaxFh.zoubFi6DXncSjhoQNJgRrnGs7EsimhC7zG"
TLS = "tls_server_config"
HTTP = "http_server_config"
USERS = "basic_auth_users"
PAIR = {"cert_file": "server.pem", "key_file": "server.key"}
IF_GIVEN = {"client_auth_type": "VerifyClientCertIfGiven", "client_ca_file": "ca.pem"}
REQUIRED = {"client_auth_type": "RequireAndVerifyClientCert", "client_ca_file": "ca.pem"}


@pytest.fixture(scope="session")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with certificates and keys."""
    folder = tmp_path_factory.mktemp("certificates")
    authority = trustme.CA()
    leaf = authority.issue_cert("localhost")
    (folder / "server.pem").write_bytes(leaf.cert_chain_pems[0].bytes())
    (folder / "server.key").write_bytes(leaf.private_key_pem.bytes())
    (folder / "other.key").write_bytes(authority.issue_cert("localhost").private_key_pem.bytes())
    (folder / "ca.pem").write_bytes(authority.cert_pem.bytes())
    (folder / "rubbish").write_text("rubbish")
    return folder


def read(folder: Path, content: str | dict[str, Any]) -> WebSettings:
    """Read this content as the web configuration."""
    file = folder / "web.yml"
    file.write_text(content if isinstance(content, str) else yaml.safe_dump(content))
    return load_web(file)


def problems(folder: Path, content: str | dict[str, Any]) -> list[tuple[str, str]]:
    """Return place and words of every mistake."""
    with pytest.raises(ConfigurationError) as caught:
        read(folder, content)
    return [(problem.path, problem.message) for problem in caught.value.problems]


@pytest.mark.parametrize(
    ("content", "path", "words"),
    [
        ({"tls": {}}, "tls", "unknown key: expected one of tls_server_config, "),
        ({"basic_auth": {}}, "basic_auth", "did you mean basic_auth_users?"),
        ({TLS: {"cert_filse": "a"}}, f"{TLS}.cert_filse", "did you mean cert_file?"),
        ({HTTP: {"header": {}}}, f"{HTTP}.header", "did you mean headers?"),
        ({TLS: {"cert_file": "server.pem"}}, f"{TLS}.key_file", "this key is required"),
        ({TLS: {"key_file": "server.key"}}, f"{TLS}.cert_file", "this key is required"),
        ({TLS: {"cert_file": "", "key_file": "server.key"}}, f"{TLS}.cert_file", "expected a path"),
        ({TLS: {"cert_file": None, **PAIR, "key_file": None}}, f"{TLS}.key_file", "this key is required"),
        ({TLS: PAIR | {"cert_file": "none"}}, f"{TLS}.cert_file", "none: No such file or directory"),
        ({TLS: PAIR | {"key_file": "none"}}, f"{TLS}.key_file", "none: No such file or directory"),
        ({TLS: PAIR | {"cert_file": "."}}, f"{TLS}.cert_file", "Is a directory"),
        ({TLS: PAIR | {"key_file": "other.key"}}, TLS, "can't serve TLS with "),
        ({TLS: PAIR | {"cert_file": "rubbish"}}, TLS, "can't serve TLS with "),
        (
            {TLS: PAIR | {"client_ca_file": "ca.pem"}},
            f"{TLS}.client_ca_file",
            "only used with a client_auth_type that verifies",
        ),
        (
            {TLS: PAIR | {"client_ca_file": "ca.pem", "client_auth_type": "NoClientCert"}},
            f"{TLS}.client_ca_file",
            "only used with a client_auth_type that verifies",
        ),
        (
            {TLS: PAIR | {"client_ca_file": "none", "client_auth_type": "RequireAndVerifyClientCert"}},
            f"{TLS}.client_ca_file",
            "No such file or directory",
        ),
        (
            {TLS: PAIR | {"client_ca_file": "rubbish", "client_auth_type": "RequireAndVerifyClientCert"}},
            TLS,
            "can't serve TLS with ",
        ),
        *(
            (
                {TLS: PAIR | keys | {"client_allowed_sans": ["a.example"]}},
                f"{TLS}.client_allowed_sans",
                "only used with client_auth_type: RequireAndVerifyClientCert",
            )
            for keys in ({}, IF_GIVEN, {"client_auth_type": "NoClientCert"})
        ),
        (
            {TLS: PAIR | {"client_auth_type": "RequireAndVerifyClientCert", "client_allowed_sans": ["a.example"]}},
            f"{TLS}.client_allowed_sans",
            "only used with client_ca_file",
        ),
        *(
            ({TLS: PAIR | REQUIRED | {"client_allowed_sans": sans}}, f"{TLS}.client_allowed_sans{place}", words)
            for sans, place, words in (
                ("a.example", "", "expected a list"),
                ({"a.example": 1}, "", "expected a list"),
                ([["a"]], "[0]", "expected a string"),
                (["a.example", None], "[1]", "expected a string"),
                ([""], "[0]", "expected a non-empty string"),
                ([], "", "expected at least one entry"),
            )
        ),
        ({TLS: PAIR | {"client_auth_type": "Always"}}, f"{TLS}.client_auth_type", "expected one of NoClientCert"),
        ({TLS: PAIR | {"min_version": "TLS111"}}, f"{TLS}.min_version", "expected one of TLS10, TLS11, TLS12, TLS13"),
        ({TLS: PAIR | {"max_version": "SSL30"}}, f"{TLS}.max_version", "expected one of TLS10"),
        (
            {TLS: PAIR | {"min_version": "TLS13", "max_version": "TLS12"}},
            f"{TLS}.max_version",
            "no TLS version is left",
        ),
        (
            {TLS: PAIR | {"cipher_suites": ["TLS_AES_128_GCM_SHA256"], "max_version": "TLS12"}},
            f"{TLS}.max_version",
            "no TLS version is left",
        ),
        (
            {TLS: PAIR | {"cipher_suites": ["AES128"]}},
            f"{TLS}.cipher_suites[0]",
            "expected one of TLS_AES_128_GCM_SHA256, ",
        ),
        (
            # Go's tls.CipherSuites has left out those without forward secrecy.
            {TLS: PAIR | {"cipher_suites": ["TLS_RSA_WITH_AES_128_CBC_SHA"]}},
            f"{TLS}.cipher_suites[0]",
            "expected one of TLS_AES_128_GCM_SHA256, ",
        ),
        ({TLS: PAIR | {"cipher_suites": "AES128"}}, f"{TLS}.cipher_suites", "expected a list"),
        ({HTTP: {"headers": {"Content-Type": "a"}}}, f"{HTTP}.headers.Content-Type", "unsupported header"),
        (
            {HTTP: {"headers": {"x-frame-options": "deny"}}},
            f"{HTTP}.headers.x-frame-options",
            "unsupported header: expected one of ",
        ),
        (
            {HTTP: {"headers": {"X-Frame-Options": "allow"}}},
            f"{HTTP}.headers.X-Frame-Options",
            "expected deny or sameorigin",
        ),
        ({HTTP: {"headers": {"X-Frame-Options": None}}}, f"{HTTP}.headers.X-Frame-Options", "expected deny"),
        (
            {HTTP: {"headers": {"X-Content-Type-Options": "sniff"}}},
            f"{HTTP}.headers.X-Content-Type-Options",
            "expected nosniff",
        ),
        (
            {HTTP: {"headers": {"Content-Security-Policy": "a\r\nSet-Cookie: b"}}},
            f"{HTTP}.headers.Content-Security-Policy",
            "expected one line of ASCII",
        ),
        (
            {HTTP: {"headers": {"X-XSS-Protection": "é"}}},
            f"{HTTP}.headers.X-XSS-Protection",
            "expected one line of ASCII",
        ),
        ({USERS: {"alice": "plain"}}, f"{USERS}.alice", "not a bcrypt hash: create one with htpasswd"),
        ({USERS: {"alice": HASH[:-1]}}, f"{USERS}.alice", "not a bcrypt hash"),
        ({USERS: {"alice": HASH + "\n"}}, f"{USERS}.alice", "not a bcrypt hash"),
        ({USERS: {"alice": HASH.replace("$10$", "$03$")}}, f"{USERS}.alice", "not a bcrypt hash"),
        ({USERS: {"alice": HASH.replace("$10$", "$32$")}}, f"{USERS}.alice", "each check would take too long"),
        ({USERS: {"alice": HASH.replace("$10$", "$19$")}}, f"{USERS}.alice", "each check would take too long"),
        ({USERS: {"alice": ""}}, f"{USERS}.alice", "not a bcrypt hash"),
        # Dropped as empty, it would leave no user, and the door open.
        ({USERS: {"alice": None}}, f"{USERS}.alice", "this user has no hash"),
        ({USERS: {"a:b": HASH}}, f"{USERS}.a:b", "a user name can't contain a colon"),
        ({USERS: ["alice"]}, USERS, "expected a mapping"),
        ("- a", "", "expected a mapping"),
        ("words", "", "expected a mapping"),
        (f"{USERS}: {{}}\n{USERS}: {{}}", USERS, "duplicate key"),
        (f"{USERS}: {{alice: {HASH}, alice: {HASH}}}", f"{USERS}.alice", "duplicate key"),
        ("{", "", "invalid YAML"),
    ],
    ids=str,
)
def test_configurations_that_exporter_toolkit_refuses_are_refused(
    made: Path, content: str | dict[str, Any], path: str, words: str
) -> None:
    found = problems(made, content)
    assert [message for place, message in found if place == path and words in message], found


@pytest.mark.parametrize(
    ("content", "path", "words"),
    [
        ({TLS: PAIR | {"client_auth_type": mode}}, f"{TLS}.client_auth_type", f"{mode} is not supported: Python's TLS")
        for mode in ("RequestClientCert", "RequireAnyClientCert", "RequireClientCert")
    ]
    + [({HTTP: {"http2": value}}, f"{HTTP}.http2", "HTTP/2 is not supported") for value in (True, "yes", "y", "1")]
    + [
        ({TLS: PAIR | {key: "x"}}, f"{TLS}.{key}", f"exporter-toolkit's {key} is not supported: {remedy}")
        for key, remedy in (
            ("cert", "put the certificate in a file and set cert_file to its path"),
            ("key", "put the key in a file and set key_file to its path"),
            ("client_ca", "put the CA certificate in a file"),
            ("curve_preferences", "remove it"),
        )
    ]
    + [({"rate_limit": {"burst": 1}}, "rate_limit", "exporter-toolkit's rate_limit is not supported")],
    ids=str,
)
def test_unsupported_keys_are_refused_by_name(made: Path, content: dict[str, Any], path: str, words: str) -> None:
    [(place, message)] = problems(made, content)
    assert place == path
    assert message.startswith(words)


def test_every_mistake_is_reported_at_once_with_its_line(made: Path) -> None:
    content = (
        f"{TLS}:\n  client_auth_type: RequestClientCert\n  cipher_suites: [A]\n"
        f"{HTTP}:\n  headers:\n    Server: a\n{USERS}:\n  alice: plain\n"
    )
    with pytest.raises(ConfigurationError) as caught:
        read(made, content)
    assert [problem.line for problem in caught.value.problems] == [2, 2, 2, 3, 6, 8]


def test_a_message_never_contains_a_hash(made: Path) -> None:
    with pytest.raises(ConfigurationError) as caught:
        read(made, {USERS: {"alice": "hunter2hunter2", "bob": HASH[:-3]}})
    assert "hunter2" not in str(caught.value)
    assert HASH[:20] not in str(caught.value)


@pytest.mark.parametrize(
    "content",
    ["", "# nothing", "{}", f"{TLS}: {{}}", f"{TLS}:\n{HTTP}:\n{USERS}:\n", f"{HTTP}: {{http2: false, headers: {{}}}}"],
)
def test_an_empty_configuration_is_plain_http_for_everybody(made: Path, content: str) -> None:
    assert read(made, content) == WebSettings()


def test_every_header_can_be_set(made: Path) -> None:
    headers = {
        "Content-Security-Policy": "default-src 'self' *.test.example.net",
        "X-Frame-Options": "sameorigin",
        "X-Content-Type-Options": "nosniff",
        "X-XSS-Protection": 1,
        "Strict-Transport-Security": "  max-age=31536000; includeSubDomains ",
    }
    settings = read(made, {HTTP: {"headers": headers}})
    # No blanks at the ends: HTTP forbids them.
    assert dict(settings.headers) == {name: str(value).strip() for name, value in headers.items()}
    assert read(made, {HTTP: {"headers": {"X-XSS-Protection": "", "Content-Security-Policy": None}}}).headers == ()


@pytest.mark.parametrize("prefix", ["$2a$", "$2b$", "$2x$", "$2y$"])
def test_hashes_of_every_kind_are_taken(made: Path, prefix: str) -> None:
    settings = read(made, {USERS: {"alice": HASH.replace("$2y$", prefix), "yes": HASH, "0123": HASH}})
    assert settings.users == {
        "alice": HASH.replace("$2y$", prefix).encode(),
        "yes": HASH.encode(),
        "0123": HASH.encode(),
    }


def test_every_cipher_suite_of_exporter_toolkit_is_known(made: Path) -> None:
    suites = [
        f"TLS_ECDHE_{signature}_WITH_{cipher}"
        for signature in ("ECDSA", "RSA")
        for cipher in (
            "AES_128_GCM_SHA256",
            "AES_256_GCM_SHA384",
            "CHACHA20_POLY1305_SHA256",
            "AES_128_CBC_SHA",
            "AES_256_CBC_SHA",
        )
    ] + ["TLS_AES_128_GCM_SHA256", "TLS_AES_256_GCM_SHA384", "TLS_CHACHA20_POLY1305_SHA256"]
    keys = {"cipher_suites": suites, "prefer_server_cipher_suites": False}
    tls = read(made, {TLS: PAIR | keys}).tls
    assert tls is not None
    assert sum(bool(name) for name in tls.cipher_suites) == 10
    assert tls.min_version is ssl.TLSVersion.TLSv1_2


def test_files_are_looked_for_beside_the_configuration_even_where_that_is_a_link(made: Path, tmp_path: Path) -> None:
    read(made, {TLS: PAIR | {"key_file": str(made / "server.key")}})
    (tmp_path / "web.yml").symlink_to(made / "web.yml")
    (tmp_path / "server.pem").write_bytes((made / "server.pem").read_bytes())
    tls = load_web(tmp_path / "web.yml").tls
    assert tls is not None
    assert (tls.cert_file, tls.key_file) == (tmp_path / "server.pem", made / "server.key")


def test_the_example_in_the_documentation_is_right(made: Path) -> None:
    page = (Path(__file__).parents[3] / "docs" / "web-config.md").read_text()
    example = page.partition("```yaml\n")[2].partition("```")[0]
    (made / "clients.pem").write_bytes((made / "ca.pem").read_bytes())
    settings = read(made, example)
    assert settings.tls is not None
    assert settings.tls.client_auth_type is ssl.CERT_REQUIRED
    assert settings.tls.client_allowed_sans == ["prometheus.example.com"]
    assert (len(settings.headers), list(settings.users)) == (5, ["prometheus"])


def test_an_encrypted_key_is_refused_and_nobody_is_asked_for_its_password(made: Path) -> None:
    key = load_pem_private_key((made / "server.key").read_bytes(), None)
    (made / "encrypted.key").write_bytes(
        key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(b"secret"))
    )
    [(path, message)] = problems(made, {TLS: PAIR | {"key_file": "encrypted.key"}})
    assert path == TLS
    assert ": the key is encrypted; use PEM certificates and an unencrypted PEM key" in message


def test_a_file_that_can_not_be_read_names_the_flag(made: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"can't read it: No such file .* with --web.config.file"):
        load_web(made / "nowhere.yml")
