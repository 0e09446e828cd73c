"""What survives a restart, and what is better forgotten."""

from dataclasses import replace
from pathlib import Path

import pytest

from exporter.files import StateDirectory
from exporter.logs import get_logger
from exporter.model import DeploymentRow, Failure, Identity, SourceName, UsageRow
from exporter.polling.state import PollRecord, RememberedData, SourceState
from tests.support.logs import LogStream

IDENTITY = Identity("global", "11111111-aaaa", "22222222-bbbb")
USAGE = (
    UsageRow("Exchange", "o365", "reseller", 0.25, 1489104000.5),
    UsageRow('Über\n"x"', "o365", "reseller", None, None),
)
DEPLOYMENT = (DeploymentRow("crm", "reseller", None, 343.0, 1489104000.0),)
RECORD = PollRecord(
    identity=IDENTITY,
    api="legacy",
    last_poll_at=100.5,
    finished=True,
    up=False,
    last_success_at=50.25,
    last_duration_seconds=1.5,
    rows=0,
    failures_in_a_row=3,
    not_before=160.0,
    failure=Failure("mfa", "no second factor", "sign in again", "correlation", "request"),
)


def state_of(
    root: Path, *, source: str = "usage", identity: Identity = IDENTITY, partner: str = "contoso"
) -> SourceState:
    return SourceState(
        StateDirectory(root), partner=partner, source=SourceName(source), identity=identity, log=get_logger()
    )


@pytest.mark.parametrize(
    "record", [RECORD, PollRecord(identity=IDENTITY, api="legacy", last_poll_at=1.0, finished=False)]
)
def test_where_the_schedule_stands_is_remembered(tmp_path: Path, record: PollRecord) -> None:
    state_of(tmp_path).save_poll(record)
    assert state_of(tmp_path).load_poll() == record


@pytest.mark.parametrize(("source", "rows"), [("usage", USAGE), ("deployment", DEPLOYMENT), ("usage", ())])
def test_the_last_good_rows_are_remembered(
    tmp_path: Path, source: str, rows: tuple[UsageRow | DeploymentRow, ...]
) -> None:
    state_of(tmp_path, source=source).save_data(RememberedData(1_800_000_000.25, rows))
    assert state_of(tmp_path, source=source).load_data() == RememberedData(1_800_000_000.25, rows)


def test_newer_rows_replace_older_ones(tmp_path: Path) -> None:
    state = state_of(tmp_path)
    state.save_data(RememberedData(1.0, USAGE))
    state.save_data(RememberedData(2.0, USAGE[:1]))
    assert state.load_data() == RememberedData(2.0, USAGE[:1])


def test_before_the_first_poll_nothing_is_remembered_and_nothing_logged(
    tmp_path: Path, log_stream: LogStream
) -> None:
    state = state_of(tmp_path)
    assert (state.load_poll(), state.load_data()) == (None, None)
    assert log_stream.entries == []


def test_partners_and_sources_do_not_mix(tmp_path: Path) -> None:
    state_of(tmp_path).save_data(RememberedData(1.0, USAGE))
    state_of(tmp_path, source="deployment").save_data(RememberedData(2.0, DEPLOYMENT))
    assert state_of(tmp_path, source="deployment").load_data() == RememberedData(2.0, DEPLOYMENT)
    assert state_of(tmp_path, partner="fabrikam").load_data() is None
    assert state_of(tmp_path).load_data() == RememberedData(1.0, USAGE)


@pytest.mark.parametrize(
    "other",
    [
        replace(IDENTITY, cloud="china"),
        replace(IDENTITY, tenant_id="another"),
        replace(IDENTITY, client_id="another"),
    ],
)
def test_what_belongs_to_another_application_or_tenant_is_not_used_and_logged(
    tmp_path: Path, log_stream: LogStream, other: Identity
) -> None:
    saved = state_of(tmp_path)
    saved.save_poll(RECORD)
    saved.save_data(RememberedData(1.0, USAGE))
    state = state_of(tmp_path, identity=other)
    assert (state.load_poll(), state.load_data()) == (None, None)
    files = [entry["file"] for entry in log_stream.of("ignoring saved state")]
    assert files == ["polls/contoso.usage.json", "data/contoso.usage.json"]


def test_an_identity_is_the_same_whatever_the_case_of_its_ids(tmp_path: Path) -> None:
    state_of(tmp_path).save_data(RememberedData(1.0, USAGE))
    shouted = Identity("global", IDENTITY.tenant_id.upper(), IDENTITY.client_id.upper())
    assert state_of(tmp_path, identity=shouted).load_data() is not None
    assert hash(shouted) == hash(IDENTITY)


GOOD = b'{"workload":"w","service":"s","channel":"c","ratio":0.5}'


def data_file(rows: bytes, fetched_at: bytes = b"1.0") -> bytes:
    identity = b'{"cloud":"global","tenant_id":"11111111-aaaa","client_id":"22222222-bbbb"}'
    return b'{"identity":%s,"fetched_at":%s,"rows":%s}' % (identity, fetched_at, rows)


def test_the_file_that_the_tests_below_break_is_good_while_whole(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "data/contoso.usage.json").write_bytes(data_file(b"[%s]" % GOOD))
    assert state_of(tmp_path).load_data() == RememberedData(1.0, (UsageRow("w", "s", "c", 0.5),))


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"null",
        b"[]",
        b"{}",
        b"\x00" * 100,
        b"\xff\xfe",
        b"[" * 100_000,
        b'{"x":' + b"[" * 100_000,
        data_file(b"[%s]" % GOOD)[:-10],
        data_file(b"null"),
        data_file(b"[null]"),
        data_file(b"[]", b"NaN"),
        data_file(b"[]", b'"yesterday"'),
        data_file(b"[]", b"9" * 5_000),
        data_file(b'[{"workload":"","service":"s","channel":"c"}]'),
        data_file(b'[{"workload":"w","service":"s"}]'),
        data_file(b'[{"workload":"w","service":"s","channel":"c","ratio":-1}]'),
        data_file(b'[{"workload":"w","service":"s","channel":"c","ratio":1e400}]'),
        data_file(b'[{"workload":"w","service":"s","channel":"c","ratio":"half"}]'),
        data_file(b'[{"workload":"w","service":"s","channel":"c","processed_at":-5}]'),
        data_file(b'[{"workload":"\\ud800","service":"s","channel":"c"}]'),
        data_file(b"[%s,%s]" % (GOOD, GOOD)),
    ],
    ids=lambda content: repr(content[-40:]),
)
def test_a_damaged_file_is_not_used_and_logged_and_never_an_exception(
    tmp_path: Path, log_stream: LogStream, content: bytes
) -> None:
    for folder in ("data", "polls"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "contoso.usage.json").write_bytes(content)
    state = state_of(tmp_path)
    assert (state.load_data(), state.load_poll()) == (None, None)
    assert [entry["level"] for entry in log_stream.of("ignoring saved state")] == ["warn", "warn"]


def test_usage_rows_in_the_file_of_deployment_are_not_used(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "data/contoso.deployment.json").write_bytes(
        data_file(b'[{"workload":"w","channel":"c","ratio":0.5}]')
    )
    assert state_of(tmp_path, source="deployment").load_data() is None


def test_a_file_that_cannot_be_read_is_not_used_and_logged(tmp_path: Path, log_stream: LogStream) -> None:
    (tmp_path / "data/contoso.usage.json").mkdir(parents=True)
    assert state_of(tmp_path).load_data() is None
    assert len(log_stream.of("ignoring saved state")) == 1


def test_what_cannot_be_saved_is_logged_and_stops_nothing(tmp_path: Path, log_stream: LogStream) -> None:
    (tmp_path / "in the way").write_bytes(b"")
    state = state_of(tmp_path / "in the way")
    state.save_poll(RECORD)
    state.save_data(RememberedData(1.0, USAGE))
    entries = log_stream.of("state not saved")
    assert [entry["level"] for entry in entries] == ["error", "error"]
    assert all(entry["remedy"] for entry in entries)
