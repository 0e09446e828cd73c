"""Whatever is logged is one line that machines read back."""

import io
import json
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter import logs
from tests.fixtures import logfmt
from tests.property.strategies import torn_text
from tests.support.logs import recorded_logs

KEYS = st.sampled_from(["error", "remedy", "partner", "text", "reason"])
VALUES = torn_text | st.integers() | st.floats() | st.booleans() | st.none() | st.binary()
FIELDS: st.SearchStrategy[dict[str, Any]] = st.dictionaries(KEYS, VALUES, max_size=5)
"""More than the types allow: a library's objects may come by."""


@pytest.fixture(scope="module", autouse=True)
def restored() -> Iterator[None]:
    """Logging as it was before, once these tests are over."""
    with recorded_logs():
        yield


def line_of(log_format: str, words: str, fields: dict[str, Any]) -> str:
    stream = io.StringIO()
    logs.configure(level="debug", log_format=log_format, stream=stream)
    logs.get_logger().warning(words.replace("%", "%%") or "x", **fields)
    line = stream.getvalue()
    assert line.endswith("\n")
    assert line[:-1].isprintable()
    assert line.encode()
    return line[:-1]


@given(torn_text, FIELDS)
def test_both_formats_are_read_back_with_the_same_fields(words: str, fields: dict[str, Any]) -> None:
    read = logfmt.parse(line_of("logfmt", words, fields))
    entry = json.loads(line_of("json", words, fields), parse_constant=pytest.fail)
    assert read.keys() == entry.keys() <= {"ts", "level", "msg", *fields}
    assert read["level"] == entry["level"] == "warn"
    for key in entry.keys() - {"ts"}:
        value = entry[key]
        assert read[key] == (str(value).lower() if isinstance(value, bool) else str(value))
