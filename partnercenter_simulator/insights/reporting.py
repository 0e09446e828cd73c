"""Runs queries on the simulated months, and says what a client's sums must come to."""

import csv
import io
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import date, datetime
from functools import lru_cache

from partnercenter_simulator.customers import Customers
from partnercenter_simulator.dataset import Dataset, SimulatedTime
from partnercenter_simulator.insights.catalogue import DataSet, data_sets
from partnercenter_simulator.insights.columns import Column, Value
from partnercenter_simulator.insights.envelope import InsightsError
from partnercenter_simulator.insights.evaluation import Period, Row, evaluate, selected_months, totals
from partnercenter_simulator.insights.facts import Fact, Facts
from partnercenter_simulator.insights.months import reported_months, reported_share
from partnercenter_simulator.insights.query_language import Query, parse
from partnercenter_simulator.insights.quirks import InsightsQuirks
from partnercenter_simulator.wire import Json

_REDACTED = ("CustomerName", "CustomerTenantName", "ResellerName", "BilledRevenueUSD", "AzureConsumedRevenueUSD")
_CACHED_QUERIES = 32


class Reporting:
    """The data sets as they are now, and any query's rows. `quirks` can be replaced at any time."""

    def __init__(self, dataset: Dataset, simulated_time: SimulatedTime, customers: Customers) -> None:
        self.quirks = InsightsQuirks()
        self._time = simulated_time
        self._facts = Facts(dataset, customers)
        self._evaluated = lru_cache(maxsize=_CACHED_QUERIES)(self._evaluate)

    @property
    def data_sets(self) -> Mapping[str, DataSet]:
        """The sets of the catalogue, by name."""
        return data_sets(self.quirks)

    def parse(self, text: str) -> Query:
        """Parse a query against the catalogue. Raises InsightsError (400)."""
        return parse(text, self.data_sets, tuple(self.quirks.date_ranges))

    def rows(self, text: str, period: Period, *, at: datetime | None = None) -> tuple[Query, Sequence[Row]]:
        """Return a query and its rows, now or at another time of the data. Raises InsightsError (400)."""
        query, quirks = self.parse(text), self.quirks
        today = (at or self._time.data_now()).date()
        drift = (tuple(quirks.renamed_columns.items()), tuple(quirks.sets_without_rows))
        return query, self._evaluated(query, period, today, quirks.newest_month, drift)

    def records(self, query: Query, rows: Iterable[Row]) -> list[dict[str, Json]]:
        """Return rows as the API shows them: JSON objects by column name."""
        return [dict(zip(query.selected, self._shown(query, row), strict=True)) for row in rows]

    def file(self, query: Query, rows: Sequence[Row], *, delimiter: str) -> str:
        """Return rows as the text of a file with a header line, as far as the quirks leave it."""
        content = self.quirks.file_content
        if content == "empty":
            return ""
        lines: list[Sequence[str | int]] = [query.selected]
        if content != "header-only":
            lines += [self._shown(query, row) for row in rows]
        text = io.StringIO()
        writer = csv.writer(text, delimiter=delimiter, lineterminator="\r\n")
        if content != "cut-row":
            writer.writerows(lines)
            return text.getvalue()
        writer.writerows(lines[:-1])
        writer.writerow(lines[-1][: len(lines[-1]) // 2])
        return text.getvalue().removesuffix("\r\n")

    def months(self) -> tuple[date, ...]:
        """Return the months that have rows now, newest first."""
        today = self._time.data_now().date()
        months = reported_months(today)
        return months if reported_share(self.quirks.newest_month, today) else months[1:]

    def expected(
        self,
        data_set: str,
        month: date | None = None,
        *,
        by: Sequence[str],
        sums: Sequence[str],
        where: Mapping[str, str] | None = None,
    ) -> dict[tuple[str, ...], tuple[int, ...]]:
        """Return what a client's figures must come to, computed without a query: sums by the columns `by`.

        They are those of one month, by default the newest that has rows, without duplicates and with only the rows
        that have the values of `where`. `sums` names columns or metrics that are sums. Raises KeyError.
        """
        chosen = data_sets(InsightsQuirks())[data_set]

        def column(name: str) -> Column:
            return chosen.columns[name] if name in chosen.columns else chosen.metrics[name].column

        conditions = [(column(name), value) for name, value in (where or {}).items()]
        facts = self._facts_of(chosen, [month or self.months()[0]], self._time.data_now().date())
        counted = (
            fact for fact in facts if not fact.duplicate and all(str(of(fact)) == value for of, value in conditions)
        )
        return totals(counted, [column(name) for name in by], [column(name) for name in sums])

    def _evaluate(self, query: Query, period: Period, today: date, _newest: str, _drift: object) -> tuple[Row, ...]:
        data_set = self.data_sets[query.data_set]
        months = selected_months(query, period, reported_months(today))
        return tuple(evaluate(query, data_set, self._facts_of(data_set, months, today)))

    def _facts_of(self, data_set: DataSet, months: Iterable[date], today: date) -> Iterator[Fact]:
        if data_set.name in self.quirks.sets_without_rows:
            return
        newest = reported_months(today)[0]
        for month in months:
            share = reported_share(self.quirks.newest_month, today) if month == newest else 1.0
            yield from self._facts.of(data_set.kind, month, share=share)

    def _shown(self, query: Query, row: Row) -> list[str | int]:
        return [self._spelled(name, value) for name, value in zip(query.selected, row, strict=True)]

    def _spelled(self, name: str, value: Value) -> str | int:
        quirks = self.quirks
        if quirks.data_redacted and name in _REDACTED:
            return ""
        if isinstance(value, date):
            return _date(value, quirks.month_format)
        return str(value) if quirks.numbers_as_text else value


def period(start: str | None, end: str | None) -> Period:
    """Parse the times that take the place of a query's TIMESPAN. Raises InsightsError (400)."""
    try:
        return Period(*(datetime.fromisoformat(text) if text else None for text in (start, end)))
    except ValueError:
        raise InsightsError(400, "Invalid report parameters: startTime and endTime must be times.") from None


def _date(day: date, spelling: str) -> str:
    match spelling:
        case "date":
            return day.isoformat()
        case "date-time":
            return f"{day.isoformat()}T00:00:00"
        case "us":
            return f"{day.month}/{day.day}/{day.year}"
        case _:
            return f"{day.month}/{day.day}/{day.year} 12:00:00 AM"
