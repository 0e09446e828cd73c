"""What survives a restart: the last good rows, and the schedule.

Two files per source: `polls/` is small and written at the start and end of every poll, `data/` only after a
successful one. Each names the application and tenant that it belongs to.

A data file is a line of JSON: the rows, and with detail the customers' and products' names. The counts with
detail follow behind that line, as the ready deflated bytes that scrapes get, so that a start with a million
series neither parses nor renders them.
"""

import zlib
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, Generic, TypeVar

import msgspec

from exporter.errors import StateError
from exporter.files import StateDirectory
from exporter.logs import Logger
from exporter.metrics.detail import Detail
from exporter.model import (
    Failure,
    Identity,
    ImpossibleValueError,
    PollStatus,
    Row,
    SourceName,
    label,
    quantity,
    row_type,
)
from exporter.polling.stored_detail import StoredDetail, pack, unpack

R = TypeVar("R")
T = TypeVar("T")


class PollRecord(msgspec.Struct, frozen=True, kw_only=True):
    """One source's schedule. Times are Unix seconds; `finished` is false during a poll."""

    identity: Identity
    api: str
    last_poll_at: float
    finished: bool
    up: bool | None = None
    last_success_at: float | None = None
    last_duration_seconds: float | None = None
    rows: int | None = None
    failures_in_a_row: int = 0
    not_before: float | None = None
    failure: Failure | None = None

    def resumed(self, status: PollStatus) -> PollStatus:
        """Return the status of a source that continues where this record ends."""
        return replace(
            status,
            up=self.up,
            last_poll_at=self.last_poll_at,
            last_success_at=self.last_success_at,
            last_duration_seconds=self.last_duration_seconds,
            rows=self.rows,
            failure=self.failure,
        )


class _StoredData(msgspec.Struct, Generic[R], frozen=True, omit_defaults=True):
    identity: Identity
    fetched_at: float
    rows: tuple[R, ...]
    detail: StoredDetail | None = None


S = TypeVar("S", bound=PollRecord | _StoredData[Row])


@dataclass(frozen=True, slots=True)
class RememberedData:
    """The last good rows and when they were fetched, in Unix seconds; with detail, the ready counts too."""

    fetched_at: float
    rows: tuple[Row, ...]
    detail: Detail | None = None


class SourceState:
    """The two files of one partner's source. Failures are logged and never stop a poll."""

    def __init__(
        self, directory: StateDirectory, *, partner: str, source: SourceName, identity: Identity, log: Logger
    ) -> None:
        self._directory = directory
        self._identity = identity
        self._source = source
        # Part of the checksum of the ready bytes: they contain the partner's name and must not serve another.
        self._seal = zlib.crc32(f"{partner}/{source}".encode())
        self._polls = f"polls/{partner}.{source}.json"
        self._data = f"data/{partner}.{source}.json"
        self._log = log

    def load_poll(self) -> PollRecord | None:
        """Return the saved schedule; None where there is none that can be used."""
        return self._usable(self._polls, lambda: self._read(self._polls, PollRecord)[0])

    def load_data(self) -> RememberedData | None:
        """Return the last good rows; None where there are none that can be used."""
        return self._usable(self._data, self._read_data)

    def _read_data(self) -> RememberedData:
        stored: Any = _StoredData[row_type(self._source)]  # type: ignore[misc]  # which type of rows is known at run time only
        data, ready = self._read(self._data, stored)
        for row in data.rows:
            _check(row)
        if len({row.key for row in data.rows}) < len(data.rows):
            raise ValueError("it contains a duplicate series")
        detail = unpack(self._source, data.detail, ready, self._seal) if data.detail else None
        return RememberedData(data.fetched_at, data.rows, detail)

    def save_poll(self, record: PollRecord) -> None:
        """Save the schedule."""
        self._save(self._polls, record)

    def save_data(self, data: RememberedData) -> None:
        """Save the last good rows, and the counts that are shown with them."""
        detail, ready = (None, []) if data.detail is None else pack(self._source, data.detail, self._seal)
        self._save(self._data, _StoredData(self._identity, data.fetched_at, data.rows, detail), *ready)

    def _usable(self, name: str, read: Callable[[], T]) -> T | None:
        """Return what is read; None, logged, where it can't be used."""
        try:
            return read()
        except FileNotFoundError:
            return None
        except ImpossibleValueError:
            why = "it contains impossible values"
        except (StateError, msgspec.MsgspecError, ValueError, RecursionError) as error:
            why = str(error)
        self._log.warning("ignoring saved state", file=name, error=why)
        return None

    def _read(self, name: str, kind: type[S]) -> tuple[S, memoryview]:
        """Return the record in a file's first line, and what follows behind that."""
        content = self._directory.read(name)
        if content is None:
            raise FileNotFoundError
        end = content.find(b"\n") + 1 or len(content)
        record = msgspec.json.decode(memoryview(content)[:end], type=kind)
        if record.identity != self._identity:
            raise ValueError("it belongs to another application or tenant")
        return record, memoryview(content)[end:]

    def _save(self, name: str, head: object, *ready: bytes) -> None:
        try:
            self._directory.replace(name, msgspec.json.encode(head) + b"\n", *ready)
        except StateError as error:
            self._log.error("state not saved", error=error.message, remedy=error.remedy)


def _check(row: Row) -> None:
    """Raise ImpossibleValueError for what a poll would have dropped."""
    for text in row.key:
        label(text)
    for value in (row.ratio, row.processed_at, *row.licences):
        quantity(value)
