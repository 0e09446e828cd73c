"""State files: what was saved comes back, and anything else is nothing."""

import tempfile
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.files import StateDirectory
from exporter.logs import get_logger
from exporter.model.rows import DeploymentRow, SourceName, UsageRow
from exporter.model.status import Failure, Identity
from exporter.polling.state import FetchedData, PollRecord, SourceState
from exporter.sources import deployment
from exporter.sources.legacy import Legacy
from tests.fixtures import deployment_item, legacy_page
from tests.fixtures.api import answering
from tests.property.strategies import any_text, deployment_rows, json_values, times, usage_rows
from tests.support.logs import recorded_logs
from tests.support.plan import plan

IDENTITY = Identity("global", "tenant", "client")

RECORDS = st.builds(
    PollRecord,
    identity=st.just(IDENTITY),
    api=st.sampled_from(["legacy", "commercial"]),
    last_poll_at=times,
    finished=st.booleans(),
    up=st.none() | st.booleans(),
    last_success_at=st.none() | times,
    last_duration_seconds=st.none() | st.floats(0, 1e4),
    rows=st.none() | st.integers(0, 10**6),
    failures_in_a_row=st.integers(0, 10**6),
    not_before=st.none() | times,
    failure=st.none() | st.builds(Failure, any_text, any_text, any_text, any_text, any_text),
)


@pytest.fixture(scope="module")
def root() -> Iterator[Path]:
    with tempfile.TemporaryDirectory() as name, recorded_logs():
        yield Path(name)


def state_of(root: Path, source: str = "usage") -> SourceState:
    return SourceState(StateDirectory(root), plan(source=SourceName(source), identity=IDENTITY), get_logger())


@given(RECORDS)
def test_the_schedule_is_read_back_unchanged(root: Path, record: PollRecord) -> None:
    state_of(root).save_poll(record)
    assert state_of(root).load_poll() == record


@given(st.lists(usage_rows, max_size=5, unique_by=lambda row: row.key), times)
def test_usage_rows_come_back_as_they_were(root: Path, rows: list[UsageRow], at: float) -> None:
    state_of(root).save_data(FetchedData(at, tuple(rows)))
    data = state_of(root).load_data()
    assert data is not None
    assert (data.rows, data.fetched_at) == (tuple(rows), at)


@given(st.lists(deployment_rows, max_size=5, unique_by=lambda row: row.key), times)
def test_deployment_rows_come_back_as_they_were(root: Path, rows: list[DeploymentRow], at: float) -> None:
    state_of(root, "deployment").save_data(FetchedData(at, tuple(rows)))
    data = state_of(root, "deployment").load_data()
    assert data is not None
    assert (data.rows, data.fetched_at) == (tuple(rows), at)


@given(st.lists(st.floats(0) | st.sampled_from([1e15, 1e16, 1e22, 1e308]), min_size=1, max_size=3))
def test_what_a_poll_shows_comes_back(root: Path, numbers: list[float]) -> None:
    rows = [deployment_item(serviceName=str(place), licensesSold=number) for place, number in enumerate(numbers)]
    shown = Legacy(deployment.LEGACY, 100).fetch(answering(legacy_page(deployment_item(), *rows))).rows
    state_of(root, "deployment").save_data(FetchedData(1e9, shown))
    data = state_of(root, "deployment").load_data()
    assert data is not None
    assert data.rows == shown


@given(
    st.binary()
    | json_values.map(lambda value: msgspec.json.encode(value) if _writable(value) else b"")
    | RECORDS.map(msgspec.json.encode),
    st.integers(0, 400),
    st.binary(max_size=3),
)
def test_any_bytes_are_nothing_or_a_whole_record_and_never_an_exception(
    root: Path, content: bytes, place: int, noise: bytes
) -> None:
    for folder in ("polls", "data"):
        (root / folder).mkdir(exist_ok=True)
        (root / folder / "contoso.usage.json").write_bytes(content[:place] + noise + content[place + 1 :])
    state = state_of(root)
    record, data = state.load_poll(), state.load_data()
    assert record is None or record.identity == IDENTITY
    assert data is None or all(all(row.key) for row in data.rows)


def _writable(value: object) -> bool:
    try:
        msgspec.json.encode(value)
    except (UnicodeEncodeError, OverflowError, msgspec.MsgspecError):
        return False
    return True
