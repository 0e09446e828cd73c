"""What survives a restart: the last good rows, and where the schedule stood.

Two files a source: `polls/` is small and written at the start and end of every poll, `data/` only after a
good one. Each names the application and tenant that it belongs to.
"""

from dataclasses import dataclass
from typing import TypeVar

import msgspec

from exporter.errors import StateError
from exporter.logs import Logger
from exporter.model import DeploymentRow, Failure, Identity, UsageRow
from exporter.partner_center.wire import ImpossibleValueError, label, quantity
from exporter.state_dir import StateDirectory

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


class _UsageData(msgspec.Struct, frozen=True):
    identity: Identity
    fetched_at: float
    rows: tuple[UsageRow, ...]


class _DeploymentData(msgspec.Struct, frozen=True):
    identity: Identity
    fetched_at: float
    rows: tuple[DeploymentRow, ...]


T = TypeVar("T", bound=PollRecord | _UsageData | _DeploymentData)
_DATA: dict[str, type[_UsageData] | type[_DeploymentData]] = {
    "usage": _UsageData,
    "deployment": _DeploymentData,
}


@dataclass(frozen=True, slots=True)
class RememberedData:
    """The last good rows and when they were fetched, in Unix seconds."""

    fetched_at: float
    rows: tuple[Row, ...]


class SourceState:
    """The two files of one partner's source. Failures are logged and never stop a poll."""

    def __init__(
        self, directory: StateDirectory, *, partner: str, source: str, identity: Identity, log: Logger
    ) -> None:
        self._directory = directory
        self._identity = identity
        self._source = source
        self._polls = f"polls/{partner}.{source}.json"
        self._data = f"data/{partner}.{source}.json"
        self._log = log

    def load_poll(self) -> PollRecord | None:
        """Return what is remembered of the schedule; None where nothing of use is."""
        return self._load(self._polls, PollRecord)

    def load_data(self) -> RememberedData | None:
        """Return the last good rows; None where nothing of use is remembered."""
        data = self._load(self._data, _DATA[self._source])
        if data is None:
            return None
        try:
            rows = tuple(_checked(row) for row in data.rows)
        except ImpossibleValueError:
            self._log.warning("state not used", file=self._data, error="it holds impossible values")
            return None
        if len({row.key for row in rows}) < len(rows):
            self._log.warning("state not used", file=self._data, error="it holds a series twice")
            return None
        return RememberedData(data.fetched_at, rows)

    def save_poll(self, record: PollRecord) -> None:
        """Remember where the schedule stands."""
        self._save(self._polls, record)

    def save_data(self, rows: tuple[Row, ...], *, fetched_at: float) -> None:
        """Remember the newest good rows."""
        self._save(self._data, {"identity": self._identity, "fetched_at": fetched_at, "rows": rows})

    def _load(self, name: str, kind: type[T]) -> T | None:
        try:
            content = self._directory.read(name)
            record = None if content is None else msgspec.json.decode(content, type=kind)
        except (StateError, msgspec.MsgspecError, ValueError, RecursionError) as error:
            self._log.warning("state not used", file=name, error=str(error))
            return None
        if record is not None and record.identity != self._identity:
            self._log.warning("state belongs to another application or tenant, not used", file=name)
            return None
        return record

    def _save(self, name: str, content: object) -> None:
        try:
            self._directory.replace(name, msgspec.json.encode(content))
        except StateError as error:
            self._log.error("state not saved", error=error.message, remedy=error.remedy)


def _checked(row: Row) -> Row:
    """Return the row; raises ImpossibleValueError for what a poll would have dropped."""
    for text in row.key:
        label(text)
    quantity(row.ratio)
    quantity(row.processed_at)
    counts = (row.active, row.qualified) if isinstance(row, UsageRow) else (row.sold, row.deployed)
    for count in counts:
        quantity(count)
    return row
