"""What both sources of Partner Insights have in common: sums by month, of which the newest with data counts.

A try query creates nothing in the partner's account, and sums have no personal data.
"""

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import KW_ONLY, dataclass, replace
from datetime import date
from hashlib import sha256
from typing import ClassVar, Self

from exporter.errors import AuthenticationError, Forbidden, NotFound
from exporter.messages import Line, joined, line
from exporter.model.rows import Answer, Api, Dimension, DropReason, Row
from exporter.model.totals import Labels, Names, Sums, Total, keep_smallest
from exporter.partner_center.client import ApiPoll
from exporter.partner_center.insights import DIALECT, catalogue, folded
from exporter.partner_center.report_file import read_file, signatures_in
from exporter.partner_center.wire import contradiction, no_usable_rows
from exporter.sources.by_customer import MonthTally
from exporter.sources.data_sets import DATA_SETS
from exporter.sources.detail import breakdown_of, over_ids
from exporter.sources.reports import DailyReport, ReportMemory
from exporter.sources.try_query import ROLE_HINT, MonthSums, TryQuery

# How long a run takes that was ordered at once isn't documented: others look each minute.
_AGAIN_SECONDS = 1_800.0
_API_HINT = line("check api_url and cloud: Partner Insights is documented for the global cloud only")


@dataclass(frozen=True, slots=True)
class InsightsEndpoint:
    """What one source makes of the sums."""

    row: type[Row]
    to_row: Callable[[Labels, Total], Row]

    @property
    def data_sets(self) -> tuple[str, ...]:
        """The names of the data sets that this source can be made of, the usual one first."""
        return tuple(name for name, data_set in DATA_SETS.items() if data_set.row is self.row)


@dataclass(frozen=True, slots=True)
class Insights:
    """A source with `api: insights`; `month` None is the newest that has data, of each data set.

    Counts by customer come from reports, whose files are on `file_hosts`. They are created only with a `memory`.
    """

    endpoint: InsightsEndpoint
    _: KW_ONLY
    data_sets: tuple[str, ...]
    max_series: int
    detail: tuple[Dimension, ...] = ()
    file_hosts: tuple[str, ...] = ()
    memory: ReportMemory | None = None
    month: date | None = None
    api: ClassVar = Api.INSIGHTS
    timeout_seconds: ClassVar = DIALECT.timeout_seconds

    @property
    def dimensions(self) -> tuple[Dimension, ...]:
        """What its counts are broken down by, which takes a report in the partner's account."""
        return self.detail

    @property
    def query(self) -> str:
        """A short text that is equal as long as the same data is asked for."""
        asked = (*self.data_sets, str(self.max_series), *self.detail)
        return sha256("\0".join(asked).encode()).hexdigest()[:16]

    def on(self, day: date) -> Self:
        """Return the same source for the data of a past month, that of this day."""
        return replace(self, month=day.replace(day=1))

    def probe(self, poll: ApiPoll) -> None:
        """Find out whether there is an answer; raises PollError."""
        with _explained():
            catalogue(poll)

    def fetch(self, poll: ApiPoll) -> Answer:
        """Fetch the sums of every data set; raises PollError, PayloadError where they can't be had whole."""
        with _explained():
            offered = catalogue(poll)
            queries = [
                TryQuery(poll, DATA_SETS[name], columns)
                for name in self.data_sets
                if (columns := offered.get(folded(name)))
            ]
            found = [self._sums(query) for query in queries]
            absent = [DATA_SETS[name].name for name in self.data_sets if folded(name) not in offered]
            if not found:
                message = line("Partner Insights does not offer this account {}", joined(absent, ", "))
                raise NotFound(message, remedy=ROLE_HINT)
            notes = [
                line("Partner Insights does not offer this account {}, which is left out", name) for name in absent
            ]
            answer = self._answer(found, notes)
            return self._with_detail(answer, queries, found, poll) if self.detail and not self.month else answer

    def _sums(self, query: TryQuery) -> MonthSums:
        return query.of(self.month) if self.month else query.newest()

    def _answer(self, found: Sequence[MonthSums], notes: Sequence[Line]) -> Answer:
        """Return at most `max_series` label sets; raises PayloadError if no row is usable."""
        sums: Sums = {labels: total for month in found for labels, total in month.sums.items()}
        invalid = sum(month.invalid + month.undated for month in found)
        usable = sum(month.usable for month in found)
        if invalid and not usable:
            raise no_usable_rows(invalid)
        dropped = {
            DropReason.INVALID: invalid,
            DropReason.NO_VALUE: sum(month.no_value for month in found),
            DropReason.LIMIT: keep_smallest(sums, self.max_series),
        }
        rows = tuple([self.endpoint.to_row(labels, sums[labels]) for labels in sorted(sums)])
        return Answer(rows, dropped, usable=usable, notes=(*notes, *(note for month in found for note in month.notes)))

    def _with_detail(
        self, answer: Answer, queries: Sequence[TryQuery], months: Sequence[MonthSums], poll: ApiPoll
    ) -> Answer:
        """Add the counts by customer, as soon as every data set has them; raises PollError."""
        found = []
        for report in [DailyReport(poll, query, self.memory) for query in queries]:
            execution = report.newest_execution()
            again = _AGAIN_SECONDS if report.is_under_way else answer.again_seconds
            answer = replace(answer, notes=(*answer.notes, *report.notes), again_seconds=again)
            if execution:
                found.append(execution)
        if len(found) < len(queries):
            return answer
        version = " ".join(execution.execution_id for execution in found)
        if self.memory and version == self.memory.shown():
            return replace(answer, keeps_breakdown=True)
        sums: Sums = {}
        names: Names = {}
        dropped = Counter(answer.dropped)
        for query, month, execution in zip(queries, months, found, strict=True):
            before = len(sums)
            redactor = poll.redactor_with(*signatures_in(execution.link))
            tally = MonthTally(query, max_series=self.max_series, is_secret=redactor.carries)
            try:
                read_file(poll, execution.link, self.file_hosts, query.check_columns, tally.take)
                tally.move_to(sums, names, dropped)
            finally:
                tally.clear()
            if month.usable and len(sums) == before:
                raise contradiction(line("the report's file of {} has no counts", query.data_set.name))
        over_ids(sums, len(self.endpoint.row.LABELS))
        dropped[DropReason.LIMIT] += keep_smallest(sums, self.max_series)
        breakdown = breakdown_of(self.endpoint.row, sums, {Dimension.CUSTOMER: names}, complete=False)
        return replace(answer, dropped=dropped, breakdown=replace(breakdown, version=version))


@contextmanager
def _explained() -> Iterator[None]:
    """Name the likely cause of a refusal: a role that no other API needs."""
    try:
        yield
    except Forbidden as error:
        raise error.replace(remedy=ROLE_HINT) from error
    except NotFound as error:
        if error.exchange.status is None:  # of no response, but of what is missing in one
            raise
        raise error.replace(remedy=_API_HINT) from error
    except AuthenticationError as error:
        if error.error != "unauthorized":
            raise
        raise error.replace(remedy=line("{}; or {}", ROLE_HINT, error.remedy)) from error
