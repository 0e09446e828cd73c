"""Secrets stay out of what people read."""

import copy
import traceback

import pytest

from exporter.redaction import MASK, Secret, excerpt, one_line, redact

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


def test_the_given_secrets_are_masked_anywhere() -> None:
    assert redact("a hunter2 b hunter2", Secret("hunter2"), None, Secret("")) == f"a {MASK} b {MASK}"


@pytest.mark.parametrize("words", ["a=x%26y%2Bz&b=1", "<i>x&amp;y+z</i>", "x&y+z"])
def test_a_given_secret_is_masked_however_a_page_spells_it(words: str) -> None:
    masked = redact(words, Secret("x&y+z"))
    assert MASK in masked
    assert not any(part in masked for part in ("y+z", "y%2Bz"))


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
        (b"x " * 500, "x " * 60 + "…"),
    ],
)
def test_an_excerpt_is_the_bodys_beginning_as_one_printable_line(body: bytes, line: str) -> None:
    assert excerpt(body) == line


def test_an_excerpt_masks_before_it_cuts() -> None:
    for blanks in range(100, 125):
        words = ("ab " * 100)[:blanks] + "hunter2-hunter2"
        assert "hunter2-h" not in excerpt(words.encode(), Secret("hunter2-hunter2"))


def test_a_line_contains_nothing_that_cannot_be_written() -> None:
    line = one_line("a\ud800b\u202ec\nd", limit=100)
    assert line == "a b c d"
    assert line.encode()


@pytest.mark.parametrize("place", range(950, 962))
def test_a_secret_is_masked_wherever_the_text_is_cut(place: int) -> None:
    words = " " * place + "hunter2hunter2"
    assert "hunter" not in one_line(words, Secret("hunter2hunter2"), limit=120)
    assert "hunter" not in excerpt(words.encode(), Secret("hunter2hunter2"))
