"""Requests to poll now, as one process writes and another reads them."""

import json
from pathlib import Path

import pytest

from exporter.files import StateDirectory
from exporter.logs import get_logger
from exporter.model.rows import SourceName
from exporter.polling.requests import PollRequests, ask
from tests.support.logs import LogStream

NOW = 1_800_000_000.0
USAGE, DEPLOYMENT = ("contoso", SourceName.USAGE), ("contoso", SourceName.DEPLOYMENT)


@pytest.fixture
def directory(tmp_path: Path) -> StateDirectory:
    return StateDirectory(tmp_path / "state")


def reader(directory: StateDirectory, since: float = NOW) -> PollRequests:
    return PollRequests(directory, get_logger(), since=since)


def put(directory: StateDirectory, content: bytes) -> None:
    directory.replace("poll-requests.json", content)


def test_a_request_is_seen_once_and_anew_when_it_is_made_again(directory: StateDirectory) -> None:
    requests = reader(directory)
    assert not requests.new(now=NOW)
    for now in (NOW, NOW + 1.0):
        ask(directory, [USAGE], get_logger(), now=now)
        assert requests.new(now=now) == {USAGE}
        assert not requests.new(now=now)


def test_requests_of_two_who_ask_at_once_are_both_seen_and_do_not_pile_up(directory: StateDirectory) -> None:
    requests = reader(directory)
    ask(directory, [USAGE], get_logger(), now=NOW)
    ask(directory, [DEPLOYMENT], get_logger(), now=NOW + 0.5)
    assert requests.new(now=NOW + 1) == {USAGE, DEPLOYMENT}
    for second in range(2_000, 2_050):
        ask(directory, [USAGE, DEPLOYMENT], get_logger(), now=NOW + second)
    stored = json.loads((directory.root / "poll-requests.json").read_bytes())
    assert len(stored) == 2


@pytest.mark.parametrize(
    ("at", "since", "now"),
    [(NOW - 1, NOW, NOW), (NOW, NOW, NOW + 301), (NOW + 301, NOW, NOW)],
    ids=["before the start", "long ago", "in the future"],
)
def test_a_stale_request_means_nothing(directory: StateDirectory, at: float, since: float, now: float) -> None:
    put(directory, json.dumps([["contoso", "usage", at]]).encode())
    assert not reader(directory, since).new(now=now)


@pytest.mark.parametrize(
    "junk",
    [
        b"", b"\xff", b"{}", b"[1]", b"[" * 100_000, b'[["contoso", "sales", 1]]', b'[["contoso", "usage", 1e999]]',
        b'[["contoso", "usage", null]]', b" " * 2_000_000,
    ],
    ids=lambda junk: repr(junk[:20]),
)  # fmt: skip
def test_junk_is_ignored_logged_once_and_replaced_by_the_next_request(
    directory: StateDirectory, junk: bytes, log_stream: LogStream
) -> None:
    requests = reader(directory)
    put(directory, junk)
    for _ in range(3):
        assert not requests.new(now=NOW)
    assert len(log_stream.of("ignoring saved state")) == 1
    ask(directory, [USAGE], get_logger(), now=NOW)
    assert requests.new(now=NOW) == {USAGE}
