"""What survives a restart: the last good data of a source, and where its schedule stood.

Two files for each source: `polls/` is small and written at the start and end of every poll, `data/` only
after a good one. Each names the application and tenant that it belongs to.

The first line of a data file is JSON: the rows and, with detail, the names of customers and products. After
it come their counts as the compressed bytes that scrapes get, so that a start with a million series neither
parses nor renders them.
"""

import math
import zlib
from dataclasses import dataclass, replace
from typing import Annotated, Generic, TypeVar

import msgspec

from exporter.files import Signature, StateDirectory
from exporter.logs import Logger
from exporter.messages import Line
from exporter.metrics.breakdown import RenderedBreakdown
from exporter.model.rows import Api, Row, numbers_of, row_type
from exporter.model.status import Failure, Identity, PollStatus
from exporter.model.values import LATEST, label, quantity
from exporter.polling.plan import PollPlan
from exporter.polling.stored_breakdown import StoredBreakdown
from exporter.saved_state import SavedState, printable_failure, printable_notes
from exporter.upstream.retry_after import MAX_WAIT_SECONDS

R = TypeVar("R", bound=Row)
S = TypeVar("S", bound="_Stored")
T = TypeVar("T")

# What this program writes lies far below; anything above is damage, and would be shown and reckoned with for ever.
_MAX_COUNT = 10**9
_MAX_QUANTITY = 1e21
# A million customers with their names and counts take a fifth of it.
_MAX_DATA_BYTES = 512 * 1024 * 1024

_Query = Annotated[str, msgspec.Meta(max_length=64)]
_Count = Annotated[int, msgspec.Meta(ge=0, le=_MAX_COUNT)]
_Moment = Annotated[float, msgspec.Meta(ge=0, le=LATEST)]
_Seconds = Annotated[float, msgspec.Meta(ge=0, le=_MAX_COUNT)]


class _Stored(msgspec.Struct, frozen=True, kw_only=True):
    identity: Identity


class PollRecord(_Stored, frozen=True, kw_only=True):
    """Where the schedule of a source stands. Times are Unix seconds; `finished` is false during a poll.

    Retry-After forbids a poll before `not_before`. `query` is that of the last poll's plan, unset by a version without.
    """

    api: Api
    last_poll_at: _Moment
    finished: bool
    up: bool | None = None
    last_success_at: _Moment | None = None
    last_duration_seconds: _Seconds | None = None
    rows: _Count | None = None
    failures_in_a_row: _Count = 0
    not_before: _Moment | None = None
    failure: Failure | None = None
    query: _Query | msgspec.UnsetType = msgspec.UNSET
    notes: tuple[Line, ...] = ()

    def __post_init__(self) -> None:
        """Make each text of the failure, and each note, one printable line of limited length."""
        msgspec.structs.force_setattr(self, "failure", printable_failure(self.failure))
        msgspec.structs.force_setattr(self, "notes", printable_notes(self.notes))

    def restored(self, status: PollStatus) -> PollStatus:
        """Return a new poller's status with what is recorded."""
        return replace(
            status,
            up=self.up,
            last_poll_at=self.last_poll_at,
            last_success_at=self.last_success_at,
            last_duration_seconds=self.last_duration_seconds,
            rows=self.rows,
            failures_in_a_row=self.failures_in_a_row,
            failure=self.failure,
            notes=self.notes,
        )


@dataclass(frozen=True, slots=True)
class FetchedData:
    """Rows and the time they were fetched, in Unix seconds; with detail, the rendered counts too."""

    fetched_at: float
    rows: tuple[Row, ...]
    breakdown: RenderedBreakdown | None = None


@dataclass(frozen=True, slots=True)
class Remembered:
    """What is known of a source from its polls so far; None is 'nothing usable'."""

    record: PollRecord | None
    data: FetchedData | None


class _StoredData(_Stored, Generic[R], frozen=True, kw_only=True, omit_defaults=True):
    fetched_at: _Moment
    rows: tuple[R, ...]
    breakdown: StoredBreakdown | None = msgspec.field(default=None, name="detail")


class SourceState:
    """The two files of one partner's source. A failure is logged and never stops a poll."""

    def __init__(self, directory: StateDirectory, plan: PollPlan, log: Logger) -> None:
        self._files = SavedState(directory, log)
        self._identity = plan.identity
        self._source = plan.source
        # Part of the counts' checksum: they include the partner's name and must not be used for another.
        self._seal = zlib.crc32(f"{plan.partner}/{plan.source}".encode())
        self._poll_file = f"polls/{plan.partner}.{plan.source}.json"
        self._data_file = f"data/{plan.partner}.{plan.source}.json"

    def load(self, *, now: float) -> Remembered:
        """Return what an earlier run has saved; `now` is in Unix seconds."""
        return Remembered(self.load_poll(now=now), self.load_data())

    def load_poll(self, *, now: float = math.inf) -> PollRecord | None:
        """Return the saved schedule; None if there is nothing usable, at that time in Unix seconds."""

        def decode(content: bytes) -> PollRecord:
            record = self._decode(content, PollRecord)
            if (record.not_before or 0.0) > now + MAX_WAIT_SECONDS:
                raise ValueError("it forbids polls for longer than any API may")
            return record

        return self._files.load(self._poll_file, decode)

    def poll_signature(self) -> Signature:
        """Return what differs once a schedule was saved."""
        return self._files.directory.signature(self._poll_file)

    def load_data(self) -> FetchedData | None:
        """Return the last good data; None if there is nothing usable."""
        return self._files.load(self._data_file, self._decode_data, max_bytes=_MAX_DATA_BYTES)

    def save_poll(self, record: PollRecord) -> None:
        """Save the schedule."""
        self._files.save(self._poll_file, record)

    def save_data(self, data: FetchedData) -> None:
        """Save the last good data."""
        breakdown, content = None, list[bytes]()
        if data.breakdown is not None:
            breakdown, content = StoredBreakdown.of(self._source, data.breakdown, self._seal)
        stored = _StoredData(identity=self._identity, fetched_at=data.fetched_at, rows=data.rows, breakdown=breakdown)
        self._files.save(self._data_file, stored, *content)

    def _decode_data(self, content: bytes) -> FetchedData:
        end = content.find(b"\n") + 1 or len(content)
        view = memoryview(content)  # a slice of it is no copy
        stored = self._decode(view[:end], _stored(row_type(self._source)))
        _check_rows(stored.rows)
        if stored.breakdown is None:
            return FetchedData(stored.fetched_at, stored.rows)
        breakdown = stored.breakdown.read(self._source, view[end:], self._seal)
        return FetchedData(stored.fetched_at, stored.rows, breakdown)

    def _decode(self, content: bytes | memoryview, kind: type[S]) -> S:
        stored = msgspec.json.decode(content, type=kind)
        if stored.identity != self._identity:
            raise ValueError("it belongs to another application or tenant")
        return stored


def _stored(row: type[R]) -> type[_StoredData[R]]:
    return _StoredData[row]  # type: ignore[valid-type]  # known at run time only


def _check_rows(rows: tuple[Row, ...]) -> None:
    """Raise ValueError for what a poll would have dropped."""
    for row in rows:
        for text in row.key:
            label(text)
        for name in numbers_of(row):
            quantity(getattr(row, name), maximum=LATEST if name == "processed_at" else _MAX_QUANTITY)
    if len({row.key for row in rows}) < len(rows):
        raise ValueError("it has a duplicate series")
