"""Whatever stands in the state directory: it is used where it is sound, and else left out with a word."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from partnercenter_simulator import Fault
from tests.reliability.conftest import MakeRig
from tests.reliability.examples import as_json, examples, mutated, texts, values
from tests.reliability.rig import Rig
from tests.support.config import PARTNER, token_file
from tests.support.logs import LogStream


@pytest.fixture
def rig(make_rig: MakeRig) -> Rig:
    """An exporter that was stopped after a good poll; from now on the API is away."""
    rig = make_rig(sources={"deployment": {"enabled": False}})
    rig.start()
    rig.settle()
    rig.stop()
    rig.simulator.faults.add(Fault(kind="status", endpoint="usage", status=403))
    return rig


def around(document: Mapping[str, Any]) -> st.SearchStrategy[bytes]:
    """Return a strategy for a file: almost right, any JSON, or any bytes."""
    numbers = st.sampled_from((-1, 0, 1e308, -1e308, 10**15, 10**30, 10**400, 1.5, True))
    hostile = dict.fromkeys(document, numbers | texts | values)
    changed = st.fixed_dictionaries({}, optional=hostile).map(lambda changes: {**document, **changes})
    kinds = (
        st.builds(as_json, changed),
        st.builds(as_json, changed),
        mutated(as_json(document)),
        st.builds(as_json, values),
        st.binary(max_size=40),
    )
    return st.integers(0, len(kinds) - 1).flatmap(lambda kind: kinds[kind])


def start_and_look(rig: Rig) -> None:
    """Start, and stop again: every page can be read, and nothing is a fault of our own."""
    rig.start()
    try:
        rig.settle()
        seen = rig.see()
        assert rig.openmetrics().data == seen.scrape.data
        assert rig.page("/")
        assert rig.app.unhealthy() == []
        assert seen.of_source("poll_failures_total", reason="internal") == 0
        assert seen.of_source("poll_thread_restarts_total") == 0
    finally:
        rig.stop()


@pytest.mark.parametrize("folder", ["polls", "data"])
@given(data=st.data())
@examples(20)
def test_any_state_file_is_used_or_ignored(rig: Rig, log_stream: LogStream, folder: str, data: st.DataObject) -> None:
    file = rig.file.parent / "state" / folder / f"{PARTNER}.usage.json"
    sound = file.read_bytes()
    document = json.loads(sound)
    if folder == "data":
        document["rows"] = document["rows"][:2]
    file.write_bytes(data.draw(around(document)))
    try:
        start_and_look(rig)
    finally:
        file.write_bytes(sound)
    assert not log_stream.of("internal error")


ROW: dict[str, Any] = {
    "workload": "Exchange",
    "service": "o365",
    "channel": "reseller",
    "ratio": 0.5,
    "processed_at": 1.7e9,
}


odd_rows = st.fixed_dictionaries({}, optional={key: st.just(value) | texts | values for key, value in ROW.items()}).map(
    lambda changes: {**ROW, **changes}
)


@given(rows=st.lists(odd_rows, max_size=4))
@example(rows=[ROW, ROW])
@example(rows=[{**ROW, "workload": "\ud800"}])
@example(rows=[{**ROW, "ratio": -0.5}])
@examples(20)
def test_any_remembered_rows_make_a_valid_page(rig: Rig, rows: list[dict[str, Any]]) -> None:
    file = rig.file.parent / "state" / "data" / f"{PARTNER}.usage.json"
    sound = file.read_bytes()
    file.write_bytes(as_json({**json.loads(sound), "rows": rows}))
    try:
        start_and_look(rig)
    finally:
        file.write_bytes(sound)


@given(data=st.data())
@examples(20)
def test_any_token_file_is_redeemed_or_left_as_it_is(rig: Rig, log_stream: LogStream, data: st.DataObject) -> None:
    file = token_file(rig.file)
    sound = file.read_bytes()
    content = data.draw(around(json.loads(sound)))
    file.write_bytes(content)
    try:
        start_and_look(rig)
        assert file.read_bytes() == content or readable(file)
    finally:
        file.write_bytes(sound)
    assert not log_stream.of("internal error")


def readable(file: Path) -> bool:
    """Return whether a store's file is a whole record."""
    return set(json.loads(file.read_bytes())) >= {"identity", "refresh_token", "issued_at"}
