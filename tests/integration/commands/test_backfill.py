"""`backfill` of Partner Insights: the sums of a month are those of each of its days."""

from collections.abc import Callable, Sequence
from datetime import date, timedelta
from pathlib import Path

import pytest

from exporter.arguments import Backfill, ExitStatus
from exporter.commands import backfill
from exporter.errors import PollError
from exporter.model.rows import SourceName
from partnercenter_simulator import Fault, InsightsQuirks, Simulator
from tests.integration.exposition import Exposition
from tests.support.config import write_config

INSIGHTS = {"usage": {"api": "insights"}, "deployment": {"api": "commercial"}}
OFFICE = ("WorkloadName", "PartnerAttributionType")
Run = Callable[..., ExitStatus]


@pytest.fixture
def turn(simulator: Simulator) -> date:
    """The first day of a month that is complete, as is the one before."""
    simulator.insights.quirks = InsightsQuirks(newest_month="full")
    return simulator.insights.reporting.months()[1]


@pytest.fixture
def run(simulator: Simulator, tmp_path: Path) -> Run:
    file = write_config(tmp_path, simulator, sources=INSIGHTS, targets=[{"ratio": 0.5}])

    def run(days: Sequence[date], source: SourceName | None = SourceName.USAGE) -> ExitStatus:
        past = tmp_path / "past"
        return backfill.run(Backfill(config_file=file, first=days[0], last=days[-1], output=past, source=source))

    return run


def around(day: date) -> list[date]:
    """Return the two days before a day, itself and the next."""
    return [day + timedelta(days=number) for number in range(-2, 2)]


def written(folder: Path, day: date) -> Exposition:
    """Return a day's samples at its beginning."""
    first: dict[str, str] = {}
    for line in (folder / "past" / f"{day}.om").read_text("utf-8").removesuffix("# EOF\n").splitlines():
        series, value = (line, "") if line.startswith("#") else line.rsplit(" ", 2)[:2]
        first.setdefault(series, value)
    return Exposition("".join(f"{series} {value}".rstrip() + "\n" for series, value in first.items()))


def test_each_day_has_the_sums_of_its_month_and_a_month_is_asked_for_once(
    run: Run, turn: date, simulator: Simulator, tmp_path: Path
) -> None:
    days = around(turn)
    assert run(days) is ExitStatus.SUCCESS
    for day in days:
        sums = simulator.insights.reporting.expected(
            "OfficeUsage", day.replace(day=1), by=OFFICE, sums=("TotalMonthlyActiveUsers", "TotalPaidAvailableUnits")
        )
        seen = written(tmp_path, day)
        for (workload, channel), counts in sums.items():
            labels = {"workload": workload, "channel": channel, "service": "o365"}
            assert tuple(
                seen.value(f"partnercenter_licenses_{name}", **labels) for name in ("active", "qualified")
            ) == tuple(counts)
    queries = simulator.requests.of("insights_try_query")
    assert [query.query["startTime"][:10] for query in queries] == [str(days[0].replace(day=1)), str(turn)]


def test_it_goes_on_where_it_was_stopped(run: Run, turn: date, simulator: Simulator, tmp_path: Path) -> None:
    days = around(turn)
    simulator.faults.add(Fault(kind="status", endpoint="insights_try_query", status=403, skip=1, times=1))
    with pytest.raises(PollError, match=f"{turn}, usage of contoso"):
        run(days)
    assert sorted(file.name for file in (tmp_path / "past").iterdir()) == [f"{day}.om" for day in days[:2]]
    assert run(days) is ExitStatus.SUCCESS
    assert sorted(file.name for file in (tmp_path / "past").iterdir()) == [f"{day}.om" for day in days]
    months = [query.query["startTime"][:10] for query in simulator.requests.of("insights_try_query")]
    assert months == [str(days[0].replace(day=1)), str(turn), str(turn)]


def test_days_of_the_commercial_api_are_beside_the_months(
    run: Run, turn: date, simulator: Simulator, tmp_path: Path
) -> None:
    days = around(turn)[1:3]
    assert run(days, source=None) is ExitStatus.SUCCESS
    for day in days:
        seen = written(tmp_path, day)
        assert seen.select("partnercenter_licenses_active")
        assert seen.select("partnercenter_licenses_sold")
    assert [call.query["processedDateTime"] for call in simulator.requests.of("deployment")] == [str(d) for d in days]


def test_a_month_that_microsoft_has_not_any_more_has_no_files(
    run: Run, turn: date, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    day = turn.replace(year=turn.year - 3)
    assert run([day, day + timedelta(days=1)]) is ExitStatus.SUCCESS
    assert list((tmp_path / "past").iterdir()) == []
    assert f"{day}: no data, no file written" in capsys.readouterr().err
