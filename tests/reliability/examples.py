"""How many examples the property tests try, and what hostile upstreams are made of."""

import json
import os
from typing import Any

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st

_IN_CI = "CI" in os.environ or os.environ.get("HYPOTHESIS_PROFILE") == "ci"
_TIMES_MORE_IN_CI = 2


def examples(few: int) -> settings:
    """Return settings for `few` examples on a desk, twice as many in CI (HYPOTHESIS_PROFILE=ci)."""
    return settings(
        max_examples=few * (_TIMES_MORE_IN_CI if _IN_CI else 1),
        deadline=None,
        # The exporter of one test stands through all its examples: each leaves it as any upstream may.
        suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
    )


NASTY = (
    "", " ", "\x00", "\n", "\r", '"', "\\", '\\"', "}", "{", "#", "\u2028", "\u202eabc", "\ud800",
    "\udfff\ud800", "\U0001f600", "\ufeff", "é", "e\u0301", "null", "NaN", "nan", "inf", "-Infinity", "true",
    "0", "w" * 10_000, '"} 1\n# EOF\n', "# HELP partnercenter_up x", "<script>alert(1)</script>", "{{7*7}}",
)  # fmt: skip
texts = st.sampled_from(NASTY) | st.text(st.characters(), max_size=12)
numbers = (
    st.floats()
    | st.integers()
    | st.sampled_from((0, -0.0, 1e308, 1e999, -1e999, 10**30, 10**350, 10**500))
    | st.sampled_from((100.00001, 1_000_000, 1_000_001, 10**15, 10**15 + 1))
)
scalars = st.none() | st.booleans() | numbers | texts
values = st.recursive(
    scalars, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(texts, inner, max_size=4), max_leaves=12
)


def as_json(value: Any, *, ascii_only: bool = True) -> bytes:
    """Return a value as JSON, with NaN and Infinity as Python and JavaScript programs write them."""
    if ascii_only:
        return json.dumps(value).encode()
    return json.dumps(value, ensure_ascii=False).encode("utf-8", "replace")


def mutated(body: bytes) -> st.SearchStrategy[bytes]:
    """Return a strategy for a body with a few bytes cut out, put in or changed."""

    def mutate(edits: list[tuple[int, int, bytes]]) -> bytes:
        result = body
        for place, gone, new in edits:
            at = place % (len(result) + 1)
            result = result[:at] + new + result[at + gone :]
        return result

    edit = st.tuples(st.integers(0, 100_000), st.sampled_from((0, 1, 2, 7, 50)), st.binary(max_size=3))
    return st.lists(edit, min_size=1, max_size=4).map(mutate)
