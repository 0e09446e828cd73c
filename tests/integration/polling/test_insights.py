"""Partner Insights of the simulator, polled as the exporter does it; `expected` is the simulator's own sum."""

from collections.abc import Callable, Mapping
from datetime import UTC, date, datetime
from typing import Any

import pytest

from exporter.model.rows import SourceName
from partnercenter_simulator import Fault, InsightsQuirks
from tests.integration.polling.conftest import Bench

OFFICE = ("WorkloadName", "PartnerAttributionType")
OFFICE_SUMS = ("TotalMonthlyActiveUsers", "TotalPaidAvailableUnits")
INSIGHTS = {"usage": {"api": "insights"}, "deployment": {"api": "insights"}}
EVERY = ["OfficeUsage", "DynamicsUsage", "EMSUsage", "PowerBIUsage"]
USAGE = ("partnercenter_licenses_active", "partnercenter_licenses_qualified")
DEPLOYMENT = ("partnercenter_licenses_deployed", "partnercenter_licenses_sold")


@pytest.fixture
def usage(make_bench: Callable[..., Bench]) -> Bench:
    return make_bench(sources=INSIGHTS)


def shown(bench: Bench, metrics: tuple[str, str], *labels: str, **chosen: str) -> dict[tuple[str, ...], Any]:
    """Return both counts by these labels."""
    seen = bench.scrape()
    part, whole = (
        {tuple(dict(key)[label] for label in labels): value for key, value in seen.select(metric, **chosen).items()}
        for metric in metrics
    )
    return {key: (part.get(key), value) for key, value in whole.items()}


def expected_usage(bench: Bench, month: date | None = None) -> Mapping[tuple[str, ...], tuple[int, ...]]:
    return bench.simulator.insights.reporting.expected("OfficeUsage", month, by=OFFICE, sums=OFFICE_SUMS)


def test_usage_is_the_newest_month_without_duplicates(usage: Bench) -> None:
    assert usage.poll().failure is None
    assert shown(usage, USAGE, "workload", "channel") == expected_usage(usage)
    seen = usage.scrape()
    [processed] = set(seen.select("partnercenter_license_usage_processed_timestamp_seconds").values())
    newest = usage.simulator.insights.reporting.months()[0]
    assert datetime.fromtimestamp(processed, UTC) == datetime(newest.year, newest.month, 1, tzinfo=UTC)
    ratios = seen.select("partnercenter_license_usage_ratio")
    counts = shown(usage, USAGE, "workload", "channel")
    assert {tuple(dict(key)[name] for name in ("workload", "channel")): value for key, value in ratios.items()} == {
        key: part / whole for key, (part, whole) in counts.items() if whole
    }
    assert {dict(key)["service"] for key in ratios} == {"o365"}


def test_ratios_above_one_stay_and_without_licences_there_is_none(usage: Bench) -> None:
    usage.poll()
    counts = expected_usage(usage)
    assert any(part > whole > 0 for part, whole in counts.values())


def test_deployment_is_assigned_of_sold_by_product(make_bench: Callable[..., Bench]) -> None:
    made = make_bench(sources=INSIGHTS)
    bench = Bench(made.simulator, made.clock, made.log, made.config, made.closing, SourceName.DEPLOYMENT)
    assert bench.poll().failure is None
    wanted = bench.simulator.insights.reporting.expected(
        "SeatsSubscriptionsAndRevenue", by=("Product", "SalesChannel"), sums=("TotalAssignedSeats", "AvailableSeatsEOP")
    )
    assert shown(bench, DEPLOYMENT, "service", "channel") == wanted


@pytest.mark.parametrize(
    ("data_set", "service", "by", "sums"),
    [
        ("DynamicsUsage", "crm", ("RevSumCategoryName", "SalesModel"), ("TotalActiveSeats", "TotalSoldSeats")),
        ("PowerBIUsage", "power-bi", ("SKU", "SalesModel"), ("TotalActiveSeats", "TotalAvailableSeats")),
    ],
)
def test_other_data_sets_are_further_services(
    make_bench: Callable[..., Bench], data_set: str, service: str, by: tuple[str, ...], sums: tuple[str, ...]
) -> None:
    bench = make_bench(sources={"usage": {"api": "insights", "datasets": EVERY}})
    assert bench.poll().failure is None
    wanted = bench.simulator.insights.reporting.expected(data_set, by=by, sums=sums)
    assert shown(bench, USAGE, "workload", "channel", service=service) == wanted
    assert shown(bench, USAGE, "workload", "channel", service="o365") == expected_usage(bench)


def test_the_wide_pairs_of_ems_are_workloads(make_bench: Callable[..., Bench]) -> None:
    bench = make_bench(sources={"usage": {"api": "insights", "datasets": ["EMSUsage"]}})
    assert bench.poll().failure is None
    for product in ("AADP", "Intune", "MDE"):
        sums = (f"Total{product}MonthlyActiveUsers", f"Total{product}PaidAvailableUnits")
        wanted = bench.simulator.insights.reporting.expected("EMSUsage", by=("SalesModel",), sums=sums)
        assert shown(bench, USAGE, "channel", workload=product, service="ems") == wanted


@pytest.mark.parametrize(
    "quirks",
    [
        *(InsightsQuirks(spelling=spelling) for spelling in ("pascal", "blanks")),
        *(InsightsQuirks(month_format=month) for month in ("date", "us", "us-time")),
        *(InsightsQuirks(page_rows=7, links=links) for links in ("relative", "path", "absolute")),
        InsightsQuirks(bom=True, numbers_as_text=True, spelling="pascal", month_format="us", page_rows=3),
        InsightsQuirks(date_ranges=("LAST_MONTH", "LAST_1_YEAR")),
    ],
    ids=str,
)
def test_the_server_s_variations_change_nothing(usage: Bench, quirks: InsightsQuirks) -> None:
    usage.simulator.insights.quirks = quirks
    assert usage.poll().failure is None
    assert shown(usage, USAGE, "workload", "channel") == expected_usage(usage)


@pytest.mark.parametrize("newest", ["blank", "partial", "full"])
def test_of_a_blank_newest_month_the_one_before_counts(usage: Bench, newest: str) -> None:
    usage.simulator.insights.quirks = InsightsQuirks(newest_month=newest)
    assert usage.poll().failure is None
    assert shown(usage, USAGE, "workload", "channel") == expected_usage(usage)


@pytest.mark.parametrize("limit", [10, 100])
def test_an_answer_that_may_be_cut_off_is_asked_for_month_by_month(usage: Bench, limit: int) -> None:
    rows_by_channel = len(expected_usage(usage))
    usage.simulator.insights.quirks = InsightsQuirks(row_limit=limit)
    status = usage.poll()
    assert status.failure is None
    if rows_by_channel < limit:
        assert shown(usage, USAGE, "workload", "channel") == expected_usage(usage)
        return
    wanted = usage.simulator.insights.reporting.expected("OfficeUsage", by=OFFICE[:1], sums=OFFICE_SUMS)
    assert shown(usage, USAGE, "workload", "channel") == {(*key, "all"): value for key, value in wanted.items()}
    assert status.notes == ("OfficeUsage has too many rows by channel for one answer: channel is all",)
    usage.poll()
    assert [line["what"] for line in usage.log.of("data incomplete")] == list(status.notes)


@pytest.mark.parametrize(
    ("renamed", "missing"),
    [
        ({"OfficeUsage.IsDuplicateRowForPGA": "IsDuplicate"}, "IsDuplicateRowForPGA"),
        ({"OfficeUsage.PartnerAttributionType": "AttributionType"}, "PartnerAttributionType"),
        ({"OfficeUsage.WorkloadName": ""}, "WorkloadName"),
        ({"OfficeUsage.Month": "MonthKey"}, "Month"),
        ({"OfficeUsage.TotalPaidAvailableUnits": "PAU"}, "TotalPaidAvailableUnits"),
    ],
)
def test_a_column_that_is_needed_and_gone_fails_the_poll(usage: Bench, renamed: dict[str, str], missing: str) -> None:
    usage.simulator.insights.quirks = InsightsQuirks(renamed_columns=renamed)
    failure = usage.poll().failure
    assert failure
    assert (failure.reason, failure.message) == (
        "payload",
        f"the data set OfficeUsage has no column {missing}, which is needed",
    )


@pytest.mark.parametrize("quirk", ["missing_sets", "sets_without_columns"])
def test_an_absent_data_set_is_left_out_and_said_once(make_bench: Callable[..., Bench], quirk: str) -> None:
    bench = make_bench(sources={"usage": {"api": "insights", "datasets": EVERY}})
    bench.simulator.insights.quirks = InsightsQuirks(**{quirk: ["DynamicsUsage"]})  # type: ignore[arg-type]
    for _ in range(2):
        status = bench.poll()
        assert status.failure is None
    assert status.notes == ("Partner Insights does not offer this account DynamicsUsage, which is left out",)
    restarted = bench.restarted()
    assert restarted.poller.status.notes == status.notes
    assert len(bench.log.of("data incomplete")) == 1
    bench.simulator.insights.quirks = InsightsQuirks()
    assert restarted.poll().notes == ()
    assert [line["was"] for line in bench.log.of("data complete again")] == list(status.notes)


def test_without_any_data_set_the_poll_fails_and_names_the_role(usage: Bench) -> None:
    usage.simulator.insights.quirks = InsightsQuirks(missing_sets=["OfficeUsage"])
    failure = usage.poll().failure
    assert failure
    assert failure.reason == "not_found"
    assert "Executive report viewer" in failure.remedy


def test_a_set_without_rows_is_good_and_names_the_role(usage: Bench) -> None:
    usage.simulator.insights.quirks = InsightsQuirks(sets_without_rows=["OfficeUsage"])
    status = usage.poll()
    assert (status.up, status.rows) == (True, 0)
    assert "Executive report viewer" in status.notes[0]


@pytest.mark.parametrize("role", ["viewer", "viewer-inside"])
def test_the_lesser_role_is_named_as_the_cause(usage: Bench, role: str) -> None:
    usage.simulator.insights.quirks = InsightsQuirks(role=role)
    failure = usage.poll().failure
    assert failure
    assert failure.reason == "forbidden"
    assert "Executive report viewer" in failure.remedy
    assert "MAICPP" in failure.remedy


def test_withheld_values_are_said(usage: Bench) -> None:
    usage.simulator.insights.quirks = InsightsQuirks(data_redacted=True)
    status = usage.poll()
    assert status.notes[0].startswith("Microsoft withholds some values of OfficeUsage")


def test_a_rate_limit_is_waited_for_before_it_refuses(usage: Bench) -> None:
    usage.simulator.insights.quirks = InsightsQuirks(rate_limit=1, rate_limit_seconds=60)
    assert usage.poll().failure is None
    assert 60.0 in usage.clock.waits
    assert {request.status for request in usage.simulator.requests.of()} == {200}


def test_mfa_that_is_missing_at_one_call_only_is_tried_again_with_the_same_token(usage: Bench) -> None:
    usage.simulator.faults.add(Fault(kind="mfa_required", endpoint="insights", times=1))
    assert usage.poll().failure is None
    usage.simulator.faults.add(Fault(kind="mfa_required", endpoint="insights"))
    failure = usage.poll().failure
    assert failure
    assert failure.reason == "mfa"
    assert usage.scrape().select("partnercenter_auth_up") == {frozenset({("partner", "contoso")}): 0.0}


def test_the_interval_is_twelve_hours_whatever_the_common_one(make_bench: Callable[..., Bench]) -> None:
    bench = make_bench(sources=INSIGHTS, poll={"interval": "1m"})
    assert bench.poller.plan.interval_seconds == 12 * 3_600
    bench.poll()
    assert bench.scrape().select("partnercenter_data_stale_after_seconds") == {
        frozenset({("partner", "contoso"), ("source", "usage")}): 75 * 86_400.0
    }
