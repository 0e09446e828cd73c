"""`login` at a real terminal: long addresses, broken ones, editing, and whatever its encoding is."""

import os
import signal
import ssl
import termios
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest

from partnercenter_simulator import Simulator
from tests.e2e.conftest import NO_AUTHORITIES
from tests.support.cases import cases
from tests.support.config import token_file, write_config
from tests.support.process import PATIENCE_SECONDS, ExporterProcess
from tests.support.terminal import Terminal

ENCODINGS = {
    "UTF-8": {"PYTHONIOENCODING": "utf-8"},
    "C": {"LC_ALL": "C", "LANG": "C"},
    "C, as it is": {"LC_ALL": "C", "PYTHONCOERCECLOCALE": "0", "PYTHONUTF8": "0"},
    "ascii": {"PYTHONIOENCODING": "ascii"},
    "ascii, strict": {"PYTHONIOENCODING": "ascii:strict"},
    "latin-1": {"PYTHONIOENCODING": "latin-1"},
    "cp1252": {"PYTHONIOENCODING": "cp1252"},
}
_HARD = ("C, as it is", "ascii, strict")


@pytest.fixture
def file(simulator: Simulator, tmp_path: Path) -> Path:
    return write_config(tmp_path, simulator, refresh_token=None)


Login = Callable[..., Terminal]


@pytest.fixture
def login(file: Path) -> Iterator[Login]:
    """Return a function that starts the command, and waits until it asks for the address."""
    opened: list[Terminal] = []

    def start(*flags: str, **env: str) -> Terminal:
        opened.append(
            Terminal("login", f"--config.file={file}", *(flags or ("--redirect-port=0",)), **NO_AUTHORITIES, **env)
        )
        return opened[-1]

    yield start
    for terminal in opened:
        terminal.close()


def end_of(simulator: Simulator, terminal: Terminal) -> str:
    """Sign in as the user does; return the address to which the browser is sent."""
    terminal.wait_for("paste it here:")
    [address] = [word for word in terminal.shown.split() if "/authorize?" in word]
    trusting = ssl.create_default_context(cadata=simulator.ca_pem.decode())
    return httpx.get(address, verify=trusting, trust_env=False, timeout=PATIENCE_SECONDS).headers["location"]


def lengthened(address: str, length: int) -> str:
    """Return an address of this length whose code and state come last, so that nothing of its end may be missing."""
    start, _, query = address.partition("?")
    return f"{start}?padding_for_it={'x' * (length - len(address) - 16)}&{query}"


def signed_in(terminal: Terminal, file: Path) -> bool:
    return terminal.ended() == 0 and "Signed in as " in terminal.shown and token_file(file).exists()


@pytest.mark.parametrize("length", cases(4_096, 16_000, in_ci=[1_000, 4_094, 4_095, 4_097, 8_191]))
def test_an_address_of_any_length_is_taken_whole(simulator: Simulator, login: Login, file: Path, length: int) -> None:
    terminal = login()
    address = lengthened(end_of(simulator, terminal), length)
    assert len(address) == length
    terminal.type(f"{address}\n")
    assert signed_in(terminal, file), terminal.shown[-1500:]


def test_a_longer_one_is_refused_with_the_reason_and_may_be_pasted_again(
    simulator: Simulator, login: Login, file: Path
) -> None:
    terminal = login()
    address = end_of(simulator, terminal)
    terminal.type(f"{lengthened(address, 20_000)}\n")
    terminal.wait_for("ended on: it is longer than 16,384 characters. ")
    terminal.type(f"{address[:-10]}\n")
    terminal.wait_for("cut off")
    terminal.type(f"{address}\n")
    assert signed_in(terminal, file), terminal.shown[-1500:]


PASTED: dict[str, Callable[[str], str]] = {
    "lines": lambda address: "\n".join(address[at : at + 76] for at in range(0, len(address), 76)),
    "a mail": lambda address: "\n".join(f"> {address[at : at + 60]}  " for at in range(0, len(address), 60)),
    "quoted": lambda address: f"'{address}'",
    "quoted in lines": lambda address: f'"{address[:50]}\n{address[50:]}"',
    "escaped": lambda address: address.replace("&", "&amp;"),
    "bracketed": lambda address: "\x1b[200~" + address + "\x1b[201~",
    "edited": lambda address: "http://wrong\x7f\x7f\x15" + address[:30] + "xy\x7f\x08" + address[30:],
    "parameters": lambda address: address.replace("?", "\n?").replace("&", "\n&amp;"),
    "long lines": lambda address: lengthened(address, 9_000)[:5_000] + "\n" + lengthened(address, 9_000)[5_000:],
    "typographic": lambda address: "\N{LEFT DOUBLE QUOTATION MARK}" + address + "\N{RIGHT DOUBLE QUOTATION MARK}",
}
_ON_A_DESK = ("a mail", "quoted in lines", "edited", "long lines")  # tests/unit/auth/test_pasted.py has all


@pytest.mark.parametrize("pasted", cases(*_ON_A_DESK, in_ci=[name for name in PASTED if name not in _ON_A_DESK]))
def test_an_address_is_taken_as_people_paste_it(simulator: Simulator, login: Login, file: Path, pasted: str) -> None:
    terminal = login()
    terminal.type(PASTED[pasted](end_of(simulator, terminal)) + "\n")
    assert signed_in(terminal, file), terminal.shown[-1500:]


@pytest.mark.parametrize("ending", ["\r", "\x04"], ids=["return", "Ctrl+D"])
def test_an_address_may_end_otherwise_than_with_enter(
    simulator: Simulator, login: Login, file: Path, ending: str
) -> None:
    terminal = login()
    terminal.type(end_of(simulator, terminal) + ending)
    assert signed_in(terminal, file), terminal.shown[-1500:]


def test_the_rest_of_an_address_may_come_after_its_refusal(simulator: Simulator, login: Login, file: Path) -> None:
    terminal = login()
    address = end_of(simulator, terminal)
    terminal.type(f"{address[:-10]}\n")
    terminal.wait_for("That is not the URL that this sign-in ended on: ")
    terminal.type(f"{address[-10:]}\n")
    assert signed_in(terminal, file), terminal.shown[-1500:]


@pytest.mark.parametrize("how", ["signed in", "Ctrl+C", "refused", "SIGTERM"])
def test_the_terminal_is_left_as_it_was_and_nothing_pasted_is_left_for_the_shell(
    simulator: Simulator, login: Login, how: str
) -> None:
    terminal = login()
    address = end_of(simulator, terminal)
    assert not termios.tcgetattr(terminal.slave)[3] & termios.ICANON
    if how == "signed in":
        terminal.type(f"{address}\n")
        assert terminal.ended() == 0
    elif how == "refused":
        terminal.type("y\n" * 20)
        assert terminal.ended() == 1
    elif how == "SIGTERM":
        terminal.end_with(signal.SIGTERM)
    else:
        terminal.type("\x03")
        assert terminal.ended() == 1
    assert termios.tcgetattr(terminal.slave) == terminal.before
    assert "Traceback" not in terminal.shown


def test_a_terminal_that_hangs_up_ends_it(login: Login) -> None:
    terminal = login()
    terminal.wait_for("paste it here:")
    terminal.process.send_signal(signal.SIGHUP)
    os.close(terminal.slave)
    terminal.slave = os.open(os.devnull, os.O_RDONLY)
    assert terminal.ended() != 0


@pytest.mark.parametrize("name", cases(*_HARD, in_ci=[name for name in ENCODINGS if name not in _HARD]))
def test_any_encoding_of_the_terminal_will_do(simulator: Simulator, login: Login, file: Path, name: str) -> None:
    terminal = login("--redirect-port=0", **ENCODINGS[name])
    address = end_of(simulator, terminal)
    assert "/?code=" in terminal.shown
    terminal.type("gr\N{LATIN SMALL LETTER U WITH DIAERESIS}n \N{SNOWMAN} \N{GRINNING FACE}\n")
    terminal.wait_for("That is not the URL that this sign-in ended on: code= is missing. ")
    terminal.type(f"\N{LEFT DOUBLE QUOTATION MARK}{address}\N{RIGHT DOUBLE QUOTATION MARK}\n")
    assert signed_in(terminal, file), terminal.shown[-1500:]
    assert "Traceback" not in terminal.shown
    assert "\\u" not in terminal.shown


def test_nothing_that_is_pasted_moves_the_cursor(simulator: Simulator, login: Login, file: Path) -> None:
    terminal = login()
    address = end_of(simulator, terminal)
    before = len(terminal.output)
    terminal.type("\x1b]0;title\x07\x1b[2J\x9b2J\n" + address + "\n")
    assert signed_in(terminal, file), terminal.shown[-1500:]
    assert terminal.output[before:].translate(None, b"\r\n").decode().isprintable()


@pytest.mark.parametrize(
    "broken",
    [
        lambda address: address,
        lambda address: "\r\n".join(address[at : at + 70] for at in range(0, len(address), 70)) + "\r\n",
        lambda address: "'" + lengthened(address, 9_000).replace("&", "&amp;") + "'\n",
    ],
    ids=["without a line end", "in lines", "long"],
)
@pytest.mark.parametrize("name", ["UTF-8", "C, as it is"])
def test_an_address_may_come_through_a_pipe(
    simulator: Simulator, file: Path, broken: Callable[[str], str], name: str
) -> None:
    env = NO_AUTHORITIES | ENCODINGS[name]
    with ExporterProcess("login", f"--config.file={file}", "--redirect-port=0", env=env) as process:
        process.wait_for_output("paste it here:")
        [address] = [word for word in process.stdout.split() if "/authorize?" in word]
        trusting = ssl.create_default_context(cadata=simulator.ca_pem.decode())
        back = httpx.get(address, verify=trusting, trust_env=False, timeout=PATIENCE_SECONDS).headers["location"]
        process.write(broken(back))
        process.end_input()
        assert process.wait() == 0
        assert "Signed in as " in process.stdout
        assert process.stderr == ""


@pytest.mark.parametrize("name", cases("UTF-8", in_ci=[name for name in ENCODINGS if name != "UTF-8"]))
def test_bytes_that_are_no_text_are_refused_and_waited_on(
    simulator: Simulator, login: Login, file: Path, name: str
) -> None:
    terminal = login("--redirect-port=0", **ENCODINGS[name])
    address = end_of(simulator, terminal)
    os.write(terminal.master, b"\xff\xfe\xc3\n")
    terminal.wait_for("That is not the URL that this sign-in ended on: code= is missing. ")
    terminal.type(f"{address}\n")
    assert signed_in(terminal, file), terminal.shown[-1500:]


PROMPT = "Paste the refresh token, which is not shown, and press Enter: "


@pytest.mark.parametrize("ending", cases("\n\x04", "\r", in_ci=["\x04", "\r\n\x04", "\n"]))
def test_a_token_may_be_typed_at_any_length(login: Login, ending: str) -> None:
    terminal = login("--import-refresh-token=-")
    terminal.wait_for(PROMPT)
    terminal.type("x" * 10_000 + ending)
    # The whole of it was sent: what is refused is the token, not its form.
    terminal.wait_for("AADSTS")
    assert terminal.ended() == 1
    assert termios.tcgetattr(terminal.slave) == terminal.before
    assert "xxx" not in terminal.shown


@pytest.mark.parametrize("typed", cases("{}\n", in_ci=["\n{}\r", "wrong\x15{}x\x7f\n", "{}\x04"]))
def test_a_token_is_imported_unseen(simulator: Simulator, login: Login, file: Path, typed: str) -> None:
    token = simulator.entra.issue_refresh_token()
    terminal = login("--import-refresh-token=-")
    terminal.wait_for(PROMPT)
    assert not termios.tcgetattr(terminal.slave)[3] & (termios.ICANON | termios.ECHO)
    terminal.type(typed.format(token))
    assert signed_in(terminal, file), terminal.shown
    assert token[:12] not in terminal.shown
    assert termios.tcgetattr(terminal.slave) == terminal.before


def test_a_token_that_is_pasted_in_lines_is_refused_and_not_cut(simulator: Simulator, login: Login, file: Path) -> None:
    terminal = login("--import-refresh-token=-")
    terminal.wait_for(PROMPT)
    terminal.type("x" * 200 + "\n" + "x" * 200 + "\n")
    assert terminal.ended() == 2
    assert "not a refresh token: character 201 is U+000A (a line feed)" in terminal.shown
    assert simulator.requests.count("token") == 0
    assert not token_file(file).exists()


@pytest.mark.parametrize("how", ["Ctrl+C", "SIGTERM", "SIGQUIT"])
def test_an_import_that_is_broken_off_leaves_the_terminal_as_it_was(login: Login, how: str) -> None:
    terminal = login("--import-refresh-token=-")
    terminal.wait_for(PROMPT)
    terminal.type("half-of-a-tok")
    if how == "Ctrl+C":
        terminal.type("\x03")
        assert terminal.ended() == 1
    else:
        terminal.end_with(signal.Signals[how])
    assert termios.tcgetattr(terminal.slave) == terminal.before
    assert "half" not in terminal.shown
    assert "Traceback" not in terminal.shown
