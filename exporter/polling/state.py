"""What survives a restart: the last good rows, and where the schedule stood.

Two files a source: `polls/` is small and written at the start and end of every poll, `data/` only after a
good one. Each names the application and tenant that it belongs to.

A data file is a line of JSON: the rows, and with detail the customers' and products' names and what follows
behind the line: the counts as the ready deflated bytes that scrapes get, so that a start with a million
series neither parses nor renders them.
"""

import zlib
from dataclasses import dataclass
from typing import Any, TypeVar

import msgspec

from exporter.errors import StateError
from exporter.files import StateDirectory
from exporter.logs import Logger
from exporter.metrics.detail import Detail
from exporter.model import (
    DeploymentRow,
    Failure,
    Identity,
    ImpossibleValueError,
    SourceName,
    UsageRow,
    label,
    quantity,
)
from exporter.polling.stored_detail import DamagedError, StoredDetail, pack, unpack

Row = UsageRow | DeploymentRow


class PollRecord(msgspec.Struct, frozen=True, kw_only=True):
    """Where one source's schedule stands. Times are Unix seconds; `finished` is false during a poll."""

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


class _Data(msgspec.Struct, frozen=True, omit_defaults=True):
    identity: Identity
    fetched_at: float
    detail: StoredDetail | None = None


class _UsageData(_Data, frozen=True, kw_only=True):
    rows: tuple[UsageRow, ...]


class _DeploymentData(_Data, frozen=True, kw_only=True):
    rows: tuple[DeploymentRow, ...]


T = TypeVar("T", bound=PollRecord | _UsageData | _DeploymentData)
_DATA: dict[str, type[_UsageData] | type[_DeploymentData]] = {
    "usage": _UsageData,
    "deployment": _DeploymentData,
}


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
        # Part of the check of the ready bytes: they hold the partner's name and must not serve another.
        self._seal = zlib.crc32(f"{partner}/{source}".encode())
        self._polls = f"polls/{partner}.{source}.json"
        self._data = f"data/{partner}.{source}.json"
        self._log = log

    def load_poll(self) -> PollRecord | None:
        """Return what is remembered of the schedule; None where nothing of use is."""
        loaded = self._load(self._polls, PollRecord)
        return loaded and loaded[0]

    def load_data(self) -> RememberedData | None:
        """Return the last good rows; None where nothing of use is remembered."""
        loaded = self._load(self._data, _DATA[self._source])
        if loaded is None:
            return None
        data, ready = loaded
        try:
            rows = tuple(_checked(row) for row in data.rows)
            detail = unpack(self._source, data.detail, ready, self._seal) if data.detail else None
        except ImpossibleValueError:
            self._log.warning("state not used", file=self._data, error="it holds impossible values")
            return None
        except DamagedError:
            self._log.warning("state not used", file=self._data, error="its counts are damaged")
            return None
        if len({row.key for row in rows}) < len(rows):
            self._log.warning("state not used", file=self._data, error="it holds a series twice")
            return None
        return RememberedData(data.fetched_at, rows, detail)

    def save_poll(self, record: PollRecord) -> None:
        """Remember where the schedule stands."""
        self._save(self._polls, record)

    def save_data(self, rows: tuple[Row, ...], *, fetched_at: float, detail: Detail | None = None) -> None:
        """Remember the newest good rows, and the counts that are shown with them."""
        head: dict[str, Any] = {"identity": self._identity, "fetched_at": fetched_at, "rows": rows}
        ready: list[bytes] = []
        if detail is not None:
            head["detail"], ready = pack(self._source, detail, self._seal)
        self._save(self._data, head, *ready)

    def _load(self, name: str, kind: type[T]) -> tuple[T, memoryview] | None:
        """Return the record of a file's first line, and what stands behind it."""
        try:
            content = self._directory.read(name)
            if content is None:
                return None
            end = content.find(b"\n") + 1 or len(content)
            record = msgspec.json.decode(memoryview(content)[:end], type=kind)
        except (StateError, msgspec.MsgspecError, ValueError, RecursionError) as error:
            self._log.warning("state not used", file=name, error=str(error))
            return None
        if record.identity != self._identity:
            self._log.warning("state belongs to another application or tenant, not used", file=name)
            return None
        return record, memoryview(content)[end:]

    def _save(self, name: str, head: object, *ready: bytes) -> None:
        try:
            self._directory.replace(name, msgspec.json.encode(head) + b"\n", *ready)
        except StateError as error:
            self._log.error("state not saved", error=error.message, remedy=error.remedy)


def _checked(row: Row) -> Row:
    """Return the row; raises ImpossibleValueError for what a poll would have dropped."""
    for text in row.key:
        label(text)
    quantity(row.ratio)
    quantity(row.processed_at)
    for count in row.licences:
        quantity(count)
    return row
