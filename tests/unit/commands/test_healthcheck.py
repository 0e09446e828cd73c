"""`healthcheck`: what each answer of a server means."""

import socket
import ssl
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import pytest
import trustme

from exporter.arguments import Healthcheck
from exporter.commands import healthcheck

Serve = Callable[..., str]


class Health(BaseHTTPRequestHandler):
    """Answers with the server's status, or hangs up where it is 0."""

    def do_GET(self) -> None:
        status = self.server.status  # type: ignore[attr-defined]  # set by the fixture
        if self.path != "/-/healthy" or not status:
            return
        self.send_response(status)
        self.end_headers()
        self.wfile.write(BODIES[status])

    def log_message(self, *_args: Any, **_fields: Any) -> None:
        """Say nothing."""


BODIES = {
    200: b"in good health\n",
    500: b"the poll thread is dead\n",
    501: b"\x1b]0;owned\x07\x1b[2Jdead\r\xe2\x80\xae\n",
}


@pytest.fixture
def serve() -> Iterator[Serve]:
    """Return a function that starts a server and returns its address."""
    servers: list[ThreadingHTTPServer] = []

    def start(status: int, context: ssl.SSLContext | None = None) -> str:
        server = ThreadingHTTPServer(("127.0.0.1", 0), Health)
        server.status = status  # type: ignore[attr-defined]  # read by the handler
        server.handle_error = lambda *_: None  # type: ignore[method-assign]  # failed handshakes are meant
        if context:
            server.socket = context.wrap_socket(server.socket, server_side=True)
        Thread(target=server.serve_forever, args=[0.01], daemon=True).start()
        servers.append(server)
        return f"127.0.0.1:{server.server_port}"

    yield start
    for server in servers:
        server.shutdown()
        server.server_close()


def check(address: str, *, web_config: bool = False) -> int:
    file = Path("web.yaml") if web_config else None
    return healthcheck.run(Healthcheck(listen_addresses=(address, ":1"), web_config_file=file))


@pytest.mark.parametrize(
    ("status", "expected", "text"), [(200, 0, "in good health"), (500, 1, "the poll thread is dead")]
)
def test_only_status_200_is_healthy(
    serve: Serve, capsys: pytest.CaptureFixture[str], status: int, expected: int, text: str
) -> None:
    assert check(serve(status)) == expected
    assert text in capsys.readouterr().out


def test_whoever_answers_there_can_move_no_cursor(serve: Serve, capsys: pytest.CaptureFixture[str]) -> None:
    assert check(serve(501)) == 1
    assert capsys.readouterr().out == "]0;owned [2Jdead\n"


def test_every_interface_is_reached_at_the_loopback_one(serve: Serve) -> None:
    port = serve(200).rpartition(":")[2]
    assert check(f":{port}") == check(f"0.0.0.0:{port}") == 0


@pytest.mark.parametrize("tls", [False, True])
def test_no_answer_is_a_failure_that_says_so(
    serve: Serve,
    capsys: pytest.CaptureFixture[str],
    tls: bool,  # noqa: FBT001  a parameter
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as unused:
        port = unused.getsockname()[1]
    assert check(f"127.0.0.1:{port}", web_config=tls) == 1
    assert capsys.readouterr() == ("", f"no response from 127.0.0.1:{port}: [Errno 111] Connection refused\n")
    assert check(serve(0), web_config=tls) == 1
    assert "no response from 127.0.0.1:" in capsys.readouterr().err


def test_tls_with_any_certificate_is_healthy_also_where_it_asks_for_the_client_s(
    serve: Serve, capsys: pytest.CaptureFixture[str]
) -> None:
    authority = trustme.CA()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.maximum_version = ssl.TLSVersion.TLSv1_2  # as the last step of a handshake, not after it
    authority.issue_cert("elsewhere.example").configure_cert(context)
    assert check(serve(200, context), web_config=True) == 0
    authority.configure_trust(context)
    context.verify_mode = ssl.CERT_REQUIRED
    assert check(serve(200, context), web_config=True) == 0
    assert capsys.readouterr().out == "in good health\nalive: it asks for a client certificate\n"


def test_a_web_configuration_without_tls_is_asked_without(serve: Serve) -> None:
    assert check(serve(200), web_config=True) == 0
