"""The interactive sign-in: the browser comes back to the listener, or its address is pasted."""

import contextlib
import io
import queue
import socket
import ssl
import struct
import threading
from collections.abc import Iterator
from urllib.parse import parse_qsl, urlencode, urlsplit

import httpx
import pytest

from exporter.auth.entra import TokenGrant
from exporter.auth.login import sign_in_interactively
from exporter.errors import AuthenticationError, ExporterError, ListenError, NetworkError
from partnercenter_simulator import Fault, Simulator
from tests.support.logs import LogStream
from tests.support.process import PATIENCE_SECONDS, until
from tests.support.sign_in import SignInKit


class Keyboard(io.StringIO):
    """Standard input: lines come as they are typed."""

    def __init__(self) -> None:
        super().__init__()
        self._lines: queue.Queue[str | None] = queue.Queue()

    def type(self, line: str) -> None:
        """Type a line."""
        self._lines.put(f"{line}\n")

    def end(self) -> None:
        """Press Ctrl+D."""
        self._lines.put(None)

    def __iter__(self) -> Iterator[str]:  # type: ignore[override]  # typeshed has bytes there
        """Give out the lines until the end."""
        return iter(self._lines.get, None)


class SignIn:
    """One sign-in under way on a thread of its own."""

    def __init__(self, kit: SignInKit, port: int = 0, *, timeout_seconds: float = PATIENCE_SECONDS) -> None:
        self.keyboard = Keyboard()
        self.shown = io.StringIO()
        self._kit = kit
        self._asked_port = port
        self._timeout_seconds = timeout_seconds
        self._outcome: TokenGrant | ExporterError | None = None
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    @property
    def address(self) -> str:
        """The address that the user is asked to open."""
        lines = until(lambda: [line for line in self.shown.getvalue().split() if "/authorize?" in line])
        return lines[0]

    @property
    def port(self) -> int:
        """The port that the browser is sent back to."""
        port = urlsplit(dict(parse_qsl(urlsplit(self.address).query))["redirect_uri"]).port
        assert port
        return port

    def outcome(self) -> TokenGrant | ExporterError:
        """Wait for the end; return the tokens or the error."""
        self._thread.join(PATIENCE_SECONDS)
        self.keyboard.end()
        assert self._outcome is not None
        return self._outcome

    def grant(self) -> TokenGrant:
        """Wait for the tokens."""
        outcome = self.outcome()
        assert isinstance(outcome, TokenGrant), outcome
        return outcome

    def error(self) -> ExporterError:
        """Wait for the error."""
        outcome = self.outcome()
        assert isinstance(outcome, ExporterError)
        return outcome

    def _run(self) -> None:
        try:
            self._outcome = sign_in_interactively(
                self._kit.entra(),
                port=self._asked_port,
                typed=self.keyboard,
                shown=self.shown,
                timeout_seconds=self._timeout_seconds,
            )
        except ExporterError as error:
            self._outcome = error


@pytest.fixture
def sign_in(kit: SignInKit) -> Iterator[SignIn]:
    started = SignIn(kit)
    yield started
    started.keyboard.end()


@pytest.fixture
def browser(simulator: Simulator) -> Iterator[httpx.Client]:
    context = ssl.create_default_context(cadata=simulator.ca_pem.decode())
    with httpx.Client(verify=context, timeout=PATIENCE_SECONDS) as client:
        yield client


def end_of(browser: httpx.Client, address: str) -> str:
    """Open the sign-in page; return the address to which the browser is sent back."""
    answer = browser.get(address)
    assert answer.status_code == 302
    return answer.headers["location"]


def status_of(port: int, target: str) -> int:
    """Ask the listener for anything at all; return the status."""
    with socket.create_connection(("127.0.0.1", port), timeout=PATIENCE_SECONDS) as connection:
        connection.sendall(f"GET {target} HTTP/1.0\r\n\r\n".encode())
        answer = connection.makefile().readline()
        if not answer:
            raise ConnectionResetError("the listener has hung up")
        return int(answer.split()[1])


def changed(address: str, **parameters: str) -> str:
    """Return an address with other parameters; an empty one is left out."""
    parts = urlsplit(address)
    query = {**dict(parse_qsl(parts.query)), **parameters}
    return parts._replace(query=urlencode({k: v for k, v in query.items() if v})).geturl()


def test_the_browser_comes_back_to_the_listener(kit: SignInKit, browser: httpx.Client, sign_in: SignIn) -> None:
    back = end_of(browser, sign_in.address)
    assert back.startswith(f"http://localhost:{sign_in.port}")
    page = browser.get(back)
    grant = sign_in.grant()
    assert grant.refresh_token is not None
    assert grant.refresh_token.reveal() == kit.simulator.entra.issued_refresh_tokens[-1]
    assert (grant.account, grant.tenant_id) == (kit.simulator.user, kit.simulator.tenant_id)
    assert grant.methods == ("pwd", "mfa")
    assert page.status_code == 200
    assert "Return to the terminal" in page.text
    assert dict(parse_qsl(urlsplit(back).query))["code"] not in page.text + sign_in.shown.getvalue()


def test_the_sign_in_asks_for_code_pkce_and_a_fresh_login(
    kit: SignInKit, browser: httpx.Client, sign_in: SignIn
) -> None:
    query = dict(parse_qsl(urlsplit(sign_in.address).query))
    assert query["response_type"] == "code"
    assert query["response_mode"] == "query"
    assert query["code_challenge_method"] == "S256"
    assert query["prompt"] == "login"
    assert query["redirect_uri"] == f"http://localhost:{sign_in.port}"
    assert f"{kit.simulator.base_url}/user_impersonation" in query["scope"].split()
    browser.get(end_of(browser, sign_in.address))
    assert sign_in.grant().access_token


@pytest.mark.parametrize("around", ["", "  ", "\t"])
def test_the_address_that_the_browser_ended_on_is_pasted(browser: httpx.Client, sign_in: SignIn, around: str) -> None:
    sign_in.keyboard.type(around + end_of(browser, sign_in.address) + around)
    assert sign_in.grant().refresh_token


@pytest.mark.parametrize("client_info", [None, "", "garbage", "e30", "x" * 1_000])
def test_what_entra_adds_to_the_address_changes_nothing(
    kit: SignInKit, browser: httpx.Client, sign_in: SignIn, client_info: str | None
) -> None:
    back = end_of(browser, sign_in.address)
    assert "client_info=ey" in back
    sign_in.keyboard.type(back if client_info is None else changed(back, client_info=client_info))
    assert sign_in.grant().account == kit.simulator.user


def test_the_listener_is_gone_after_the_sign_in(browser: httpx.Client, sign_in: SignIn) -> None:
    sign_in.keyboard.type(end_of(browser, sign_in.address))
    assert sign_in.grant().access_token
    with pytest.raises(httpx.ConnectError):
        browser.get(f"http://127.0.0.1:{sign_in.port}/")


@pytest.mark.parametrize(
    "pasted",
    [
        "yes",
        "http://localhost/",
        "http://[",
        "//[?code=1&state=2",
        "?code&state",
        "\x00\x1b[200~",
        "https://login.example/?code=1",
        "1.AX0A-a-bare-code",
    ],
)
def test_anything_but_the_final_address_of_a_sign_in_is_asked_for_again(
    browser: httpx.Client, sign_in: SignIn, pasted: str
) -> None:
    back = end_of(browser, sign_in.address)
    sign_in.keyboard.type(pasted)
    until(lambda: "That is not the URL that this sign-in ended on" in sign_in.shown.getvalue())
    sign_in.keyboard.type(back)
    assert sign_in.grant().access_token


@pytest.mark.parametrize("parameters", [{"state": "another"}, {"state": ""}, {"code": ""}])
def test_the_end_of_another_sign_in_or_of_half_of_one_is_asked_for_again(
    kit: SignInKit, browser: httpx.Client, sign_in: SignIn, parameters: dict[str, str]
) -> None:
    back = end_of(browser, sign_in.address)
    sign_in.keyboard.type(changed(back, **parameters))
    until(lambda: "That is not the URL that this sign-in ended on" in sign_in.shown.getvalue())
    assert kit.simulator.requests.count("token") == 0
    sign_in.keyboard.type(back)
    assert sign_in.grant().access_token


def test_an_unrelated_request_to_the_listener_does_not_end_the_sign_in(
    kit: SignInKit, browser: httpx.Client, sign_in: SignIn, capfd: pytest.CaptureFixture[str]
) -> None:
    back = end_of(browser, sign_in.address)
    for target in ("/favicon.ico", "/?code=forged", "http://[?state=1", "*"):
        assert status_of(sign_in.port, target) == 404
    assert status_of(sign_in.port, "/?code=forged&state=forged") == 200
    assert kit.simulator.requests.count("token") == 0
    browser.get(back)
    assert sign_in.grant().access_token
    assert capfd.readouterr() == ("", "")


def test_a_forged_code_is_refused_by_entra(browser: httpx.Client, sign_in: SignIn) -> None:
    sign_in.keyboard.type(changed(end_of(browser, sign_in.address), code="forged"))
    error = sign_in.error()
    assert isinstance(error, AuthenticationError)
    assert "forged" not in error.message
    assert error.remedy


def test_a_user_who_declines_sees_that_in_the_browser_and_in_the_terminal(
    kit: SignInKit, browser: httpx.Client, sign_in: SignIn
) -> None:
    kit.simulator.faults.add(Fault(kind="entra_error", endpoint="authorize", code=65004))
    page = browser.get(end_of(browser, sign_in.address))
    error = sign_in.error()
    assert "refused (access_denied)" in page.text
    assert isinstance(error, AuthenticationError)
    assert error.message.startswith("AADSTS65004: ")
    assert "consent" in error.remedy
    assert kit.simulator.requests.count("token") == 0


def test_text_in_a_forged_address_is_shown_as_text(browser: httpx.Client, sign_in: SignIn) -> None:
    back = end_of(browser, sign_in.address)
    page = browser.get(changed(back, state="forged", code="", error="<script>alert(1)</script>"))
    assert "<script>" not in page.text
    assert page.headers["content-security-policy"] == "default-src 'none'"
    browser.get(back)
    assert sign_in.grant().access_token


def test_after_the_end_of_input_the_listener_keeps_waiting(browser: httpx.Client, sign_in: SignIn) -> None:
    sign_in.keyboard.end()
    browser.get(end_of(browser, sign_in.address))
    assert sign_in.grant().access_token


def test_a_port_in_use_is_named_with_the_flag_for_another(kit: SignInKit) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        error = SignIn(kit, port).error()
    assert isinstance(error, ListenError)
    assert f"localhost:{port}" in error.message
    assert "--redirect-port" in error.remedy
    assert kit.simulator.requests.count() == 0


@pytest.mark.parametrize("port", [-1, 65_536])
def test_a_number_that_is_no_port_is_named(kit: SignInKit, port: int) -> None:
    error = SignIn(kit, port).error()
    assert isinstance(error, ListenError)
    assert str(port) in error.message


def test_a_failing_login_host_ends_the_sign_in_before_the_user_starts_it(kit: SignInKit) -> None:
    kit.simulator.faults.add(Fault(kind="reset", endpoint="discovery"))
    sign_in = SignIn(kit)
    assert isinstance(sign_in.error(), NetworkError)
    assert sign_in.shown.getvalue() == ""


def connected(port: int) -> socket.socket:
    return socket.create_connection(("127.0.0.1", port), timeout=PATIENCE_SECONDS)


def reset(connection: socket.socket) -> None:
    """Close with a reset instead of an orderly end."""
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    connection.close()


GARBAGE = {
    "a reset": b"",
    "half a request": b"GET /?state=1&code=",
    "TLS": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
    "NUL": bytes(1_000),
    "HTTP/2": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    "no method": b"\r\n\r\n",
    "no target": b"GET\r\n\r\n",
    "a bad target": b"GET http://[?state=1 HTTP/1.1\r\n\r\n",
    "another method": b"POST /?state=1&code=2 HTTP/1.1\r\n\r\n",
    "too much": b"GET /" + b"x" * 200_000,
    "escape sequences": b"GET /?state=\x1b[2J\x1b]0;x\x07&error=%1b%5b2J HTTP/1.1\r\n\r\n",
}


@pytest.mark.parametrize("sent", GARBAGE.values(), ids=GARBAGE)
def test_nothing_that_is_sent_to_the_listener_reaches_the_terminal_or_ends_the_sign_in(
    browser: httpx.Client, sign_in: SignIn, log_stream: LogStream, capfd: pytest.CaptureFixture[str], sent: bytes
) -> None:
    back = end_of(browser, sign_in.address)
    before = sign_in.shown.getvalue()
    for end in (reset, socket.socket.close):
        with contextlib.suppress(ConnectionError):
            connection = connected(sign_in.port)
            connection.sendall(sent)
            end(connection)
    browser.get(back)
    assert sign_in.grant().access_token
    added = sign_in.shown.getvalue().removeprefix(before)
    assert added in ("", "A browser came back from another sign-in: ignored. Use the URL above.\n")
    assert capfd.readouterr() == ("", "")
    assert log_stream.entries == []


def test_redirects_of_other_sign_ins_are_mentioned_once(browser: httpx.Client, sign_in: SignIn) -> None:
    back = end_of(browser, sign_in.address)
    for number in range(50):
        assert status_of(sign_in.port, f"/?code=forged&state={number}") == 200
    browser.get(back)
    assert sign_in.grant().access_token
    assert sign_in.shown.getvalue().count("from another sign-in") == 1


def test_any_number_of_silent_clients_keep_out_nobody_and_cost_no_thread(
    browser: httpx.Client, sign_in: SignIn
) -> None:
    back = end_of(browser, sign_in.address)
    threads = threading.active_count()
    silent = [connected(sign_in.port) for _ in range(200)]
    for connection in silent[::2]:
        with contextlib.suppress(ConnectionError):
            connection.sendall(b"GET /?code=1")
    assert threading.active_count() <= threads  # some of other tests may have ended
    browser.get(back)
    assert sign_in.grant().access_token
    for connection in silent:
        with contextlib.suppress(ConnectionError):
            assert connection.recv(1) == b""
        connection.close()


def test_the_time_for_the_whole_sign_in_is_up_even_while_wrong_answers_keep_coming(kit: SignInKit) -> None:
    sign_in = SignIn(kit, timeout_seconds=1.0)
    port = sign_in.port
    with contextlib.suppress(OSError):  # until it listens no longer
        while True:
            status_of(port, "/?code=forged&state=forged")
    error = sign_in.error()
    assert isinstance(error, AuthenticationError)
    assert error.message == "nobody signed in within 15 minutes"
    assert error.remedy


def test_wrong_lines_are_each_answered_up_to_a_limit(kit: SignInKit, sign_in: SignIn) -> None:
    assert sign_in.address
    for _ in range(1_000):
        sign_in.keyboard.type("y")
    error = sign_in.error()
    assert isinstance(error, AuthenticationError)
    assert error.message == "20 lines were pasted, none of which is the URL of this sign-in"
    assert sign_in.shown.getvalue().count("That is not the URL") == 19
    assert kit.simulator.requests.count("token") == 0


@pytest.mark.parametrize("text", ["\x1b[2J\x1b]0;x\x07", "a\r\nb", "\u202e", "x y " * 3_000])
def test_an_error_in_the_redirect_is_shown_as_one_printable_line(
    browser: httpx.Client, sign_in: SignIn, text: str
) -> None:
    back = changed(end_of(browser, sign_in.address), code="", error=text, error_description=text)
    page = browser.get(back)
    error = sign_in.error()
    assert error.message.isprintable()
    assert len(error.message) < 1_000
    assert len(page.text) < 1_000
    assert "\x1b" not in page.text


@pytest.mark.parametrize("line", ["x" * 1_000_000, "\x1b[2J?code=1&state=2", "http://localhost/?" + "a=b&" * 50_000])
def test_a_pasted_line_is_never_repeated(browser: httpx.Client, sign_in: SignIn, line: str) -> None:
    back = end_of(browser, sign_in.address)
    sign_in.keyboard.type(line)
    sign_in.keyboard.type(back)
    assert sign_in.grant().access_token
    assert len(sign_in.shown.getvalue()) < 5_000
    assert "\x1b" not in sign_in.shown.getvalue()
