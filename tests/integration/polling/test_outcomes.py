"""What a poll does to the data and to the metrics about it; tests/reliability has upstream faults."""

from collections.abc import Callable
from typing import Any

import pytest

from partnercenter_simulator import Fault
from tests.integration.polling.conftest import Bench

USAGE = {"partner": "contoso", "source": "usage"}
ROW = {
    "proratedLicensesUsagePercent": 50.0,
    "workloadName": "Exchange",
    "processedDateTime": "2026-11-01T00:00:00Z",
    "serviceName": "o365",
    "channel": "reseller",
}


def rows(*changes: dict[str, object]) -> Fault:
    """Answer with one row a dictionary of changes."""
    return Fault(kind="rows", endpoint="usage", times=1, rows=[ROW | change for change in changes])


def test_a_good_poll_shows_every_row_with_its_value_and_date(bench: Bench) -> None:
    assert bench.scrape().data == {}
    status = bench.poll()
    scrape = bench.scrape()
    figures = bench.simulator.dataset.usage(bench.simulator.time.data_now())
    for figure in figures:
        labels = {
            "partner": "contoso",
            "workload": figure.workload,
            "service": figure.service,
            "channel": figure.channel,
        }
        assert scrape.value("partnercenter_license_usage_ratio", **labels) == pytest.approx(
            figure.active / figure.qualified
        )
        # The API spells dates with or without a fraction.
        assert scrape.value("partnercenter_license_usage_processed_timestamp_seconds", **labels) == pytest.approx(
            figure.processed_at.timestamp(), abs=1
        )
    assert len(scrape.select("partnercenter_license_usage_ratio")) == len(figures)
    assert scrape.value("partnercenter_rows", **USAGE) == len(figures)
    assert scrape.value("partnercenter_up", **USAGE) == 1
    assert scrape.value("partnercenter_last_success_timestamp_seconds", **USAGE) == status.last_success_at


def test_a_row_that_is_gone_from_the_answer_is_gone_from_the_next_scrape(bench: Bench) -> None:
    bench.simulator.faults.add(rows({}, {"workloadName": "SharePoint"}), rows({"workloadName": "SharePoint"}))
    bench.poll()
    assert len(bench.scrape().select("partnercenter_license_usage_ratio")) == 2
    bench.poll()
    [labels] = bench.scrape().select("partnercenter_license_usage_ratio")
    assert ("workload", "SharePoint") in labels


def test_an_answer_without_rows_is_successful_and_removes_the_data(bench: Bench) -> None:
    bench.poll()
    bench.simulator.faults.add(Fault(kind="empty_rows", endpoint="usage", times=1))
    bench.poll()
    scrape = bench.scrape()
    assert scrape.data == {}
    assert scrape.value("partnercenter_rows", **USAGE) == 0
    assert scrape.value("partnercenter_up", **USAGE) == 1
    [entry] = bench.log.of("poll succeeded without rows")
    assert entry["level"] == "warn"


def test_a_value_that_the_api_does_not_give_is_absent(bench: Bench) -> None:
    bench.simulator.faults.add(
        rows({"proratedLicensesUsagePercent": None}, {"workloadName": "SharePoint", "processedDateTime": None})
    )
    bench.poll()
    scrape = bench.scrape()
    processed = "partnercenter_license_usage_processed_timestamp_seconds"
    assert scrape.value("partnercenter_license_usage_ratio", workload="Exchange") is None
    assert scrape.value(processed, workload="Exchange") is not None
    assert scrape.value("partnercenter_license_usage_ratio", workload="SharePoint") == 0.5
    assert scrape.value(processed, workload="SharePoint") is None


def test_rows_that_are_not_shown_are_counted_by_reason(make_bench: Callable[..., Bench]) -> None:
    bench = make_bench(poll={"max_series": 2})
    bench.simulator.faults.add(
        rows(
            {"workloadName": "A"},
            {"workloadName": "A", "processedDateTime": "2026-11-02T00:00:00Z"},
            {"workloadName": "B", "proratedLicensesUsagePercent": -1},
            {"workloadName": "C", "channel": ""},
            {"workloadName": "D"},
            {"workloadName": "E"},
        )
    )
    bench.poll()
    scrape = bench.scrape()
    dropped = {
        dict(labels)["reason"]: count
        for labels, count in scrape.select("partnercenter_rows_dropped_total", **USAGE).items()
    }
    assert dropped == {"invalid": 2, "duplicate": 1, "limit": 1, "no_value": 0}
    assert scrape.value("partnercenter_rows", **USAGE) == 2
    shown = {dict(labels)["workload"] for labels in scrape.select("partnercenter_license_usage_ratio")}
    assert shown == {"A", "D"}


def test_a_value_over_100_percent_is_shown_as_it_is(bench: Bench) -> None:
    bench.simulator.faults.add(rows({"proratedLicensesUsagePercent": 130.5}))
    bench.poll()
    assert bench.scrape().value("partnercenter_license_usage_ratio") == pytest.approx(1.305)


def test_data_are_withdrawn_once_they_are_older_than_max_staleness(make_bench: Callable[..., Bench]) -> None:
    bench = make_bench(poll={"interval": "1h", "max_staleness": "2h"})
    bench.poll()
    data = bench.scrape().data
    bench.clock.advance(7_200)
    bench.poller.withdraw_if_stale()
    assert bench.scrape().data == data
    bench.clock.advance(1)
    bench.poller.withdraw_if_stale()
    scrape = bench.scrape()
    assert scrape.data == {}
    assert bench.scrape().value("partnercenter_data_withdrawn", **USAGE) == 1
    assert scrape.value("partnercenter_last_success_timestamp_seconds", **USAGE) is not None
    assert len(bench.log.of("data withdrawn")) == 1


def test_a_poll_in_progress_is_shown_until_it_ends(bench: Bench) -> None:
    during: list[float | None] = []
    bench.interrupt(lambda: during.append(bench.scrape().value("partnercenter_poll_in_progress", **USAGE)))
    for fault in (Fault(kind="rows", endpoint="usage", rows=[ROW]), Fault(kind="reset", endpoint="usage")):
        bench.simulator.faults.add(fault)
        bench.poll()
        assert bench.scrape().value("partnercenter_poll_in_progress", **USAGE) == 0
        bench.simulator.faults.clear()
    assert during == [1, 1]


def test_withdrawn_data_come_back_with_the_next_good_poll(make_bench: Callable[..., Bench]) -> None:
    bench = make_bench(poll={"interval": "1h", "max_staleness": "2h"})
    bench.poll()
    bench.clock.advance(7_201)
    bench.poller.withdraw_if_stale()
    bench.poll()
    bench.poller.withdraw_if_stale()
    assert bench.scrape().data != {}
    assert not bench.poller.status.stale


def test_a_failed_poll_does_not_reset_the_age_of_the_data(make_bench: Callable[..., Bench]) -> None:
    bench = make_bench(poll={"interval": "1h", "max_staleness": "2h"})
    bench.poll()
    bench.clock.advance(7_000)
    bench.simulator.faults.add(Fault(kind="status", endpoint="usage", status=403))
    bench.poll()
    bench.clock.advance(201)
    bench.poller.withdraw_if_stale()
    assert bench.scrape().data == {}


def test_a_fault_in_the_exporter_is_a_failed_poll_and_not_the_end_of_the_thread(bench: Bench) -> None:
    def fail() -> None:
        raise RuntimeError("a mistake of ours")

    bench.interrupt(fail)
    failure = bench.poll().failure
    assert failure is not None
    assert failure.reason == "internal"
    assert "report it" in failure.remedy
    [entry] = bench.log.of("internal error")
    assert entry["where"].startswith("test_outcomes.py:")
    assert bench.scrape().value("partnercenter_poll_failures_total", **USAGE, reason="internal") == 1


def test_a_retry_within_one_poll_is_one_poll_and_several_requests(bench: Bench) -> None:
    bench.simulator.faults.add(Fault(kind="status", endpoint="usage", status=503, times=2))
    assert bench.poll().up is True
    scrape = bench.scrape()
    assert scrape.value("partnercenter_polls_total", **USAGE) == 1
    assert scrape.value("partnercenter_api_requests_total", **USAGE, code="503") == 2
    assert scrape.value("partnercenter_api_requests_total", **USAGE, code="200") == 1
    assert scrape.value("partnercenter_api_request_duration_seconds_count", **USAGE) == 3
    asked = bench.simulator.requests.of("usage")
    assert len({request.headers["ms-requestid"] for request in asked}) == 1
    assert len({request.headers["ms-correlationid"] for request in asked}) == 1


def test_auth_up_is_0_when_entra_id_refuses_and_unchanged_when_it_does_not_respond(bench: Bench) -> None:
    assert bench.scrape().value("partnercenter_auth_up") is None
    bench.simulator.faults.add(Fault(kind="status", endpoint="token", status=503, times=4))
    bench.poll()
    assert bench.scrape().value("partnercenter_auth_up") is None
    bench.poll()
    assert bench.scrape().value("partnercenter_auth_up", partner="contoso") == 1
    bench.clock.advance(3_600)
    bench.simulator.faults.add(Fault(kind="entra_error", endpoint="token", code=50173, times=1))
    bench.poll()
    scrape = bench.scrape()
    assert scrape.value("partnercenter_auth_up") == 0
    assert scrape.value("partnercenter_auth_failures_total", partner="contoso", error="invalid_grant") == 1
    assert scrape.value("partnercenter_auth_refresh_token_expiry_timestamp_seconds") is None


def test_an_error_in_an_answer_s_content_names_the_request_that_it_came_with(bench: Bench) -> None:
    bench.simulator.faults.add(Fault(kind="html", endpoint="usage", times=1))
    failure = bench.poll().failure
    [asked] = bench.simulator.requests.of("usage")
    assert failure is not None
    assert failure.correlation_id == asked.headers["ms-correlationid"]
    assert failure.request_id == asked.headers["ms-requestid"]
    [entry] = bench.log.of("poll failed")
    assert (entry["endpoint"], entry["status"]) == (asked.path, 200)


@pytest.mark.parametrize("text", ["\ud800", "a\x00b\r\nlevel=error", "x" * 5_000, "\N{RIGHT-TO-LEFT OVERRIDE}"])
def test_odd_upstream_text_breaks_neither_state_nor_log(bench: Bench, text: str) -> None:
    bench.simulator.faults.add(Fault(kind="status", endpoint="usage", status=403, text=text, times=1))
    failure = bench.poll().failure
    assert failure is not None
    assert failure.reason == "forbidden"
    assert failure.message.isprintable()
    assert len(failure.message) < 500
    assert bench.restarted().poller.status.failure == failure
    assert len(bench.log.of("poll failed")) == 1


def test_odd_label_values_are_shown_and_remembered(bench: Bench) -> None:
    odd = ["\ud800", 'quote " backslash \\ line\nfeed', "\x00\r", "ü" * 1_000, "a{b}c=~,"]
    bench.simulator.faults.add(
        Fault(kind="rows", endpoint="usage", rows=[ROW | {"workloadName": name} for name in odd])
    )
    bench.poll()
    shown = {dict(labels)["workload"] for labels in bench.scrape().select("partnercenter_license_usage_ratio")}
    assert shown == {"\N{REPLACEMENT CHARACTER}", *odd[1:]}
    assert bench.restarted().scrape().data == bench.scrape().data


@pytest.mark.parametrize("fault", [None, Fault(kind="status", endpoint="usage", times=9, status=500)])
def test_a_poll_is_counted_before_its_status_shows_that_it_ended(bench: Bench, fault: Fault | None) -> None:
    in_progress = []
    observe = bench.metrics.observe_poll

    def noting(*args: Any, **kwargs: Any) -> None:
        in_progress.append(bench.poller.status.in_progress)
        observe(*args, **kwargs)

    bench.metrics.observe_poll = noting  # type: ignore[method-assign]
    if fault is not None:
        bench.simulator.faults.add(fault)
    assert bench.poll().in_progress is False
    assert in_progress == [True]
