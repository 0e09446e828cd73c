"""The running exporter with silent, slow and many clients, out of descriptors, on every kind of address."""

import contextlib
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from partnercenter_simulator import Simulator
from tests.e2e.conftest import NO_AUTHORITIES, Process, start
from tests.integration.web.material import Material
from tests.integration.web.wire import closed, read_answer
from tests.reliability.rig import store_token
from tests.support.cases import cases, combinations
from tests.support.config import PARTNER, token_file, write_config
from tests.support.plain_http import NO_TLS
from tests.support.process import PATIENCE_SECONDS, until

# Longer than the deadlines here, but not as long as the minute that asyncio gives a handshake.
SILENCE_SECONDS = 50
GET = b"GET /-/ready HTTP/1.1\r\nHost: x\r\n\r\n"
SCRAPE = b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n"
OK = b"HTTP/1.1 200 OK\r\n"
TROUBLE = "server error"
# Starts the exporter in this very process after a change to it: flags come as arguments.
RUN = "import runpy; runpy.run_module('exporter', run_name='__main__', alter_sys=True)"
FEW_DESCRIPTORS = f"import resource; resource.setrlimit(resource.RLIMIT_NOFILE, (96, 96)); {RUN}"
# Files that take descriptors for which the limit on connections can't allow.
HELD = "import os; held = [os.open(os.devnull, os.O_RDONLY) for _ in range(60)]; "
LOW_SOFT_LIMIT = f"import resource; resource.setrlimit(resource.RLIMIT_NOFILE, (96, 1024)); {RUN}"
SYSTEMD = """
import os, socket
listening = [socket.create_server(("127.0.0.1", 0)), socket.socket(socket.AF_UNIX)]
listening[1].bind(os.environ["UNIX_SOCKET"])
listening[1].listen()
for index, listener in enumerate(listening):
    os.dup2(listener.detach(), 13 + index)
for index in range(2):
    os.dup2(13 + index, 3 + index)
os.environ |= {"LISTEN_FDS": "2", "LISTEN_PID": str(os.getpid())}
"""
NOT_LISTENING = """
import os, socket
os.dup2(socket.socket().detach(), 3)
os.environ |= {"LISTEN_FDS": "1", "LISTEN_PID": str(os.getpid())}
"""


@pytest.fixture
def file(simulator: Simulator, tmp_path: Path) -> Path:
    """A configuration."""
    return write_config(tmp_path, simulator)


@pytest.fixture
def material(tmp_path: Path) -> Material:
    """A certificate and a web configuration with TLS."""
    made = Material(tmp_path)
    made.issue()
    made.write(tls={})
    return made


def changed(program: str, file: Path, *flags: str, **env: str) -> Process:
    """Start the exporter through a program that changes its process first."""
    return Process("run", f"--config.file={file}", *flags, program=("-c", program), env={**NO_AUTHORITIES, **env})


@pytest.fixture
def clients() -> Iterator[contextlib.ExitStack]:
    """Connections that stay open until the end of the test."""
    with contextlib.ExitStack() as stack:
        yield stack


def connect(process: Process, clients: contextlib.ExitStack) -> socket.socket:
    """Open a connection."""
    url = httpx.URL(process.url)
    client = clients.enter_context(socket.socket())
    client.settimeout(SILENCE_SECONDS)
    client.connect((url.host, url.port or 0))
    return client


def scrape_over_tls(process: Process, material: Material) -> int:
    """Return the status of a scrape over a new connection."""
    url = process.url.replace("http://", "https://") + "/metrics"
    return httpx.get(url, verify=material.client(), trust_env=False, timeout=PATIENCE_SECONDS).status_code


def test_silent_clients_are_closed_in_time(file: Path, material: Material, clients: contextlib.ExitStack) -> None:
    """Uses the real deadlines, the longest of which is ten seconds, all in parallel."""
    with start(file, f"--web.config.file={material.file}") as process:
        handshakes = [connect(process, clients) for _ in range(3)]
        handshakes[1].sendall(b"\x16\x03\x01\x02\x00\x01\x00")
        handshakes[2].sendall(GET)
        silent = [
            clients.enter_context(material.client().wrap_socket(connect(process, clients), server_hostname="localhost"))
            for _ in range(2)
        ]
        silent[1].sendall(b"GET /metrics HTTP/1.1\r\nHost: x\r\nX-Half: ")
        assert all(closed(client) for client in [*handshakes, *silent])
        assert scrape_over_tls(process, material) == httpx.codes.OK
        assert process.stop() == 0
        assert [line for line in process.stderr.splitlines() if "level=info" not in line] == []


def test_a_thousand_idle_connections_do_not_delay_scrapes(file: Path, clients: contextlib.ExitStack) -> None:
    with start(file) as process:
        process.wait_until_ready()
        scraper = connect(process, clients)
        for number in range(1_000):
            connect(process, clients)
            if number % 100 == 0:
                # A regular scraper is never the connection that has been idle longest.
                scraper.sendall(GET)
                assert read_answer(scraper).startswith(OK)
        assert process.ask().status_code == httpx.codes.OK
        assert process.stop() == 0
        assert TROUBLE not in process.stderr


def test_half_open_handshakes_and_idle_connections_do_not_delay_scrapes_over_tls(
    file: Path, material: Material, clients: contextlib.ExitStack
) -> None:
    with start(file, f"--web.config.file={material.file}") as process:
        context = material.client()
        for _ in range(200):
            connect(process, clients)
        for _ in range(100):
            plain = connect(process, clients)
            clients.enter_context(context.wrap_socket(plain, server_hostname="localhost"))
        for _ in range(200):
            connect(process, clients)
        assert scrape_over_tls(process, material) == httpx.codes.OK
        assert process.stop() == 0
        assert TROUBLE not in process.stderr


def test_without_file_descriptors_it_logs_that_once_in_a_while_and_recovers(
    file: Path, material: Material, clients: contextlib.ExitStack
) -> None:
    web = f"--web.config.file={material.file}"
    with changed(HELD + FEW_DESCRIPTORS, file, "--web.listen-address=127.0.0.1:0", web) as process:
        assert scrape_over_tls(process, material) == httpx.codes.OK
        connections = clients.enter_context(contextlib.ExitStack())
        for _ in range(150):
            connect(process, connections)
        process.wait_for_output(TROUBLE)
        connections.close()

        def scraped() -> bool:
            with contextlib.suppress(httpx.TransportError):
                return scrape_over_tls(process, material) == httpx.codes.OK
            return False

        until(scraped)
        lines = [line for line in process.stderr.splitlines() if TROUBLE in line]
        # A line is logged every ten seconds, however many connections come.
        assert 1 <= len(lines) <= 1 + PATIENCE_SECONDS / 10
        assert "Too many open files" in lines[0]
        assert "raise the open file limit" in lines[0]
        assert process.stop() == 0
        assert "Traceback" not in process.stderr


def test_with_few_descriptors_idle_connections_are_closed_before_they_run_out(
    file: Path, clients: contextlib.ExitStack
) -> None:
    with changed(FEW_DESCRIPTORS, file, "--web.listen-address=127.0.0.1:0") as process:
        process.wait_until_ready()
        for _ in range(200):
            client = connect(process, clients)
            client.sendall(GET)
            assert read_answer(client).startswith(OK)
        assert process.ask().status_code == httpx.codes.OK
        assert TROUBLE not in process.stderr


PAGE = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"
RELOAD = b"POST /-/reload HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n"
HALF_HELLO = b"\x16\x03\x01\x02\x00\x01\x00"


FLOODS = {
    "pages": ([PAGE], []),
    "refused reloads": ([RELOAD], []),
    "reloads": ([RELOAD], ["--web.enable-lifecycle"]),
    "all": ([b"", PAGE, RELOAD, SCRAPE[:-2], SCRAPE], ["--web.enable-lifecycle"]),
}


@pytest.mark.parametrize(("flood", "descriptors"), combinations(list(FLOODS), [512, 64, 128]))
def test_more_clients_than_descriptors_keep_no_scrape_and_no_poll_waiting(
    tmp_path: Path, simulator: Simulator, clients: contextlib.ExitStack, flood: str, descriptors: int
) -> None:
    requests, flags = FLOODS[flood]
    file = without_token(tmp_path, simulator)
    with changed(limited(descriptors), file, "--web.listen-address=127.0.0.1:0", *flags) as process:
        process.wait_until_ready()
        for number in range(descriptors + 50):
            client = connect(process, clients)
            with contextlib.suppress(ConnectionError):
                client.sendall(requests[number % len(requests)])
            if number % 50 == 0:
                assert process.ask().status_code == httpx.codes.OK
        assert_it_still_polls(process, file, simulator)
        assert process.ask().status_code == httpx.codes.OK
        assert TROUBLE not in process.stderr


@pytest.mark.parametrize("descriptors", cases(128, in_ci=[64, 512]))
def test_more_silent_tls_clients_than_descriptors_keep_no_scrape_and_no_poll_waiting(
    tmp_path: Path, simulator: Simulator, material: Material, clients: contextlib.ExitStack, descriptors: int
) -> None:
    file = without_token(tmp_path, simulator)
    web = f"--web.config.file={material.file}"
    with changed(limited(descriptors), file, "--web.listen-address=127.0.0.1:0", web) as process:
        for number in range(descriptors + 50):
            flood = connect(process, clients)
            with contextlib.suppress(ConnectionError):
                flood.sendall(HALF_HELLO[: number % 8])
            if number % 50 == 0:
                assert scrape_over_tls(process, material) == httpx.codes.OK
        assert_it_still_polls(process, file, simulator)
        assert scrape_over_tls(process, material) == httpx.codes.OK
        assert TROUBLE not in process.stderr


def limited(descriptors: int) -> str:
    """Return a program that starts the exporter with so many descriptors."""
    return f"import resource; resource.setrlimit(resource.RLIMIT_NOFILE, ({descriptors}, {descriptors})); {RUN}"


def without_token(folder: Path, simulator: Simulator) -> Path:
    """Return a configuration of a partner who has not signed in yet."""
    return write_config(folder, simulator, partner={"refresh_token_file": None})


def assert_it_still_polls(process: Process, file: Path, simulator: Simulator) -> None:
    """Sign in: that is noticed, both sources are polled, and the data and the next token are saved."""
    state = file.parent / "state"
    assert "poll succeeded" not in process.stderr
    store_token(state, simulator, PARTNER, at=time.time())
    stored = token_file(file).read_bytes()
    process.wait_for_log("poll succeeded", 2)
    assert token_file(file).read_bytes() != stored
    until(lambda: all((state / "data" / f"{PARTNER}.{source}.json").exists() for source in ("usage", "deployment")))


def test_the_soft_limit_of_open_files_is_raised(file: Path) -> None:
    with changed(LOW_SOFT_LIMIT, file, "--web.listen-address=127.0.0.1:0") as process:
        assert process.url
        limits = Path(f"/proc/{process.pid}/limits").read_text()
    [line] = [line for line in limits.splitlines() if line.startswith("Max open files")]
    assert line.split()[3:5] == ["1024", "1024"]


def listening(process: Process) -> list[str]:
    """Return every address that it logs as listening."""
    assert process.url
    [line] = [line for line in process.stderr.splitlines() if "listening=" in line]
    return line.partition("listening=")[2].partition(" tls=")[0].strip('"').split()


def test_it_listens_at_several_addresses_of_both_kinds(file: Path) -> None:
    flags = [f"--web.listen-address={address}" for address in ("[::1]:0", "localhost:0", ":0")]
    with Process("run", f"--config.file={file}", *flags, env=NO_AUTHORITIES) as process:
        addresses = listening(process)
        ports = [address.rpartition(":")[2] for address in addresses]
        assert addresses[0] == f"[::1]:{ports[0]}"
        assert f"127.0.0.1:{ports[-2]}" in addresses
        reached = [*addresses[:-1], f"127.0.0.1:{ports[-1]}", f"[::1]:{ports[-1]}"]
        for address in reached:
            answer = httpx.get(f"http://{address}/-/healthy", trust_env=False, verify=NO_TLS)
            assert answer.status_code == httpx.codes.OK, address
        assert process.stop() == 0


def test_it_serves_on_the_sockets_that_systemd_passes(file: Path, tmp_path: Path) -> None:
    path = tmp_path / "exporter.sock"
    with changed(SYSTEMD + RUN, file, "--web.systemd-socket", UNIX_SOCKET=str(path)) as process:
        assert process.get("/-/healthy").status_code == httpx.codes.OK
        assert listening(process)[1] == str(path)
        with httpx.Client(transport=httpx.HTTPTransport(uds=str(path)), trust_env=False) as client:
            assert client.get("http://exporter/-/healthy").status_code == httpx.codes.OK
        assert process.stop() == 0


@pytest.mark.parametrize(
    ("program", "words"),
    [
        (NOT_LISTENING, "descriptor 3 from systemd is not a listening socket"),
        (
            "import os; os.environ |= {'LISTEN_FDS': '1', 'LISTEN_PID': str(os.getpid())}; os.dup2(0, 3); ",
            "descriptor 3 from systemd is not a socket: ",
        ),
    ],
    ids=["not listening", "no socket"],
)
def test_a_descriptor_that_is_no_listening_socket_stops_the_start(file: Path, program: str, words: str) -> None:
    with changed(program + RUN, file, "--web.systemd-socket") as process:
        assert process.wait() == 1
        assert process.stderr.startswith(f"partnercenter-exporter: {words}")


def test_many_slow_readers_and_broken_connections_do_not_prevent_the_exit(
    file: Path, clients: contextlib.ExitStack
) -> None:
    with start(file) as process:
        process.wait_until_ready()
        for _ in range(20):
            client = connect(process, clients)
            client.sendall(b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n" * 500)
        threads = [threading.Thread(target=connect, args=[process, clients]) for _ in range(20)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert process.ask().status_code == httpx.codes.OK
        assert process.stop() == 0
        assert "level=error" not in process.stderr
        assert "Traceback" not in process.stderr
