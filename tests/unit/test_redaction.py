"""Secrets stay out of what people read."""

import copy
import traceback

import pytest

from exporter.redaction import MASK, Redactor, Secret, redact

TOKEN = "1.AX0AqL2kW6m0pESjX3c9vW7fV9SNc0gqv3ZBpYw-x_y.Z~"


@pytest.mark.parametrize("show", [str, repr, "{}".format, "{!r:>40}".format, lambda secret: f"{[secret]}"])
def test_a_secret_is_never_shown(show: object) -> None:
    assert callable(show)
    shown = show(Secret("hunter2"))
    assert "hunter2" not in shown
    assert MASK in shown


def test_a_secret_can_be_revealed_explicitly() -> None:
    assert Secret("hunter2").reveal() == "hunter2"


def test_secrets_compare_by_value_and_survive_copying() -> None:
    assert Secret("a") == Secret("a") != Secret("b")
    assert copy.deepcopy(Secret("a")) == Secret("a")


def test_an_empty_secret_is_false() -> None:
    assert not Secret("")
    assert Secret("x")


def test_a_secret_in_an_exception_stays_hidden_in_its_traceback() -> None:
    error = ValueError(Secret("hunter2"), [Secret("hunter2")])
    assert "hunter2" not in "".join(traceback.format_exception(error))


@pytest.mark.parametrize("words", ["hunter2", "a=x%26y%2Bz&b=1", "<i>x&amp;y+z</i>", "x&y+z", "eCZ5K3o=", "HUNTER-2/8"])
def test_text_that_repeats_a_secret_is_withheld_however_a_page_spells_it(words: str) -> None:
    redactor = Redactor(Secret("hunter2"), Secret("x&y+z"), Secret("hunter28"), None, Secret(""))
    assert redactor.quote(f"you sent {words}, didn't you?") == "[withheld: it repeats a secret]"


def test_where_even_that_would_repeat_a_secret_nothing_is_left() -> None:
    assert Redactor(Secret("withheld")).quote("withheld") == ""


@pytest.mark.parametrize("length", [8, 12, 300])
def test_a_piece_of_a_secret_is_as_secret(length: int) -> None:
    assert (
        Redactor(Secret(TOKEN)).quote(f"Bearer {TOKEN[5 : 5 + length]} is refused") == "[withheld: it repeats a secret]"
    )


def test_what_only_looks_like_a_secret_is_shown() -> None:
    words = "AADSTS7000215: Invalid client secret provided for app ae3b8c36-348b-46bc-9a60-398f973153ff"
    assert Redactor(Secret(TOKEN), Secret("aB7~kQ.8xYz")).quote(words) == words


@pytest.mark.parametrize("words", [TOKEN, f"Bearer {TOKEN}", f'"{TOKEN}"', f"https://h/?code={TOKEN}&x=1", "x" * 40])
def test_what_looks_like_a_token_is_masked_though_it_is_not_known(words: str) -> None:
    masked = redact(words)
    assert TOKEN not in masked
    assert MASK in masked


@pytest.mark.parametrize(
    "words",
    [
        "00000000-0000-0000-0000-000000000000",
        "correlation_id=ae3b8c36-348b-46bc-9a60-398f973153ff",
        "/var/lib/partnercenter-exporter/tokens/contoso.json",
        "AADSTS700082: the refresh token has expired",
    ],
)
def test_harmless_text_is_not_masked(words: str) -> None:
    assert redact(words) == words


@pytest.mark.parametrize(
    ("body", "line"),
    [
        (b"<html>\r\n  <b>Bad\tGateway</b>", "<html> <b>Bad Gateway</b>"),
        (b"\x1b[31mred\x00", "[31mred"),
        ("Zürich".encode("latin-1"), "Z�rich"),
        (b"\xef\xbb\xbf{}", "{}"),
        (b"", ""),
        (b"x " * 500, "x " * 99 + "x…"),
    ],
)
def test_a_quote_is_the_beginning_as_one_printable_line(body: bytes, line: str) -> None:
    assert Redactor().quote(body) == line


def test_a_quote_contains_nothing_that_cannot_be_written() -> None:
    line = Redactor().quote("a\ud800b\u202ec\nd")
    assert line == "a b c d"
    assert line.encode()


@pytest.mark.parametrize("place", [*range(180, 205), *range(780, 805), *range(2030, 2050)])
def test_a_secret_is_noticed_wherever_the_text_is_cut(place: int) -> None:
    for padding in (" ", "a", "\N{OHM SIGN}"):
        words = padding * place + "hunter2hunter2"
        assert "hunter" not in Redactor(Secret("hunter2hunter2")).quote(words)
        assert "hunter" not in Redactor(Secret("hunter2hunter2")).quote(words.encode())
