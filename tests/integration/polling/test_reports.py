"""Counts by customer from a daily report of the simulated Partner Insights: created once, read when it is new."""

from collections.abc import Callable
from pathlib import Path

import pytest

from exporter.arguments import ExitStatus, Reports
from exporter.commands import reports
from partnercenter_simulator import Fault, InsightsQuirks
from tests.integration.polling.conftest import Bench

ACTIVE, QUALIFIED = "partnercenter_licenses_active", "partnercenter_licenses_qualified"
BY = ("CustomerTenantId", "WorkloadName", "PartnerAttributionType")
SUMS = ("TotalMonthlyActiveUsers", "TotalPaidAvailableUnits")
HOUR = 3_600.0
DAY = 24 * HOUR


@pytest.fixture
def keys() -> dict[str, object]:
    return {"api": "insights", "detail": ["customer"], "reports": True, "insights_file_hosts": ["127.0.0.1"]}


@pytest.fixture
def bench(make_bench: Callable[..., Bench], keys: dict[str, object]) -> Bench:
    return make_bench(sources={"usage": keys, "deployment": {"enabled": False}})


def created(bench: Bench) -> list[str]:
    """Return what the exporter created, in order."""
    requests = bench.simulator.requests.of()
    return [
        request.endpoint for request in requests if request.method == "POST" and request.endpoint.startswith("insights")
    ]


def by_customer(bench: Bench) -> dict[tuple[str, ...], tuple[float, float]]:
    seen = bench.scrape()
    active, qualified = seen.select(ACTIVE), seen.select(QUALIFIED)
    names = ("customer_id", "workload", "channel")
    return {tuple(dict(key).get(name, "") for name in names): (active[key], qualified[key]) for key in active}


def expected(bench: Bench) -> dict[tuple[str, ...], tuple[int, ...]]:
    return bench.simulator.insights.reporting.expected("OfficeUsage", by=BY, sums=SUMS)


def until_the_first_run_is_complete(bench: Bench) -> None:
    bench.clock.advance(HOUR)


def test_a_query_a_daily_report_and_one_run_at_once_are_created_and_then_found_again(bench: Bench) -> None:
    status = bench.poll()
    assert status.failure is None
    assert created(bench) == ["insights_queries", "insights_reports", "insights_reports"]
    assert "come with the first run" in status.notes[0]
    assert {key[0] for key in by_customer(bench)} == {""}  # meanwhile, the sums
    assert bench.wait_before_next() < HOUR  # the run that was ordered at once takes minutes
    for again in (bench, bench.restarted()):
        bench.clock.advance(HOUR)
        assert again.poll().failure is None
    assert len(created(bench)) == 3


def test_counts_by_customer_are_exact_and_named(bench: Bench) -> None:
    bench.poll()
    until_the_first_run_is_complete(bench)
    status = bench.poll()
    assert (status.failure, status.notes) == (None, ())
    assert bench.wait_before_next() >= 12 * HOUR
    assert by_customer(bench) == expected(bench)
    named = bench.scrape().select("partnercenter_customer_info")
    assert {dict(key)["customer_id"] for key in named} == {key[0] for key in expected(bench)}
    assert bench.scrape().select("partnercenter_license_usage_ratio")


@pytest.mark.parametrize(
    "quirks",
    [
        *(InsightsQuirks(file_coding=coding) for coding in ("gzip", "raw-gzip", "plain")),
        InsightsQuirks(file_bom=True, file_coding="raw-gzip", month_format="us", spelling="blanks"),
        InsightsQuirks(month_format="date", numbers_as_text=True, spelling="pascal", page_rows=2),
        InsightsQuirks(shows_pending=True),
        InsightsQuirks(empty_list_is_404=False),
    ],
    ids=str,
)
def test_the_server_s_variations_change_nothing(bench: Bench, quirks: InsightsQuirks) -> None:
    bench.simulator.insights.quirks = quirks
    assert bench.poll().failure is None
    until_the_first_run_is_complete(bench)
    assert bench.poll().failure is None
    assert by_customer(bench) == expected(bench)


@pytest.mark.parametrize("content", ["empty", "cut-row", "cut-gzip"])
def test_a_file_that_is_not_whole_shows_nothing_of_it(bench: Bench, content: str) -> None:
    bench.poll()
    until_the_first_run_is_complete(bench)
    bench.poll()
    before = bench.scrape().data
    bench.clock.advance(DAY + 6 * HOUR)
    bench.simulator.insights.quirks = InsightsQuirks(file_content=content)
    failure = bench.poll().failure
    assert failure
    assert failure.reason == "payload"
    assert bench.scrape().data == before
    bench.simulator.insights.quirks = InsightsQuirks()
    assert bench.poll().failure is None


def test_a_file_is_fetched_only_when_its_run_is_new_also_after_a_restart(bench: Bench) -> None:
    bench.poll()
    until_the_first_run_is_complete(bench)
    bench.poll()
    before = bench.scrape().named("partnercenter_licenses")
    for again in (bench, bench.restarted()):
        assert again.poll().failure is None
        assert again.scrape().named("partnercenter_licenses") == before
    assert bench.simulator.requests.count("files") == 1
    bench.clock.advance(DAY + 6 * HOUR)
    bench.poll()
    assert bench.simulator.requests.count("files") == 2


def test_the_link_and_the_token_go_nowhere_else(bench: Bench) -> None:
    bench.poll()
    until_the_first_run_is_complete(bench)
    bench.poll()
    [fetched] = bench.simulator.requests.of("files")
    assert "authorization" not in fetched.headers
    kept = b"".join(path.read_bytes() for path in bench.directory.root.rglob("*") if path.is_file())
    for text in (bench.log.getvalue(), kept.decode("utf-8", "replace")):
        assert "sig=" not in text
        assert bench.simulator.files_url not in text


def test_an_expired_link_is_asked_for_again_by_the_next_poll(bench: Bench) -> None:
    bench.poll()
    until_the_first_run_is_complete(bench)
    bench.simulator.faults.add(Fault(kind="status", endpoint="files", status=403, times=1, text="AuthenticationFailed"))
    failure = bench.poll().failure
    assert failure
    assert failure.reason == "rejected"
    assert "new link" in failure.remedy
    assert bench.poll().failure is None
    assert by_customer(bench) == expected(bench)


def test_a_link_to_a_host_that_is_not_allowed_is_not_followed(
    make_bench: Callable[..., Bench], keys: dict[str, object]
) -> None:
    bench = make_bench(sources={"usage": keys | {"insights_file_hosts": ["files.example"]}})
    bench.poll()
    until_the_first_run_is_complete(bench)
    failure = bench.poll().failure
    assert failure
    assert (failure.reason, failure.message) == (
        "rejected",
        "the link to the report's file leads to a host that is not allowed: 127.0.0.1",
    )
    assert bench.simulator.requests.count("files") == 0


@pytest.mark.parametrize("full", [{"queries": 100}, {"reports": 50}])
def test_a_quota_that_is_used_up_is_said_and_holds_for_a_day(bench: Bench, full: dict[str, int]) -> None:
    bench.simulator.insights.add_others(**full)
    status = bench.poll()
    assert status.up
    assert any("it is tried again at" in note for note in status.notes), status.notes
    tried = len(created(bench))
    for _ in range(3):
        bench.clock.advance(4 * HOUR)
        assert bench.restarted().poll().up
    assert len(created(bench)) == tried
    bench.clock.advance(DAY)
    bench.poll()
    assert len(created(bench)) > tried


def test_the_first_run_may_be_refused_without_harm(bench: Bench) -> None:
    bench.simulator.insights.quirks = InsightsQuirks(newest_month="full")
    bench.simulator.faults.add(
        Fault(
            kind="status",
            endpoint="insights_reports",
            status=400,
            skip=2,
            times=1,
            text="User has exceeded its ExecuteNow report creation quota of 5 reports/60 mins",
        )
    )
    status = bench.poll()
    assert status.up
    assert any("come with the daily report" in note for note in status.notes), status.notes
    bench.clock.advance(DAY)
    assert bench.poll().failure is None
    assert by_customer(bench) == expected(bench)


def test_a_report_that_does_not_run_is_no_failure_before_it_is_due(bench: Bench) -> None:
    bench.simulator.faults.add(Fault(kind="status", endpoint="insights_executions", status=404))
    for _ in range(4):
        assert bench.poll().failure is None
        bench.clock.advance(6 * HOUR)
    bench.clock.advance(DAY)
    failure = bench.poll().failure
    assert failure
    assert failure.reason == "not_found"
    assert "has no completed run" in failure.message


def test_what_was_lost_of_the_state_is_found_by_its_name(bench: Bench) -> None:
    bench.poll()
    until_the_first_run_is_complete(bench)
    (bench.directory.root / "polls" / "contoso.usage.reports.json").unlink()
    before = len(created(bench))
    assert bench.restarted().poll().failure is None
    assert len(created(bench)) == before


def test_an_answer_that_is_lost_creates_nothing_twice(bench: Bench) -> None:
    bench.simulator.faults.add(Fault(kind="truncated", endpoint="insights_reports", skip=1, times=1))
    assert not bench.poll().up
    bench.clock.advance(2 * HOUR)
    assert bench.poll().failure is None
    assert created(bench).count("insights_queries") == 1
    assert created(bench).count("insights_reports") == 1


def test_who_only_checks_creates_nothing(bench: Bench) -> None:
    source = bench.config.partners[0].sources[0].source
    bench.poller.fetch = source.fetch
    status = bench.poll()
    assert created(bench) == []
    assert "`run` would create the query and the daily report" in status.notes[0]


def test_a_column_of_customers_that_is_gone_fails_the_poll(bench: Bench) -> None:
    bench.simulator.insights.quirks = InsightsQuirks(renamed_columns={"OfficeUsage.CustomerTenantId": "TenantId"})
    failure = bench.poll().failure
    assert failure
    assert failure.message == "the data set OfficeUsage has no column CustomerTenantId, which is needed"
    assert created(bench) == []


@pytest.mark.parametrize("still", [True, False], ids=["asked for still", "asked for no more"])
def test_what_was_created_can_be_listed_and_deleted_and_nothing_else(
    bench: Bench, tmp_path: Path, capsys: pytest.CaptureFixture[str], *, still: bool
) -> None:
    bench.simulator.insights.add_others(queries=2, reports=2)
    bench.poll()
    file = tmp_path / "config.yaml"
    if not still:
        file.write_text(file.read_text().replace("reports: true", "reports: false").replace("- customer", ""))
        file.write_text(file.read_text().replace("detail:", "detail: []"))
    assert reports.run(Reports(config_file=file)) is ExitStatus.SUCCESS
    listed = capsys.readouterr().out
    assert "usage, OfficeUsage: partnercenter exporter OfficeUsage " in listed
    assert (listed.count("    report "), listed.count("    query ")) == (2, 1)
    assert reports.run(Reports(config_file=file, delete=True)) is ExitStatus.SUCCESS
    printed = capsys.readouterr().out
    assert printed.count(": deleted") == 3
    assert ("the next poll creates them again" in printed) == still
    deleted = [
        request.path.rpartition("/")[2] for request in bench.simulator.requests.of() if request.method == "DELETE"
    ]
    assert sorted(deleted) == sorted(word for word in listed.split() if len(word) == 36)
    reports.run(Reports(config_file=file, delete=True))
    assert "nothing was created" in capsys.readouterr().out


def test_what_could_not_be_deleted_is_remembered(
    bench: Bench, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    bench.poll()
    bench.simulator.faults.add(Fault(kind="status", endpoint="insights_reports", status=503, skip=1, times=1))
    arguments = Reports(config_file=tmp_path / "config.yaml", delete=True)
    assert reports.run(arguments) is ExitStatus.FAILED
    assert "delete: FAILED (unavailable)" in capsys.readouterr().out
    assert reports.run(arguments) is ExitStatus.SUCCESS
    assert capsys.readouterr().out.count(": deleted") == 2


def test_a_clock_that_was_ahead_does_not_keep_a_report_from_being_created(bench: Bench) -> None:
    bench.clock.jump(30 * DAY)
    bench.simulator.insights.add_others(reports=50)
    bench.poll()
    bench.clock.jump(-30 * DAY)
    bench.simulator.insights.add_others(reports=0)
    before = len(created(bench))
    bench.poll()
    assert len(created(bench)) > before


@pytest.mark.parametrize("lost", ["query", "report", "first run"])
def test_what_was_created_by_a_request_whose_answer_was_lost_can_be_deleted_too(
    bench: Bench, tmp_path: Path, capsys: pytest.CaptureFixture[str], lost: str
) -> None:
    endpoint, skip = {"query": ("queries", 1), "report": ("reports", 1), "first run": ("reports", 2)}[lost]
    fault = Fault(kind="truncated", endpoint=f"insights_{endpoint}", skip=skip, times=1)
    bench.simulator.faults.add(fault)
    bench.poll()
    bench.clock.advance(2 * HOUR)
    assert bench.poll().failure is None
    reports.run(Reports(config_file=tmp_path / "config.yaml", delete=True))
    assert capsys.readouterr().out.count(": deleted") == len(created(bench))
