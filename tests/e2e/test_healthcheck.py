"""`healthcheck`: the container's health check."""

import socket
import threading
from urllib.parse import urlsplit

from tests.e2e.conftest import Serving
from tests.support.process import run_command


def test_a_working_exporter_is_status_0(serving: Serving) -> None:
    address = urlsplit(serving.process.url).netloc
    port = address.rpartition(":")[2]
    # As given to run: with a host, and for every interface.
    for given in (address, f":{port}", f"0.0.0.0:{port}"):
        ended = run_command("healthcheck", f"--web.listen-address={given}")
        assert (ended.returncode, ended.stderr) == (0, "")
        assert ended.stdout == "partnercenter-exporter is healthy\n"


def test_nobody_there_is_status_1_and_says_so() -> None:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    ended = run_command("healthcheck", f"--web.listen-address=127.0.0.1:{port}")
    assert ended.returncode == 1
    assert ended.stdout == ""
    assert ended.stderr == f"no answer from 127.0.0.1:{port}: [Errno 111] Connection refused\n"


def test_something_else_there_is_status_1() -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        other.settimeout(30)

        def answer() -> None:
            connection, _ = other.accept()
            with connection:
                connection.recv(1_000)
                connection.sendall(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n")

        thread = threading.Thread(target=answer)
        thread.start()
        ended = run_command("healthcheck", f"--web.listen-address=127.0.0.1:{port}")
        thread.join(30)
    assert ended.returncode == 1
