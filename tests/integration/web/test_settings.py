"""--web.config.file while the exporter runs: what changes, what is refused, and what is said about it."""

import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest

from exporter.errors import ConfigurationError
from exporter.files import signature
from exporter.web.toolkit.config_file import LiveSettings
from exporter.web.toolkit.reloading import Reloading
from tests.integration.web.conftest import Serve
from tests.integration.web.material import Material
from tests.support.clock import FakeClock
from tests.support.files import UNUSABLE
from tests.support.logs import LogStream
from tests.support.plain_http import NO_TLS

ALICE = "$2b$04$kgnbuVr90Lq99a6CHJ8FaOwZMS64B97INQvLtPyBZp6D5oZUipc6u"
HEADERS = {"http_server_config": {"headers": {"X-Frame-Options": "deny"}}}
NOT_RELOADED = "web configuration not reloaded, keeping the previous one"
RELOADED = "web configuration reloaded"

Live = Callable[[], LiveSettings]


@pytest.fixture
def material(tmp_path: Path) -> Material:
    """A folder with a configuration that has users."""
    made = Material(tmp_path)
    made.issue()
    made.write(basic_auth_users={"alice": ALICE})
    return made


@pytest.fixture
def live(material: Material, clock: FakeClock) -> Live:
    """Return a function that reads the file as the exporter does at its start."""
    return lambda: LiveSettings(material.file, clock)


def test_users_and_headers_are_taken_up_when_the_file_changes(
    serve: Serve, material: Material, live: Live, log_stream: LogStream
) -> None:
    served = serve(settings=live())
    url = "http://{}:{}/-/nothing".format(*served.address)

    def ask() -> httpx.Response:
        return httpx.get(url, auth=("alice", "secret"), trust_env=False, verify=NO_TLS)

    assert httpx.get(url, trust_env=False, verify=NO_TLS).status_code == 401
    assert ask().status_code == 404
    material.write(basic_auth_users={"bob": ALICE}, **HEADERS)
    answer = ask()
    assert (answer.status_code, answer.headers["x-frame-options"]) == (401, "deny")
    material.write(basic_auth_users={"alice": ALICE, "bob": ALICE})
    assert ask().status_code == 404
    material.write(**HEADERS)
    assert httpx.get(url, trust_env=False, verify=NO_TLS).status_code == 401
    assert len(log_stream.of(RELOADED)) == 2
    assert len(log_stream.of(NOT_RELOADED)) == 1


@pytest.mark.parametrize("content", ["basic_auth_users: {alice: plain}", "[", "\0", None, "rate_limit: {}"])
def test_a_file_that_becomes_invalid_changes_nothing_and_is_logged_once_until_it_is_fixed(
    material: Material, live: Live, clock: FakeClock, log_stream: LogStream, content: str | None
) -> None:
    settings = live()
    before = settings()
    good = material.file.read_text()
    if content is None:
        material.file.unlink()
    else:
        material.file.write_text(content)
    for _ in range(5):
        assert settings() == before
        clock.advance(10)
    [entry] = log_stream.of(NOT_RELOADED)
    assert entry["level"] == "error"
    assert str(material.file) in entry["error"]
    material.file.write_text(good.replace("alice", "carol"))
    assert list(settings().users) == ["carol"]
    assert len(log_stream.of(RELOADED)) == 1
    # The same mistake again is news again.
    material.file.write_text("[")
    settings()
    assert len(log_stream.of(NOT_RELOADED)) == 2


def test_a_certificate_that_comes_later_than_the_file_that_names_it_is_taken_up(
    material: Material, live: Live, clock: FakeClock, log_stream: LogStream
) -> None:
    material.write(tls={})
    settings = live()
    material.write(tls={"cert_file": "new.pem"}, **HEADERS)
    assert settings().headers == ()
    (material.folder / "server.pem").rename(material.folder / "new.pem")
    clock.advance(10)
    assert settings().headers == (("X-Frame-Options", "deny"),)
    assert [len(log_stream.of(message)) for message in (NOT_RELOADED, RELOADED)] == [1, 1]
    clock.advance(1_000)
    settings()
    assert len(log_stream.of(RELOADED)) == 1


@pytest.mark.parametrize("on", [True, False])
def test_switching_tls_on_or_off_needs_a_restart_and_says_so(
    material: Material,
    live: Live,
    log_stream: LogStream,
    on: bool,  # noqa: FBT001  a parameter
) -> None:
    with_tls: dict[str, Any] = {"tls": {}}
    without = {"basic_auth_users": {"alice": ALICE}}
    material.write(**(without if on else with_tls))
    settings = live()
    before = settings()
    material.write(**(with_tls if on else without))
    assert settings() == before
    [entry] = log_stream.of(NOT_RELOADED)
    assert entry["error"] == (f"{material.file}: tls_server_config: to switch TLS on or off, restart the exporter")


SECURED: dict[str, Any] = {
    "basic_auth_users": {"alice": ALICE, "bob": ALICE},
    "http_server_config": {"headers": {"Content-Security-Policy": "default-src 'none'", "X-Frame-Options": "deny"}},
    "tls": {
        "client_auth_type": "RequireAndVerifyClientCert",
        "client_ca_file": "clients.pem",
        "client_allowed_sans": ["prometheus.example", "10.0.0.1"],
        "cipher_suites": ["TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256", "TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384"],
        "min_version": "TLS12",
    },
}


@pytest.fixture
def secured(material: Material) -> Material:
    """A configuration that requires a certificate and a password."""
    material.write_client_ca()
    material.write(**SECURED)
    return material


def problem_of(settings: LiveSettings) -> str:
    """Return what is wrong with the file as it is now."""
    settings()
    return settings.problem


def rewrite(path: Path, damage: Callable[[Path], object]) -> None:
    """Replace a file by something else."""
    path.unlink()
    damage(path)


@pytest.mark.parametrize(
    "damage",
    [
        lambda _file: None,
        lambda file: file.write_bytes(b""),
        lambda file: file.write_bytes(b"# nothing\n"),
        lambda file: file.write_bytes(b"\xef\xbb\xbf\n"),
        lambda file: file.write_bytes(b"null\n"),
        lambda file: file.write_bytes(b"{}\n"),
        lambda file: file.write_bytes(b"--- \n...\n"),
        lambda file: file.write_bytes(b"basic_auth_users:\n"),
        lambda file: file.write_bytes(b"basic_auth_users: {}\n"),
        lambda file: file.write_bytes(b"basic_auth_users: {alice: }\n"),
        lambda file: file.write_bytes(b"\xff\xfe"),
        lambda file: file.write_bytes(bytes(100)),
        lambda file: file.mkdir(),
        os.mkfifo,
        lambda file: file.symlink_to("nowhere"),
        lambda file: file.symlink_to(file),
        lambda file: file.symlink_to("/dev/null"),
        lambda file: file.symlink_to("/dev/zero"),
    ],
)
def test_whatever_becomes_of_the_file_nobody_is_let_in_that_was_not_before(
    secured: Material, live: Live, clock: FakeClock, log_stream: LogStream, damage: Callable[[Path], object]
) -> None:
    settings = live()
    before = settings()
    assert (len(before.users), before.tls is not None, settings.problem) == (2, True, "")
    rewrite(secured.file, damage)
    for _ in range(5):
        assert settings() == before
        assert settings.problem != ""
        clock.advance(10)
    assert [entry["error"] for entry in log_stream.of(NOT_RELOADED)] == [settings.problem]
    if secured.file.is_dir():
        secured.file.rmdir()
    else:
        secured.file.unlink(missing_ok=True)
    secured.write(**SECURED)
    assert settings() == before
    assert settings.problem == ""


@pytest.mark.parametrize(
    ("section", "changed", "problem"),
    [
        ("basic_auth_users", {}, "basic_auth_users: to serve without passwords, restart the exporter"),
        (
            "tls",
            SECURED["tls"] | {"client_auth_type": "VerifyClientCertIfGiven", "client_allowed_sans": None},
            "tls_server_config.client_auth_type: to require less of clients, restart the exporter",
        ),
        ("tls", {}, "tls_server_config.client_auth_type: to require less of clients, restart the exporter"),
        (
            "tls",
            {"client_auth_type": "RequireAndVerifyClientCert"},
            "tls_server_config.client_ca_file: to trust the system's CAs instead, restart the exporter",
        ),
        (
            "tls",
            {key: value for key, value in SECURED["tls"].items() if key != "client_allowed_sans"},
            "tls_server_config.client_allowed_sans: to accept every client of the CA, restart the exporter",
        ),
        ("tls", None, "tls_server_config: to switch TLS on or off, restart the exporter"),
    ],
)
def test_what_would_let_in_more_clients_needs_a_restart_and_says_so(
    secured: Material, live: Live, section: str, changed: dict[str, Any] | None, problem: str
) -> None:
    settings = live()
    before = settings()
    secured.write(**SECURED | {section: changed})
    assert settings() == before
    assert settings.problem == f"{secured.file}: {problem}"
    # After a restart it is as the file says.
    assert live()() != before


def test_verified_if_given_can_become_required_but_not_the_other_way_and_not_unverified(
    secured: Material, live: Live
) -> None:
    if_given = {"client_auth_type": "VerifyClientCertIfGiven", "client_ca_file": "clients.pem"}
    secured.write(tls=if_given)
    settings = live()
    secured.write(tls={})
    assert "to require less of clients" in problem_of(settings)
    secured.write(tls=if_given | {"client_auth_type": "RequireAndVerifyClientCert"})
    assert problem_of(settings) == ""
    secured.write(tls=if_given)
    assert "to require less of clients" in problem_of(settings)


def test_a_file_that_is_rewritten_in_place_changes_nothing_before_it_is_whole(
    secured: Material, log_stream: LogStream
) -> None:
    """At each length that it may have while it is written, with a clock that agrees with the file's times."""
    settings = LiveSettings(secured.file, FakeClock(now=time.time()))
    before = settings()
    content = secured.file.read_bytes()
    for length in range(len(content) + 1):
        secured.file.write_bytes(content[:length])
        assert settings() == before, content[:length]
    assert settings.problem == ""
    # Most of these are no news of their own: a reader of the log sees that something is being written.
    assert log_stream.of(NOT_RELOADED)


@pytest.mark.parametrize("damage", UNUSABLE)
@pytest.mark.parametrize("key", ["cert_file", "key_file", "client_ca_file"])
def test_a_file_that_names_what_can_not_be_read_is_refused(
    secured: Material, live: Live, key: str, damage: str
) -> None:
    settings = live()
    before = settings()
    secured.write(**SECURED | {"tls": SECURED["tls"] | {key: UNUSABLE[damage](secured.folder)}})
    assert settings() == before
    assert key in settings.problem or "can't serve TLS" in settings.problem


def test_a_user_who_is_removed_is_turned_away_once_the_file_has_settled(
    material: Material, log_stream: LogStream
) -> None:
    clock = FakeClock(now=time.time())
    material.write(basic_auth_users={"alice": ALICE, "bob": ALICE})
    settings = LiveSettings(material.file, clock)
    material.write(basic_auth_users={"alice": ALICE})
    assert list(settings().users) == ["alice", "bob"]
    assert settings.problem == ""
    clock.advance(1)
    assert list(settings().users) == ["alice"]
    assert log_stream.of(NOT_RELOADED) == []
    assert len(log_stream.of(RELOADED)) == 1


@pytest.mark.parametrize("now", [0.0, 1_800_000_000.0])
def test_neither_a_clock_that_is_wrong_nor_a_long_time_without_requests_delays_the_removal_of_a_user(
    material: Material, now: float
) -> None:
    clock = FakeClock(now=now)
    material.write(basic_auth_users={"alice": ALICE, "bob": ALICE})
    settings = LiveSettings(material.file, clock)
    material.write(basic_auth_users={"alice": ALICE})
    if now == 0.0:  # the file is from the future
        settings()
        clock.advance(1)
    assert list(settings().users) == ["alice"]


def test_a_file_that_is_written_while_it_is_read_is_read_again(clock: FakeClock, tmp_path: Path) -> None:
    file = tmp_path / "value"
    file.write_text("old")
    later: list[str] = []

    def read(_previous: str | None) -> str:
        text = file.read_text()
        if later:
            file.write_text(later.pop())
        if text == "wrong":
            raise ValueError(text)
        return text

    value = Reloading("value", read, lambda: (signature(file), file.read_text()), clock)
    for first, then, expected in (("half", "new", "old"), ("wrong", "newer", "new")):
        file.write_text(first)
        later.append(then)
        assert (value(), value.problem) == (expected, "")
        assert (value(), value.problem) == (then, "")


def test_a_bad_file_at_the_start_stops_the_start(material: Material, live: Live) -> None:
    material.file.write_text("basic_auth_users: {alice: plain}")
    with pytest.raises(ConfigurationError, match="not a bcrypt hash"):
        live()
