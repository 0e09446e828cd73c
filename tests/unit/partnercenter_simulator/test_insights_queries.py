"""The query language of the simulated Partner Insights."""

from collections.abc import Callable
from datetime import UTC, date, datetime
from typing import Any

import pytest

from partnercenter_simulator.customers import Customers
from partnercenter_simulator.dataset import Dataset, SimulatedTime
from partnercenter_simulator.insights.envelope import InsightsError
from partnercenter_simulator.insights.evaluation import Period
from partnercenter_simulator.insights.quirks import InsightsQuirks
from partnercenter_simulator.insights.reporting import Reporting

NOW = datetime(2026, 5, 25, tzinfo=UTC).timestamp()
COLUMNS = ("WorkloadName", "PartnerAttributionType", "CustomerMarket", "PaidAvailableUnits", "IsDuplicateRowForPGA")
Row = tuple[Any, ...]


def nothing(_row: Row) -> bool:
    return False


@pytest.fixture(scope="module")
def reporting() -> Reporting:
    return Reporting(Dataset(7), SimulatedTime(1, lambda: NOW), Customers(7, 40))


@pytest.fixture(scope="module")
def run(reporting: Reporting) -> Callable[[str], list[Row]]:
    return lambda query: list(reporting.rows(query, Period())[1])


Run = Callable[[str], list[Row]]


@pytest.mark.parametrize(
    ("condition", "kept"),
    [
        ("IsDuplicateRowForPGA = 0", lambda row: row[4] == 0),
        ("IsDuplicateRowForPGA = '0'", lambda row: row[4] == 0),
        ("IsDuplicateRowForPGA != 0", lambda row: row[4] == 1),
        ("IsDuplicateRowForPGA = 'False'", nothing),
        ("PaidAvailableUnits > 100", lambda row: row[3] > 100),
        ("PaidAvailableUnits >= 100 AND PaidAvailableUnits <= 200", lambda row: 100 <= row[3] <= 200),
        ("PaidAvailableUnits < 5.5", lambda row: row[3] < 5.5),
        ("WorkloadName = 'Exchange Online'", lambda row: row[0] == "Exchange Online"),
        ("workloadname LIKE '%online'", lambda row: row[0].endswith("Online")),
        ("WorkloadName NOT LIKE 'Microsoft_Teams'", lambda row: row[0] != "Microsoft Teams"),
        ("CustomerMarket IN ('GB', 'DE') and PaidAvailableUnits = 3", lambda r: r[2] in ("GB", "DE") and r[3] == 3),
        ("CustomerMarket NOT IN ('GB', 'DE')", lambda row: row[2] not in ("GB", "DE")),
        ("PaidAvailableUnits IN (0, 1, 2)", lambda row: row[3] in (0, 1, 2)),
        ("Month >= '2026-04-01'", len),
        ("Month > '2026-04-01'", nothing),
    ],
)  # fmt: skip
def test_a_condition_keeps_the_matching_rows(run: Run, condition: str, kept: Callable[[Row], bool]) -> None:
    query = f"SELECT {', '.join(COLUMNS)} FROM OfficeUsage"
    every = run(f"{query} TIMESPAN LAST_MONTH")
    found = run(f"{query} WHERE {condition} TIMESPAN LAST_MONTH")
    assert found == [row for row in every if kept(row)]
    assert len(found) in range(len(every) + 1)


def test_metrics_are_computed_for_each_combination_of_the_selected_columns(run: Run) -> None:
    plain = run("SELECT WorkloadName, IsDuplicateRowForPGA, PaidAvailableUnits FROM OfficeUsage TIMESPAN LAST_MONTH")
    sums: dict[Row, int] = {}
    for *key, units in plain:
        sums[tuple(key)] = sums.get(tuple(key), 0) + units
    found = run(
        "SELECT WorkloadName, TotalPaidAvailableUnits, IsDuplicateRowForPGA FROM OfficeUsage TIMESPAN LAST_MONTH"
    )
    assert {(name, duplicate): units for name, units, duplicate in found} == sums
    assert len(found) == len(sums) == 14


def test_without_the_month_months_add_up(run: Run) -> None:
    by_month = run("SELECT Month, TotalPaidAvailableUnits FROM OfficeUsage")
    assert len(by_month) == 6
    assert run("SELECT TotalPaidAvailableUnits FROM OfficeUsage") == [(sum(units for _, units in by_month),)]


def test_counts_count_each_value_once(run: Run) -> None:
    assert run("SELECT CustomerTenantCount FROM OfficeUsage") == [(40,)]


def test_rows_come_in_the_order_asked_for(run: Run) -> None:
    query = "SELECT DISTINCT Month, WorkloadName FROM OfficeUsage"
    rows = run(query)
    assert run(f"{query} ORDER BY WorkloadName ASC, Month") == sorted(
        sorted(rows, key=lambda row: row[0], reverse=True), key=lambda row: row[1]
    )
    assert run(f"{query} ORDER BY WorkloadName DESC LIMIT 2") == run(f"{query} ORDER BY WorkloadName")[:2]
    assert run(f"{query} LIMIT 0") == []


def test_distinct_keeps_one_of_equal_rows(run: Run) -> None:
    assert len(run("SELECT DISTINCT WorkloadName FROM OfficeUsage")) == 7
    assert len(run("SELECT WorkloadName FROM OfficeUsage")) > 7 * 40 * 6


@pytest.mark.parametrize(
    ("query", "text"),
    [
        ("", "Null or missing value"),
        ("  ", "Null or missing value"),
        ("SELECT Month FROM Moon", "Invalid table name"),
        ("SELECT Moon FROM OfficeUsage", "Incorrect column name"),
        ("SELECT Month FROM OfficeUsage WHERE Moon = 1", "Incorrect column name"),
        ("SELECT Month FROM OfficeUsage WHERE TotalPaidAvailableUnits > 1", "Incorrect column name"),
        ("SELECT Month FROM OfficeUsage ORDER BY WorkloadName", "Incorrect column name"),
        ("SELECT Month FROM OfficeUsage TIMESPAN LIFETIME", "Requested value 'LIFETIME'"),
        ("SELECT * FROM OfficeUsage", "Invalid query"),
        ("SELECT Month OfficeUsage", "Invalid query"),
        ("SELECT SUM(PaidAvailableUnits) FROM OfficeUsage", "Invalid query"),
        ("SELECT Month FROM OfficeUsage WHERE IsDuplicateRowForPGA = 0 OR IsDuplicateRowForPGA = 1", "Invalid query"),
        ("SELECT Month FROM OfficeUsage WHERE IsDuplicateRowForPGA = False", "Invalid query"),
        ("SELECT Month FROM OfficeUsage WHERE IsDuplicateRowForPGA NOT = 0", "Invalid query"),
        ("SELECT Month FROM OfficeUsage WHERE WorkloadName IN ()", "Invalid query"),
        ("SELECT Month FROM OfficeUsage WHERE WorkloadName LIKE 5", "Invalid query"),
        ("SELECT Month FROM OfficeUsage GROUP BY Month", "Invalid query"),
        ("SELECT Month FROM OfficeUsage LIMIT -1", "Invalid query"),
        ("SELECT Month FROM OfficeUsage LIMIT 1.5", "Invalid query"),
        ("SELECT Month FROM OfficeUsage TIMESPAN LAST_MONTH LIMIT 5", "Invalid query"),
        ("SELECT Month, FROM OfficeUsage", "Invalid query"),
        ("SELECT Month FROM", "Invalid query"),
    ],
)
def test_an_invalid_query_is_refused_with_the_services_text(run: Run, query: str, text: str) -> None:
    with pytest.raises(InsightsError, match=f"^{text}") as caught:
        run(query)
    assert caught.value.status == 400


@pytest.mark.parametrize(
    ("day", "quirk", "share"),
    [
        ("2026-05-02", "calendar", 0),
        ("2026-05-10", "calendar", 0.5),
        ("2026-05-19", "calendar", 1),
        ("2026-05-25", "partial", 0.5),
        ("2026-05-25", "blank", 0),
        ("2026-05-02", "full", 1),
    ],
)
def test_the_newest_month_fills_up(day: str, quirk: str, share: float) -> None:
    today = datetime.fromisoformat(f"{day}T12:00:00+00:00").timestamp()
    reporting = Reporting(Dataset(7), SimulatedTime(1, lambda: today), Customers(7, 40))
    reporting.quirks = InsightsQuirks(newest_month=quirk)
    query = "SELECT Month, CustomerTenantCount FROM OfficeUsage TIMESPAN LAST_3_MONTHS"
    found = {row[0]: row[1] for row in reporting.rows(query, Period())[1]}
    newest = found.pop(date(2026, 4, 1), 0)
    assert found == {date(2026, 3, 1): 40, date(2026, 2, 1): 40}
    assert newest in {0: {0}, 0.5: range(10, 31), 1: {40}}[share]
    assert reporting.months()[0] == date(2026, 4 if share else 3, 1)
