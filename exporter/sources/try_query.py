"""The sums of one data set by try queries, which are never trusted where they may be cut off.

learn.microsoft.com/partner-center/insights/insights-programmatic-analytics-api-try-report-queries and
insights-programmatic-custom-query: a metric is computed for each combination of the columns that are selected, and an
answer ends after so many rows, which the documentation gives as 100 and as 10.
"""

from collections.abc import Collection, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import date

import msgspec

from exporter.errors import RETRIED, PayloadError
from exporter.messages import Line, line
from exporter.model.totals import Sums, Total
from exporter.model.values import ImpossibleValueError, label, quantity
from exporter.partner_center.client import ApiPoll
from exporter.partner_center.insights import Columns, Item, Listing, folded, listing, missing_column
from exporter.sources.data_sets import DUPLICATE, MONTH, Counts, DataSet
from exporter.sources.months import last_day, month_of, newest_months, unix_time
from exporter.sources.tally import MAX_LICENCES

ROLE_HINT = line(
    "give the account the role Executive report viewer in the tenant of the partner programme (MAICPP), which may be "
    "another than the CSP tenant, and not Report viewer beside it: of the two the lesser one counts"
)
_CHANNEL = "channel"
# The channel of sums over every channel.
_WHOLE = line("all")
_CUT_AT = (10, 100)
_PATH = "/ScheduledQueries/testQueryResult"
_RANGES = ("LAST_3_MONTHS", "LAST_6_MONTHS", "LAST_1_YEAR")
# This month and the last three: it isn't documented whether a range includes this one.
_MONTHS = 4


@dataclass(eq=False)
class MonthSums:
    """What one month of a data set adds up to, of `usable` counts; `notes` say what a person should know of it.

    `undated` rows of the answer may be of any month.
    """

    sums: Sums = field(default_factory=dict)
    usable: int = 0
    invalid: int = 0
    undated: int = 0
    no_value: int = 0
    notes: tuple[Line, ...] = ()

    @property
    def has_rows(self) -> bool:
        """Whether there is more than blank rows."""
        return bool(self.usable or self.invalid)


class TryQuery:
    """Asks for the sums of one data set, of which the catalogue lists these columns; raises PayloadError without one.

    Where one answer can't hold them, it asks for each month apart, and in the end without the channel.
    """

    def __init__(self, poll: ApiPoll, data_set: DataSet, columns: Columns) -> None:
        self._poll = poll
        self.data_set = data_set
        self._columns = columns
        self._name = data_set.name
        self._notes: list[Line] = []
        self.counts = self._offered()
        for column in (MONTH, *data_set.labels.values(), *((DUPLICATE,) if data_set.marks_duplicates else ())):
            self._need(column)

    @property
    def interval_hours(self) -> int:
        """How often its report may run at the most."""
        return self._columns.interval_hours

    def newest(self) -> MonthSums:
        """Return the newest month that has data; raises PollError, PayloadError where it can't be had whole."""
        labels = tuple(self.data_set.labels)
        answer = self._ask(labels)
        if _may_be_cut(answer):
            months = (self._of(month) for month in newest_months(self._poll.client.clock.time(), _MONTHS))
        else:
            known = sorted({month for item in answer.items if (month := _month(item))}, reverse=True)
            months = (self._sums(answer, month, labels) for month in known)
        found = next((sums for sums in months if sums.has_rows), MonthSums(undated=answer.received))
        if not answer.received:
            self._note(line("{} has no data of the last three months: {}", self._name, ROLE_HINT))
        return self._noted(found)

    def of(self, month: date) -> MonthSums:
        """Return one month; raises PollError, PayloadError where it can't be had whole."""
        return self._noted(self._of(month))

    def _of(self, month: date) -> MonthSums:
        labels = tuple(self.data_set.labels)
        answer = self._ask(labels, month)
        if _may_be_cut(answer):
            labels = tuple(name for name in labels if name != _CHANNEL)
            answer = self._ask(labels, month)
            if _may_be_cut(answer):
                raise PayloadError(
                    line("the sums of {} for one month are cut off at {} rows", self._name, answer.received),
                    remedy=line("take {} out of `datasets`, or report this: parts are never shown", self._name),
                )
            self._note(line("{} has too many rows by channel for one answer: channel is {}", self._name, _WHOLE))
        return self._sums(answer, month, labels)

    def _sums(self, answer: Listing, month: date, labels: Collection[str]) -> MonthSums:
        """Add up what is of one month."""
        found = MonthSums(undated=answer.invalid + sum(_month(item) is None for item in answer.items))
        for item in answer.items:
            if _month(item) == month:
                for counts in self.counts:
                    self._add(found, item, counts, month, labels)
        return found

    def _add(self, found: MonthSums, item: Item, counts: Counts, month: date, labels: Collection[str]) -> None:
        try:
            part, whole = number_in(item, counts.part), number_in(item, counts.whole)
            if part is None and whole is None:  # a blank month's rows lack the labels too
                found.no_value += 1
                return
            known = {name: self._label(item, self.data_set.labels[name]) for name in labels}
        except ImpossibleValueError:
            found.invalid += 1
            return
        found.no_value += part is None or whole is None
        known |= counts.labels
        key = tuple(known.get(name, _WHOLE) for name in self.data_set.row.LABELS)
        found.sums.setdefault(key, Total()).add(part, whole, unix_time(month))
        found.usable += 1

    def _label(self, item: Item, column: str) -> str:
        value = item.get(folded(column))
        if isinstance(value, int | float) and not isinstance(value, bool):
            value = str(value)
        if not isinstance(value, str):
            raise ImpossibleValueError
        text = label(value)
        if self._poll.carries_secret(text):
            raise ImpossibleValueError
        return text

    def _ask(self, labels: Iterable[str], month: date | None = None) -> Listing:
        """Return the sums by month and these labels: of the last three months, or of one."""
        options = {"exportQuery": self._text(labels)}
        if month:
            options |= {"startTime": f"{month}T00:00:00Z", "endTime": f"{last_day(month)}T23:59:59Z"}
        answer = listing(self._poll, _PATH, options)
        if answer.redacted:
            self._note(line("Microsoft withholds some values of {} from this account: {}", self._name, ROLE_HINT))
        self._check_answer(answer, self._asked(labels))
        return answer

    def _check_answer(self, answer: Listing, asked: Iterable[str]) -> None:
        """Raise PayloadError if no row with counts has a column that was asked for: it has another name."""
        metrics = [folded(metric) for counts in self.counts for metric in (counts.part, counts.whole)]
        counted = [item for item in answer.items if any(item.get(metric) is not None for metric in metrics)]
        for column in asked:
            if counted and not any(folded(column) in item for item in counted):
                raise missing_column(self._name, self._poll.redactor.quote(column))

    def by_customer(self) -> str:
        """Return the query for the same sums by customer; raises PayloadError if customers have no ids."""
        return self._text(self.data_set.labels, self._customer())

    def _customer(self) -> Sequence[str]:
        identifier, name = self.data_set.customer
        self._need(identifier)
        return [identifier, *([name] if name in self._columns else [])]

    def check_columns(self, found: Sequence[str]) -> None:
        """Raise PayloadError unless each column that `by_customer` asks for is among these folded names, once."""
        for column in self._asked(self.data_set.labels, self._customer()):
            if found.count(folded(column)) != 1:
                raise PayloadError(
                    line("the report's file of {} has no column {}", self._name, self._poll.redactor.quote(column)),
                    remedy=line("{}; if it persists, report it", RETRIED),
                )

    def _text(self, labels: Iterable[str], others: Iterable[str] = ()) -> str:
        """Return the query for the sums by month, these labels and other columns, of three months."""
        clauses = ["SELECT", ", ".join(self._asked(labels, others)), "FROM", self.data_set.name]
        if self.data_set.marks_duplicates:
            # A number: compared with the text 'False', nothing is left.
            clauses += ["WHERE", *self._spelled(DUPLICATE), "= 0"]
        return " ".join([*clauses, "TIMESPAN", self._range()])

    def _asked(self, labels: Iterable[str], others: Iterable[str] = ()) -> list[str]:
        """Return the columns and metrics of that query."""
        metrics = (metric for counts in self.counts for metric in (counts.part, counts.whole))
        return self._spelled(MONTH, *(self.data_set.labels[name] for name in labels), *others, *metrics)

    def _range(self) -> str:
        """Return the shortest range that covers three months; it is needed even where two times override it."""
        return next((name for name in _RANGES if folded(name) in map(folded, self._columns.ranges)), _RANGES[0])

    def _offered(self) -> Sequence[Counts]:
        """Return the counts that there are metrics for; raises PayloadError if there are none."""
        offered = [c for c in self.data_set.counts if c.part in self._columns and c.whole in self._columns]
        if not offered:
            self._need(self.data_set.counts[0].part)
            self._need(self.data_set.counts[0].whole)
        for counts in self.data_set.counts:
            if counts not in offered:
                self._note(line("{} does not count {}, which is left out", self._name, counts.labels["workload"]))
        return offered

    def _need(self, column: str) -> None:
        if column not in self._columns:
            raise missing_column(self._name, column)

    def _spelled(self, *names: str) -> list[str]:
        """Return these names in the catalogue's spelling."""
        return [self._columns.names[folded(name)] for name in names]

    def _note(self, note: Line) -> None:
        if note not in self._notes:
            self._notes.append(note)

    def _noted(self, found: MonthSums) -> MonthSums:
        return replace(found, notes=tuple(self._notes))


def _may_be_cut(answer: Listing) -> bool:
    return answer.received in _CUT_AT or (answer.total or 0) > answer.received


def _month(item: Item) -> date | None:
    with suppress(ImpossibleValueError):
        return month_of(item.get(folded(MONTH)))
    return None


def number_in(item: Item, column: str) -> float | None:
    """Return a count, which may come as a text; raises ImpossibleValueError."""
    value = item.get(folded(column))
    if isinstance(value, str):
        value = value.strip() or None
    if isinstance(value, bool):
        raise ImpossibleValueError
    try:
        count = msgspec.convert(value, float | None, strict=False)
    except (msgspec.ValidationError, ValueError, OverflowError) as error:
        raise ImpossibleValueError from error
    return quantity(count, maximum=MAX_LICENCES)
