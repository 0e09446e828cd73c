"""An address as it is pasted: in quotes, escaped, broken over lines."""

import html
import json
import textwrap
from itertools import pairwise
from urllib.parse import parse_qsl, urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.auth.pasted import MAX_LENGTH, Pasted

CODE = "1.AX0Ak-_" + "aB3-_." * 300
STATE = "qJrUhLtXmZpKdYbW"
ADDRESS = f"http://localhost:10059/?code={CODE}&state={STATE}&session_state=0-1-2#"
EXPECTED = dict(parse_qsl(urlsplit(ADDRESS).query))


def pasted(*lines: str) -> Pasted:
    together = Pasted()
    for text in lines:
        together.add(text)
    return together


def in_lines(width: int, *, before: str = "", after: str = "") -> list[str]:
    return [f"{before}{line}{after}" for line in textwrap.wrap(ADDRESS, width, break_on_hyphens=False)]


@pytest.mark.parametrize(
    "lines",
    [
        [ADDRESS],
        [f"  {ADDRESS}\t"],
        *([f"{left}{ADDRESS}{right}"] for left, right in ("''", '""', "``", "<>", ("\u201c", "\u201d"), ("URL: ", ""))),
        [f'<a href="{html.escape(ADDRESS)}">back</a>'],
        [html.escape(ADDRESS)],
        [html.escape(html.escape(ADDRESS))],
        [ADDRESS.replace("&", "&#38;")],
        [ADDRESS.replace("&", "&#x26;")],
        [ADDRESS.replace("&", "&#038;")],
        [ADDRESS.replace("&", "&#X0026;")],
        [ADDRESS.replace("&", "\\u0026").replace("=", "\\u003D")],
        [ADDRESS.replace("&", "\\\\u0026")],
        [ADDRESS.replace("&", "\\x26")],
        [json.dumps({"url": ADDRESS}).replace("&", "\\u0026").replace("/", "\\/")],
        [ADDRESS.replace("?", "\\?").replace("&", "\\&").replace("=", "\\=")],
        [f"\x1b[200~{ADDRESS}\x1b[201~"],
        [f"\ufeff{ADDRESS[:30]}\u200b{ADDRESS[30:]}\u00a0"],
        [ADDRESS.replace("&", " &")],
        [ADDRESS.partition("/")[2][1:]],
        ["?" + ADDRESS.partition("?")[2]],
        [ADDRESS.partition("?")[2]],
        [ADDRESS.partition("?")[2].replace("&", "&amp;")[:200], ADDRESS.partition("?")[2].replace("&", "&amp;")[200:]],
        ["y", ADDRESS],
        [ADDRESS.replace(STATE, "other"), ADDRESS],
        [ADDRESS[:200], ADDRESS],
        *(in_lines(width) for width in (20, 40, 76, 80, 1_000)),
        in_lines(76, before="> "),
        in_lines(76, before="    ", after="  "),
        in_lines(76, after="\\"),
        ["'" + ADDRESS[:100], ADDRESS[100:] + "'"],
        [*html.escape(ADDRESS).partition("&am")],
        [ADDRESS.partition("?")[0], "?" + ADDRESS.partition("?")[2]],
    ],
    ids=lambda lines: lines[0][:30],
)
def test_an_address_is_recognised_however_it_was_copied(lines: list[str]) -> None:
    assert pasted(*lines).parameters == EXPECTED


@given(st.lists(st.integers(5, len(ADDRESS) - 1), max_size=40), st.sampled_from(("", " ", "\t", "\r", "\x00")))
def test_an_address_may_be_broken_anywhere(places: list[int], around: str) -> None:
    breaks = [0, *sorted(set(places)), len(ADDRESS)]
    lines = [around + ADDRESS[a:b] + around for a, b in pairwise(breaks)]
    assert pasted(*lines).parameters == EXPECTED


@given(st.lists(st.text()))
def test_any_lines_have_parameters_and_a_reason_in_one_printable_line(lines: list[str]) -> None:
    together = pasted(*lines)
    assert isinstance(together.parameters, dict)
    assert together.problem(STATE).isprintable()


@pytest.mark.parametrize(
    ("lines", "problem"),
    [
        (["yes"], "code= is missing"),
        (["http://localhost:10059/"], "code= is missing"),
        ([ADDRESS.partition("&")[0]], "state= is missing, so its end may be cut off"),
        ([ADDRESS.partition("&session")[0][:-3]], "its end is cut off within state="),
        ([ADDRESS.replace(STATE, "other")], "its state= is that of another sign-in"),
        (["https://login.example/t/oauth2/v2.0/authorize?client_id=1&state=" + STATE],
         "it is the URL to open, not the one that the browser ended on"),
        (["http://localhost/?code=" + "x" * MAX_LENGTH], "it is longer than 16,384 characters"),
        (["x" * (MAX_LENGTH + 1)], "it is longer than 16,384 characters"),
        (["http://localhost/?code=", *["x" * 1_000] * 20], "it is longer than 16,384 characters"),
    ],
)  # fmt: skip
def test_a_refusal_says_why_and_repeats_nothing(lines: list[str], problem: str) -> None:
    together = pasted(*lines)
    assert together.problem(STATE) == problem
    assert CODE[:10] not in repr(together)


@pytest.mark.parametrize("text", ["y", "no thanks", "localhost", "1.AX0A-a-bare-code", "x" * 20_000, "\x1b[200~"])
def test_a_line_that_is_no_beginning_is_refused_at_once(text: str) -> None:
    assert Pasted().add(text) is False


def test_after_too_long_an_address_the_next_one_begins_anew() -> None:
    assert pasted("http://localhost/?code=" + "x" * MAX_LENGTH, ADDRESS).parameters == EXPECTED
