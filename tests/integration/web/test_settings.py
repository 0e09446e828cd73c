"""--web.config.file while the exporter runs: what changes, what is refused, and what is said about it."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest

from exporter.errors import ConfigurationError
from exporter.web.toolkit.config_file import LiveSettings
from tests.integration.web.conftest import Serve
from tests.integration.web.material import Material
from tests.support.clock import FakeClock
from tests.support.logs import LogStream

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
        return httpx.get(url, auth=("alice", "secret"), trust_env=False)

    assert httpx.get(url, trust_env=False).status_code == 401
    assert ask().status_code == 404
    material.write(basic_auth_users={"bob": ALICE}, **HEADERS)
    answer = ask()
    assert (answer.status_code, answer.headers["x-frame-options"]) == (401, "deny")
    material.write(**HEADERS)
    assert httpx.get(url, trust_env=False).status_code == 404
    assert len(log_stream.of(RELOADED)) == 2


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


def test_a_bad_file_at_the_start_stops_the_start(material: Material, live: Live) -> None:
    material.file.write_text("basic_auth_users: {alice: plain}")
    with pytest.raises(ConfigurationError, match="not a bcrypt hash"):
        live()
