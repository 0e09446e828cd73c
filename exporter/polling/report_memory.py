"""What is remembered of the reports that this exporter has created in a partner's account."""

from collections.abc import Callable
from dataclasses import KW_ONLY, dataclass
from functools import partial

import msgspec

from exporter.model.rows import SourceName
from exporter.model.status import Identity
from exporter.saved_state import SavedState
from exporter.sources.reports import KnownReport


class _StoredReports(msgspec.Struct, frozen=True, kw_only=True):
    identity: Identity
    reports: dict[str, KnownReport] = {}


@dataclass(frozen=True)
class StoredReports:
    """One source's file in the state directory; `shown` returns the version of the counts that are shown."""

    state: SavedState
    partner: str
    source: SourceName
    identity: Identity
    _: KW_ONLY
    shown: Callable[[], str] = str

    @property
    def _file(self) -> str:
        return f"polls/{self.partner}.{self.source}.reports.json"

    def all(self) -> dict[str, KnownReport]:
        """Return what is known, by data set."""
        stored = self.state.load(self._file, partial(msgspec.json.decode, type=_StoredReports))
        return stored.reports if stored and stored.identity == self.identity else {}

    def load(self, data_set: str) -> KnownReport | None:
        """Return what is known of the report of a data set."""
        return self.all().get(data_set)

    def save(self, data_set: str, known: KnownReport) -> None:
        """Remember it."""
        reports = self.all() | {data_set: known}
        self.state.save(self._file, _StoredReports(identity=self.identity, reports=reports))
