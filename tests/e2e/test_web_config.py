"""--web.config.file of the running exporter, and the health check with it."""

import base64
import socket
import subprocess
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Any

import bcrypt
import httpx
import pytest
import yaml

from exporter.cli import main
from exporter.errors import ConfigurationError
from exporter.web.toolkit.config_file import load_web
from partnercenter_simulator import Simulator
from tests.e2e.conftest import NO_AUTHORITIES, Process, program, start
from tests.integration.web.material import Material, serial_of
from tests.support.config import write_config
from tests.support.logs import recorded_logs
from tests.support.process import PATIENCE_SECONDS, run_command, until

PASSWORD = "correct horse: 😀"
HASH = bcrypt.hashpw(PASSWORD.encode(), bcrypt.gensalt(5)).replace(b"$2b$", b"$2y$").decode()
ALICE = ("alice", PASSWORD)
SUCCESSFUL = "partnercenter_web_config_last_reload_successful"
HEADERS = {"headers": {"X-Frame-Options": "deny", "Strict-Transport-Security": "max-age=31536000"}}


class Secured:
    """An exporter with TLS and users, and its clients."""

    def __init__(self, process: Process, material: Material) -> None:
        self.process = process
        self.material = material
        self.address = process.url.removeprefix("http://")

    def get(self, path: str = "/metrics", auth: tuple[str, str] | None = ALICE) -> httpx.Response:
        """Send a request over a new connection."""
        # httpx would encode text in Latin-1.
        sign_in = httpx.BasicAuth(auth[0], auth[1].encode()) if auth else None
        return httpx.get(
            f"https://{self.address}{path}",
            auth=sign_in,
            verify=self.material.client(),
            trust_env=False,
            timeout=PATIENCE_SECONDS,
        )

    def serial(self) -> int:
        """Return the serial number of the certificate on a new connection."""
        host, _, port = self.address.rpartition(":")
        with (
            socket.create_connection((host, int(port)), timeout=PATIENCE_SECONDS) as plain,
            self.material.client().wrap_socket(plain, server_hostname="localhost") as client,
        ):
            certificate = client.getpeercert()
        assert certificate is not None
        return int(str(certificate["serialNumber"]), 16)

    def write(self, **sections: Any) -> None:
        """Write the initial web configuration, except for these sections."""
        self.material.write(
            **{"tls": {}, "basic_auth_users": {"alice": HASH}, "http_server_config": HEADERS, **sections}
        )


@pytest.fixture(scope="module")
def exporter(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Secured]:
    """The exporter, for all tests of this file; each restores the web configuration."""
    folder = tmp_path_factory.mktemp("secured")
    material = Material(folder)
    material.issue()
    material.write_client_ca()
    material.write(tls={}, basic_auth_users={"alice": HASH}, http_server_config=HEADERS)
    with (
        Simulator(seed=7) as simulator,
        start(write_config(folder, simulator), f"--web.config.file={material.file}") as process,
    ):
        yield Secured(process, material)
        assert process.stop() == 0
        assert "Traceback" not in process.stderr
        assert HASH not in process.stderr
        assert PASSWORD not in process.stderr


@pytest.fixture
def secured(exporter: Secured) -> Iterator[Secured]:
    """The exporter, with its initial web configuration."""
    exporter.write()
    yield exporter
    exporter.write()


def healthcheck(*flags: str, env: dict[str, str] | None = None) -> tuple[int, str, str]:
    """Run the health check; return its exit status and output."""
    ended = run_command("healthcheck", *flags, env={**NO_AUTHORITIES, **(env or {})})
    return ended.returncode, ended.stdout.strip(), ended.stderr.strip()


def check_here(capsys: pytest.CaptureFixture[str], *flags: str) -> tuple[int, str, str]:
    """Run the health check's main function: what a process does, without its startup."""
    with recorded_logs():
        status = main(["healthcheck", *flags])
    printed = capsys.readouterr()
    return status, printed.out.strip(), printed.err.strip()


def test_a_scrape_needs_tls_and_the_password(secured: Secured) -> None:
    assert "\npartnercenter_state_writable 1.0\n" in secured.get().text
    for auth in (None, ("alice", "wrong"), ("bob", PASSWORD)):
        answer = secured.get(auth=auth)
        assert (answer.status_code, answer.text) == (401, "Unauthorized\n")
        assert answer.headers["www-authenticate"] == "Basic"
    secured.process.wait_for_log(" tls=true ")


def test_probes_need_tls_alone(secured: Secured) -> None:
    assert secured.get("/-/healthy", auth=None).status_code == 200
    assert secured.get("/-/ready", auth=None).status_code in (200, 503)


@pytest.mark.parametrize(("path", "auth"), [("/", ALICE), ("/metrics", None), ("/no", ALICE), ("/-/healthy", None)])
def test_the_headers_are_on_every_answer(secured: Secured, path: str, auth: tuple[str, str] | None) -> None:
    answer = secured.get(path, auth=auth)
    assert answer.headers["x-frame-options"] == "deny"
    assert answer.headers["strict-transport-security"] == "max-age=31536000"


def test_a_renewed_certificate_is_served_without_a_restart_and_a_broken_one_is_not(secured: Secured) -> None:
    material = secured.material
    renewed = material.issue()
    assert secured.serial() == serial_of(renewed)
    (material.folder / "server.key").write_bytes(b"half a k")
    assert secured.serial() == serial_of(renewed)
    assert secured.get().status_code == 200
    secured.process.wait_for_log("TLS certificate not reloaded, keeping the previous one")
    assert f"\n{SUCCESSFUL} 0.0\n" in secured.get().text
    kept = "web configuration not reloaded, keeping the previous one: "
    assert until(lambda: kept in secured.get("/").text)
    material.write_key(renewed)
    assert secured.serial() == serial_of(renewed)
    assert f"\n{SUCCESSFUL} 1.0\n" in secured.get().text
    assert until(lambda: kept not in secured.get("/").text)


def test_changed_users_are_taken_up_and_a_bad_file_changes_nothing(secured: Secured) -> None:
    secured.write(basic_auth_users={"bob": HASH})
    assert secured.get().status_code == 401
    assert secured.get(auth=("bob", PASSWORD)).status_code == 200
    secured.write(basic_auth_users={"bob": "plain"})
    assert secured.get(auth=("bob", PASSWORD)).status_code == 200
    secured.process.wait_for_log("not a bcrypt hash")
    assert f"\n{SUCCESSFUL} 0.0\n" in secured.get(auth=("bob", PASSWORD)).text
    kept = "web configuration not reloaded, keeping the previous one: "
    page = until(lambda: text if kept in (text := secured.get("/", auth=("bob", PASSWORD)).text) else "")
    assert "not a bcrypt hash" in page
    secured.write()
    assert secured.get().status_code == 200
    assert f"\n{SUCCESSFUL} 1.0\n" in secured.get().text


def test_an_emptied_file_lets_nobody_in(secured: Secured) -> None:
    secured.material.file.write_text("")
    assert secured.get(auth=None).status_code == 401
    assert f"\n{SUCCESSFUL} 0.0\n" in secured.get().text
    secured.process.wait_for_log("to switch TLS on or off, restart the exporter")


def test_users_can_t_be_removed_altogether_but_one_by_one(secured: Secured) -> None:
    secured.write(basic_auth_users={"alice": HASH, "bob": HASH})
    assert secured.get(auth=("bob", PASSWORD)).status_code == 200
    secured.write()
    until(lambda: secured.get(auth=("bob", PASSWORD)).status_code == 401)
    secured.write(basic_auth_users={})
    assert secured.get(auth=None).status_code == 401
    assert secured.get().status_code == 200
    secured.process.wait_for_log("to serve without passwords, restart the exporter")


def test_a_change_that_needs_a_restart_is_logged(secured: Secured) -> None:
    secured.material.write(basic_auth_users={"bob": HASH})
    assert secured.get().status_code == 200
    secured.process.wait_for_log("to switch TLS on or off, restart the exporter")


def test_a_flood_of_wrong_passwords_does_not_delay_known_users(secured: Secured) -> None:
    # Each check is slow, so that the flood fills the queue.
    slow = HASH.replace("$05$", "$11$")
    secured.write(basic_auth_users={"alice": HASH, "mallory": slow})
    assert secured.get().status_code == 200
    flooding = threading.Barrier(9)

    def flood(number: int) -> int:
        flooding.wait(PATIENCE_SECONDS)
        return secured.get(auth=("mallory", str(number))).status_code

    with ThreadPoolExecutor(8) as pool:
        floods = [pool.submit(flood, number) for number in range(8)]
        flooding.wait(PATIENCE_SECONDS)
        assert [secured.get().status_code for _ in range(5)] == [200] * 5
        assert {flood.result() for flood in floods} <= {401, 503}


def test_the_health_check_takes_the_exporter_s_own_flags(secured: Secured) -> None:
    flags = (f"--web.listen-address={secured.address}", f"--web.config.file={secured.material.file}")
    assert healthcheck(*flags) == (0, "partnercenter-exporter is healthy", "")


@pytest.mark.parametrize("highest", ["TLS12", "TLS13"])
def test_to_be_asked_for_a_client_certificate_counts_as_alive_and_can_t_be_switched_off(
    simulator: Simulator, tmp_path: Path, capsys: pytest.CaptureFixture[str], highest: str
) -> None:
    material = Material(tmp_path)
    material.issue()
    material.write_client_ca()
    mode = {"client_auth_type": "RequireAndVerifyClientCert", "client_ca_file": "clients.pem"}
    file = material.write(tls={**mode, "max_version": highest})
    with start(write_config(tmp_path, simulator), f"--web.config.file={file}") as process:
        flags = (f"--web.listen-address={process.url.removeprefix('http://')}", f"--web.config.file={file}")
        assert check_here(capsys, *flags) == (0, "alive: it asks for a client certificate", "")
        material.write(tls={"max_version": highest})
        assert check_here(capsys, *flags) == (0, "alive: it asks for a client certificate", "")
        process.wait_for_log("to require less of clients, restart the exporter")


def test_a_web_configuration_that_becomes_invalid_leaves_the_exporter_healthy(
    secured: Secured, capsys: pytest.CaptureFixture[str]
) -> None:
    flags = (f"--web.listen-address={secured.address}", f"--web.config.file={secured.material.file}")
    secured.material.file.write_text("[")
    assert check_here(capsys, *flags)[0] == 0
    secured.material.write()  # without TLS, which the running exporter can't switch to
    assert check_here(capsys, *flags)[0] == 0


def test_a_bad_web_configuration_stops_the_start_with_every_mistake(simulator: Simulator, tmp_path: Path) -> None:
    web = tmp_path / "web.yml"
    web.write_text("tls_server_config:\n  client_auth_type: RequireAnyClientCert\nbasic_auth_users:\n  a: b\n")
    with start(write_config(tmp_path, simulator), f"--web.config.file={web}") as process:
        assert process.wait() == 2
        lines = process.stderr.splitlines()
    assert [line.partition(f"{web}:")[2].partition(": ")[0] for line in lines] == ["2", "2", "2", "4"]
    assert "RequireAnyClientCert is not supported" in lines[1]
    assert "not a bcrypt hash" in lines[3]


PAIR: dict[str, Any] = {"cert_file": "server.pem", "key_file": "server.key"}
VERIFIED = PAIR | {"client_ca_file": "clients.pem"}
CONFIGURATIONS: list[Any] = [
    None,
    [],
    "words",
    {"tls": {}},
    {"tls_server_config": {}},
    *(
        {"tls_server_config": keys}
        for keys in (
            PAIR,
            {"cert_file": "server.pem"},
            {"key_file": "server.key"},
            {"client_auth_type": "NoClientCert"},
            {"client_ca_file": "clients.pem"},
            PAIR | {"cert_file": "none"},
            PAIR | {"cert_file": "server.key"},
            PAIR | {"key_file": "clients.pem"},
            PAIR | {"client_ca": "none"},
            VERIFIED,
            *(
                VERIFIED | {"client_auth_type": "RequireAndVerifyClientCert", "client_allowed_sans": sans}
                for sans in ("a.example", [["a"]], {"a": 1})  # a list is fine, but promtool 2.42 doesn't know it
            ),
            PAIR | {"client_allowed_sans": ["a.example"]},
            *(VERIFIED | {"client_auth_type": mode} for mode in ("", "NoClientCert", "Always")),
            *(VERIFIED | {"client_auth_type": f"{mode}"} for mode in ("RequireAndVerifyClientCert", "request")),
            *(PAIR | {"min_version": version} for version in ("TLS12", "TLS13", "TLS14", "tls12", "")),
            *(PAIR | {"max_version": version} for version in ("TLS13", "SSL30", 12)),
            *(PAIR | {"cipher_suites": suites} for suites in ([], "AES", ["AES"], ["TLS_AES_128_GCM_SHA256"])),
            PAIR | {"prefer_server_cipher_suites": False},
            PAIR | {"prefer_server_cipher_suites": "perhaps"},
        )
    ),
    *(
        {"http_server_config": {"headers": headers}}
        for headers in (
            {},
            [],
            {"Server": "a"},
            {"x-frame-options": "deny"},
            *({"X-Frame-Options": value} for value in ("deny", "sameorigin", "DENY", "", None)),
            *({"X-Content-Type-Options": value} for value in ("nosniff", "sniff", None)),
            {"Content-Security-Policy": "default-src 'none'", "X-XSS-Protection": 1},
        )
    ),
    {"http_server_config": {"http2": False}},
    {"http_server_config": {"http2": "perhaps"}},
    {"http_server_config": {"http3": True}},
    {"basic_auth_users": {}},
    {"basic_auth_users": []},
    *({"basic_auth_users": {"a": hashed}} for hashed in (HASH, "", None, "b", HASH[:-2], ["b"])),
    *({"basic_auth_users": {"a": HASH.replace("$05$", f"${cost}$")}} for cost in ("03", "32", "1", "x0")),
    *({"basic_auth_users": {"a": HASH.replace("$2y$", kind)}} for kind in ("$1$", "$3y$", "2y$", "$2$")),
]


def test_web_configurations_that_prometheus_refuses_are_refused(tmp_path: Path) -> None:
    """According to promtool, which parses such files with exporter-toolkit itself."""
    material = Material(tmp_path)
    material.issue()
    material.write_client_ca()
    files = []
    for number, content in enumerate(CONFIGURATIONS):
        files.append(tmp_path / f"{number}.yml")
        files[-1].write_text(yaml.safe_dump(content))
    command = [program("promtool"), "check", "web-config", *map(str, files)]
    said = subprocess.run(command, capture_output=True, text=True, check=False, timeout=PATIENCE_SECONDS).stderr  # noqa: S603  promtool
    refused = {file for file in files if f"{file} FAILED" in said}
    assert len(refused) > 20
    taken = set()
    for file in files:
        with suppress(ConfigurationError):
            load_web(file)
            taken.add(file)
    assert [file.read_text() for file in sorted(refused & taken)] == []
    assert len(taken) > 10


def test_pending_sign_ins_do_not_delay_the_exit(simulator: Simulator, tmp_path: Path) -> None:
    """Each check is slow; only the one in progress completes."""
    web = tmp_path / "web.yml"
    web.write_text(f"basic_auth_users: {{alice: {HASH.replace('$05$', '$12$')}}}\n")
    with start(write_config(tmp_path, simulator), f"--web.config.file={web}") as process:
        url = httpx.URL(process.url)
        clients = [socket.create_connection((url.host, url.port or 0)) for _ in range(8)]
        for number, client in enumerate(clients):
            word = base64.b64encode(f"alice:{number}".encode()).decode()
            client.sendall(f"GET / HTTP/1.1\r\nHost: x\r\nAuthorization: Basic {word}\r\n\r\n".encode())
        # Probes are still answered.
        assert process.ask("/-/healthy").status_code == 200
        assert process.stop() == 0
        assert "exporter stopped" in process.stderr
        assert "Traceback" not in process.stderr
        for client in clients:
            client.close()
