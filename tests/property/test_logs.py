"""Whatever is logged is one line that machines read back, without the secret."""

import io
import json
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter import logs
from exporter.redaction import Secret, excerpt, one_line, redact
from tests.fixtures import logfmt
from tests.property.strategies import torn_text
from tests.support.logs import recorded_logs

KEYS = st.sampled_from(["error", "remedy", "partner", "text", "reason"])
VALUES = torn_text | st.integers() | st.floats() | st.booleans() | st.none() | st.binary()
FIELDS = st.dictionaries(KEYS, VALUES, max_size=5)


@pytest.fixture(scope="module", autouse=True)
def restored() -> Iterator[None]:
    """Logging as it was before, once these tests are over."""
    with recorded_logs():
        yield


def line_of(log_format: str, words: str, fields: dict[str, object]) -> str:
    stream = io.StringIO()
    logs.configure(level="debug", log_format=log_format, stream=stream)
    logs.get_logger().warning(words.replace("%", "%%") or "x", **fields)
    line = stream.getvalue()
    assert line.endswith("\n")
    assert line[:-1].isprintable()
    assert line.encode()
    return line[:-1]


@given(torn_text, FIELDS)
def test_both_formats_are_read_back_with_the_same_fields(words: str, fields: dict[str, object]) -> None:
    read = logfmt.parse(line_of("logfmt", words, fields))
    entry = json.loads(line_of("json", words, fields), parse_constant=pytest.fail)
    assert read.keys() == entry.keys() <= {"ts", "level", "msg", *fields}
    assert read["level"] == entry["level"] == "warn"
    for key in entry.keys() - {"ts"}:
        value = entry[key]
        assert read[key] == (str(value).lower() if isinstance(value, bool) else str(value))


@given(torn_text, torn_text, st.text(min_size=12, alphabet=st.characters(codec="ascii", categories=["L", "N"])))
def test_a_secret_is_never_left_in_what_is_shown(before: str, after: str, word: str) -> None:
    secret = Secret(word)
    text = f"{before}{word}{after}"
    for shown in (
        redact(text, secret),
        one_line(text, secret, limit=200),
        excerpt(text.encode("utf-8", "replace"), secret),
    ):
        assert word not in shown.replace("[redacted]", "\0")


@given(torn_text, st.integers(1, 200))
def test_a_line_of_upstream_text_is_short_and_printable(text: str, limit: int) -> None:
    line = one_line(text, limit=limit)
    assert line.isprintable()
    assert len(line) <= limit + 1


@given(torn_text, st.from_regex(r"[A-Za-z0-9_.~-]{40,200}", fullmatch=True), torn_text)
def test_what_looks_like_a_token_is_masked_anywhere(before: str, token: str, after: str) -> None:
    assert token not in redact(f"{before} {token} {after}")
