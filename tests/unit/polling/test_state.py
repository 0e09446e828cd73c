"""What survives a restart, and what is better forgotten."""

import json
from dataclasses import astuple, replace
from pathlib import Path

import msgspec
import pytest

from exporter.files import StateDirectory
from exporter.logs import get_logger
from exporter.messages import line
from exporter.model.rows import Api, DeploymentRow, SourceName, UsageRow
from exporter.model.status import Failure, Identity
from exporter.polling.state import FetchedData, PollRecord, SourceState
from tests.support.logs import LogStream
from tests.support.plan import plan

IDENTITY = Identity("global", "11111111-aaaa", "22222222-bbbb")
USAGE = (
    UsageRow("Exchange", "o365", "reseller", 0.25, 1489104000.5),
    UsageRow('Über\n"x"', "o365", "reseller", None, None),
)
DEPLOYMENT = (DeploymentRow("crm", "reseller", None, 343.0, 1489104000.0),)
RECORD = PollRecord(
    identity=IDENTITY,
    api=Api.LEGACY,
    last_poll_at=100.5,
    finished=True,
    up=False,
    last_success_at=50.25,
    last_duration_seconds=1.5,
    rows=0,
    failures_in_a_row=3,
    not_before=160.0,
    failure=Failure("mfa", line("no second factor"), line("sign in again"), line("correlation"), line("request")),
)
NOTED = msgspec.structs.replace(RECORD, notes=(line("OfficeUsage is blank"), line("channel is all")))


def state_of(
    root: Path, *, source: str = "usage", identity: Identity = IDENTITY, partner: str = "contoso"
) -> SourceState:
    return SourceState(
        StateDirectory(root), plan(partner=partner, source=SourceName(source), identity=identity), get_logger()
    )


@pytest.mark.parametrize(
    "record", [RECORD, NOTED, PollRecord(identity=IDENTITY, api=Api.LEGACY, last_poll_at=1.0, finished=False)]
)
def test_the_schedule_is_remembered(tmp_path: Path, record: PollRecord) -> None:
    state_of(tmp_path).save_poll(record)
    assert state_of(tmp_path).load_poll() == record


@pytest.mark.parametrize(("source", "rows"), [("usage", USAGE), ("deployment", DEPLOYMENT), ("usage", ())])
def test_the_last_good_rows_are_remembered(
    tmp_path: Path, source: str, rows: tuple[UsageRow | DeploymentRow, ...]
) -> None:
    state_of(tmp_path, source=source).save_data(FetchedData(1_800_000_000.25, rows))
    assert state_of(tmp_path, source=source).load_data() == FetchedData(1_800_000_000.25, rows)


def test_newer_rows_replace_older_ones(tmp_path: Path) -> None:
    state = state_of(tmp_path)
    state.save_data(FetchedData(1.0, USAGE))
    state.save_data(FetchedData(2.0, USAGE[:1]))
    assert state.load_data() == FetchedData(2.0, USAGE[:1])


def test_before_the_first_poll_nothing_is_remembered_and_nothing_logged(tmp_path: Path, log_stream: LogStream) -> None:
    state = state_of(tmp_path)
    assert (state.load_poll(), state.load_data()) == (None, None)
    assert log_stream.entries == []


def test_partners_and_sources_do_not_mix(tmp_path: Path) -> None:
    state_of(tmp_path).save_data(FetchedData(1.0, USAGE))
    state_of(tmp_path, source="deployment").save_data(FetchedData(2.0, DEPLOYMENT))
    assert state_of(tmp_path, source="deployment").load_data() == FetchedData(2.0, DEPLOYMENT)
    assert state_of(tmp_path, partner="fabrikam").load_data() is None
    assert state_of(tmp_path).load_data() == FetchedData(1.0, USAGE)


@pytest.mark.parametrize(
    "other",
    [replace(IDENTITY, cloud="china"), replace(IDENTITY, tenant_id="another"), replace(IDENTITY, client_id="another")],
)
def test_what_belongs_to_another_application_or_tenant_is_not_used_and_logged(
    tmp_path: Path, log_stream: LogStream, other: Identity
) -> None:
    saved = state_of(tmp_path)
    saved.save_poll(RECORD)
    saved.save_data(FetchedData(1.0, USAGE))
    state = state_of(tmp_path, identity=other)
    assert (state.load_poll(), state.load_data()) == (None, None)
    entries = log_stream.of("ignoring saved state")
    assert [entry["file"] for entry in entries] == ["polls/contoso.usage.json", "data/contoso.usage.json"]
    assert {entry["error"] for entry in entries} == {"it belongs to another application or tenant"}


def test_an_identity_is_the_same_whatever_the_case_of_its_ids(tmp_path: Path) -> None:
    state_of(tmp_path).save_data(FetchedData(1.0, USAGE))
    shouted = Identity("global", IDENTITY.tenant_id.upper(), IDENTITY.client_id.upper())
    assert state_of(tmp_path, identity=shouted).load_data() is not None
    assert hash(shouted) == hash(IDENTITY)


# As earlier versions wrote them.
OLD_FILES = {
    "polls/contoso.usage.json": (
        b'{"identity":{"cloud":"global","tenant_id":"11111111-aaaa","client_id":"22222222-bbbb"},"api":"legacy",'
        b'"last_poll_at":100.5,"finished":true,"up":false,"last_success_at":50.25,"last_duration_seconds":1.5,'
        b'"rows":0,"failures_in_a_row":3,"not_before":160.0,"failure":{"reason":"mfa","message":"no second '
        b'factor","remedy":"sign in again","correlation_id":"correlation","request_id":"request"}}\n'
    ),
    "data/contoso.usage.json": (
        b'{"identity":{"cloud":"global","tenant_id":"11111111-aaaa","client_id":"22222222-bbbb"},'
        b'"fetched_at":1800000000.25,"rows":[{"workload":"Exchange","service":"o365","channel":"reseller",'
        b'"ratio":0.5,"processed_at":1489104000.0,"active":5.0,"qualified":10.0}],"detail":{"lengths":'
        b'[[113],[116]],"names":{"customer_id":{"C1":[1489104000.0,"A \\"name\\""]}},'
        b'"checksum":3854478633}}\n'
        b"$\x8dA\n\x02A\x0c\x04\xef\xbeBr\x1eD\x91\xf56'\xf1\x1d\xcb06\xeb`\x9c,I\\\x05\xf1\xeff\xf1\xd6TS"
        b"\xd4\\\xd4;\xb4\xa2;t\xe4\x16\xc3`c\xa9\xde\x16|\xe6\xff\x9b\xa9Jw1\xa1\xf4\x12\xbd\xb3\x94k\xa6\xcb"
        b"\xbb\xdeJ\x9f@\xc9\xa0K\x88\x99\xe4x\x1a(\xad\xb8\x833)\x0c\xcc\xd0@OsyD\xa0\x85x>\xd0w;\xec\xf6"
        b"\x9b\x1f\x00\x00\x00\xff\xff$\x8dA\n\xc20\x10E\xf7\x9eBf\x1d\xa4Et\x97\x95x\x8e\x12\xd2_\r\x8e3u&"
        b"\xad\x82xw#\xee>\x8f\xffxs\xb2*\xb0\x0c\xa9\xb0\x81K\x1b\x0e\x1f\x1eK\xe22\x15\x8c\xef\xf9\x7f\x88"
        b"\x94U\xaa\xbaRx\xaa\xddX\xd3\x18\xe9\xfc\xca\xd7$\x17Pp\xd8\xda\xdcH\xba?\x1e(\xfc\xb0\x80#\x19\x1c"
        b"\xcc\xb0\x86\x16\xafzo\x8d\xd2\xc4SO\x9fm\xdf\xed\xba\xcd\x17\x00\x00\xff\xff"
    ),
    "data/contoso.deployment.json": (
        b'{"identity":{"cloud":"global","tenant_id":"11111111-aaaa","client_id":"22222222-bbbb"},'
        b'"fetched_at":2.0,"rows":[{"service":"crm","channel":"reseller","ratio":null,"sold":343.0,'
        b'"processed_at":1489104000.0,"deployed":null}]}\n'
    ),
}


def test_files_of_an_earlier_version_are_read(tmp_path: Path) -> None:
    for name, content in OLD_FILES.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(content)
    assert state_of(tmp_path).load_poll() == RECORD
    data = state_of(tmp_path).load_data()
    assert data is not None
    assert data.rows == (UsageRow("Exchange", "o365", "reseller", 0.5, 1489104000.0, 5.0, 10.0),)
    assert data.breakdown is not None
    assert data.breakdown.names == {"customer_id": {"C1": (1489104000.0, 'A "name"')}}
    labels = '{partner="contoso",workload="Exchange",service="o365",channel="reseller",customer_id="C1"}'
    assert [block.plain.decode() for blocks in data.breakdown.blocks.values() for block in blocks] == [
        f"partnercenter_licenses_active{labels} 5.0\n",
        f"partnercenter_licenses_qualified{labels} 10.0\n",
    ]
    assert state_of(tmp_path, source="deployment").load_data() == FetchedData(2.0, DEPLOYMENT)


# What is written since then: the notes of the last good answer, and the version of counts with detail.
NEW_FILES = OLD_FILES | {
    "polls/contoso.usage.json": OLD_FILES["polls/contoso.usage.json"].removesuffix(b"}\n") + b',"notes":[]}\n',
    "data/contoso.usage.json": OLD_FILES["data/contoso.usage.json"].replace(b"}}\n", b',"version":""}}\n', 1),
}


def test_the_files_are_those_of_an_earlier_version_byte_for_byte_but_for_what_is_new(tmp_path: Path) -> None:
    for name, content in OLD_FILES.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(content)
    usage, deployment = state_of(tmp_path), state_of(tmp_path, source="deployment")
    record, data, other = usage.load_poll(), usage.load_data(), deployment.load_data()
    assert record is not None
    assert data is not None
    assert other is not None
    for name in OLD_FILES:
        (tmp_path / name).unlink()
    usage.save_poll(record)
    usage.save_data(data)
    deployment.save_data(other)
    assert {name: (tmp_path / name).read_bytes() for name in NEW_FILES} == NEW_FILES


GOOD = b'{"workload":"w","service":"s","channel":"c","ratio":0.5}'


def data_file(rows: bytes, fetched_at: bytes = b"1.0") -> bytes:
    identity = b'{"cloud":"global","tenant_id":"11111111-aaaa","client_id":"22222222-bbbb"}'
    return b'{"identity":%s,"fetched_at":%s,"rows":%s}' % (identity, fetched_at, rows)


def test_the_file_that_the_tests_below_break_is_good_while_whole(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "data/contoso.usage.json").write_bytes(data_file(b"[%s]" % GOOD))
    assert state_of(tmp_path).load_data() == FetchedData(1.0, (UsageRow("w", "s", "c", 0.5),))


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
    entries = log_stream.of("ignoring saved state")
    assert [entry["level"] for entry in entries] == ["warn", "warn"]
    assert all(entry["error"] for entry in entries)


ABSURD = (
    "1e308",
    "-1e308",
    "-1",
    "1e400",
    "-1e400",
    "1e12",
    str(10**18),
    str(10**400),
    "NaN",
    "Infinity",
    "true",
    '"1"',
)
NUMBERS = {
    "polls": ("last_poll_at", "last_success_at", "last_duration_seconds", "rows", "failures_in_a_row", "not_before"),
    "data": ("fetched_at",),
}


@pytest.mark.parametrize("number", ABSURD, ids=lambda number: number[:10])
@pytest.mark.parametrize(("folder", "field"), [(folder, field) for folder in NUMBERS for field in NUMBERS[folder]])
def test_a_number_out_of_range_makes_a_file_damaged(
    tmp_path: Path, log_stream: LogStream, folder: str, field: str, number: str
) -> None:
    state = state_of(tmp_path)
    state.save_poll(RECORD)
    state.save_data(FetchedData(1.0, USAGE))
    file = tmp_path / folder / "contoso.usage.json"
    content = json.loads(file.read_text())
    assert field in content
    file.write_text(json.dumps({**content, field: "HERE"}).replace('"HERE"', number))
    assert (state.load_poll() if folder == "polls" else state.load_data()) is None
    [entry] = log_stream.of("ignoring saved state")
    assert entry["error"]


@pytest.mark.parametrize("field", ["ratio", "processed_at", "active", "qualified"])
@pytest.mark.parametrize("number", ["1e308", "-1", "1e400", str(10**400), "NaN"], ids=lambda number: number[:10])
def test_a_number_out_of_range_in_a_row_makes_a_file_damaged(tmp_path: Path, field: str, number: str) -> None:
    (tmp_path / "data").mkdir()
    row = f'[{{"workload":"w","service":"s","channel":"c","{field}":{number}}}]'
    (tmp_path / "data/contoso.usage.json").write_bytes(data_file(row.encode()))
    assert state_of(tmp_path).load_data() is None


@pytest.mark.parametrize("label", ["workload", "service", "channel"])
def test_a_label_longer_than_any_poll_accepts_makes_a_file_damaged(tmp_path: Path, label: str) -> None:
    (tmp_path / "data").mkdir()
    row = {"workload": "w", "service": "s", "channel": "c", "ratio": 0.5, label: "x" * 1_001}
    (tmp_path / "data/contoso.usage.json").write_bytes(data_file(json.dumps([row]).encode()))
    assert state_of(tmp_path).load_data() is None


@pytest.mark.parametrize("seconds", [86_401, 1e9])
def test_a_schedule_that_forbids_polls_for_more_than_a_day_is_damaged(
    tmp_path: Path, log_stream: LogStream, seconds: float
) -> None:
    state = state_of(tmp_path)
    state.save_poll(msgspec.structs.replace(RECORD, not_before=1e6 + 86_400))
    assert state.load_poll(now=1e6) is not None
    state.save_poll(msgspec.structs.replace(RECORD, not_before=1e6 + seconds))
    assert state.load_poll(now=1e6) is None
    assert len(log_stream.of("ignoring saved state")) == 1


@pytest.mark.parametrize(
    "text", ["\x1b]0;x\x07", "a\nb\r\n\tc", "\u202e\u2028\u200b", "x y " * 5_000, "\x00", "\x9b2J"]
)
def test_texts_of_a_failure_are_one_printable_line(tmp_path: Path, log_stream: LogStream, text: str) -> None:
    state_of(tmp_path).save_poll(RECORD)
    file = tmp_path / "polls/contoso.usage.json"
    content = json.loads(file.read_text())
    file.write_text(json.dumps({**content, "failure": dict.fromkeys(content["failure"], text)}))
    record = state_of(tmp_path).load_poll()
    assert record is not None
    assert record.failure is not None
    for shown in astuple(record.failure):
        assert shown.isprintable()
        assert len(shown) <= 1_001
    assert log_stream.entries == []


def test_what_is_wrong_with_a_file_is_logged_as_one_short_line(tmp_path: Path, log_stream: LogStream) -> None:
    state_of(tmp_path).save_poll(RECORD)
    file = tmp_path / "polls/contoso.usage.json"
    content = json.loads(file.read_text())
    file.write_text(json.dumps({**content, "api": "\x1b[2J" + "x y " * 10_000}))
    assert state_of(tmp_path).load_poll() is None
    [entry] = log_stream.of("ignoring saved state")
    assert entry["error"].isprintable()
    assert len(entry["error"]) <= 1_001


@pytest.mark.parametrize("folder", ["polls", "data"])
def test_a_huge_file_is_not_read(tmp_path: Path, log_stream: LogStream, folder: str) -> None:
    state = state_of(tmp_path)
    state.save_poll(RECORD)
    state.save_data(FetchedData(1.0, USAGE))
    with (tmp_path / folder / "contoso.usage.json").open("rb+") as file:
        file.truncate(8 * 1024**4)
    assert (state.load_poll() is None, state.load_data() is None) == (folder == "polls", folder == "data")
    [entry] = log_stream.of("ignoring saved state")
    assert "larger than" in entry["error"]


def test_usage_rows_in_the_file_of_deployment_are_not_used(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "data/contoso.deployment.json").write_bytes(data_file(b'[{"workload":"w","channel":"c","ratio":0.5}]'))
    assert state_of(tmp_path, source="deployment").load_data() is None


def test_a_file_that_cannot_be_read_is_not_used_and_logged(tmp_path: Path, log_stream: LogStream) -> None:
    (tmp_path / "data/contoso.usage.json").mkdir(parents=True)
    assert state_of(tmp_path).load_data() is None
    assert len(log_stream.of("ignoring saved state")) == 1


def test_failing_to_save_is_logged_and_polls_continue(tmp_path: Path, log_stream: LogStream) -> None:
    (tmp_path / "in the way").write_bytes(b"")
    state = state_of(tmp_path / "in the way")
    state.save_poll(RECORD)
    state.save_data(FetchedData(1.0, USAGE))
    entries = log_stream.of("state not saved")
    assert [entry["level"] for entry in entries] == ["error", "error"]
    assert all(entry["remedy"] for entry in entries)
