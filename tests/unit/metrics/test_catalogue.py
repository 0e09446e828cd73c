"""The catalogue is the public contract: names, kinds and labels are spelled out here once more."""

import re

import pytest

from exporter.errors import Reason
from exporter.metrics import catalogue
from exporter.metrics.catalogue import DATA, EXPORTER, Kind, Metric
from exporter.model.rows import DropReason

USAGE = ("partner", "workload", "service", "channel")
DEPLOYMENT = ("partner", "service", "channel")
SOURCE = ("partner", "source")
PARTNER = ("partner",)

DATA_CONTRACT = {
    "partnercenter_license_usage_ratio": USAGE,
    "partnercenter_license_usage_processed_timestamp_seconds": USAGE,
    "partnercenter_license_usage_target_ratio": USAGE,
    "partnercenter_customer_usage_target_ratio": (*USAGE, "customer_id"),
    "partnercenter_licenses_active": USAGE,
    "partnercenter_licenses_qualified": USAGE,
    "partnercenter_license_deployment_ratio": DEPLOYMENT,
    "partnercenter_licenses_sold": DEPLOYMENT,
    "partnercenter_licenses_deployed": DEPLOYMENT,
    "partnercenter_license_deployment_processed_timestamp_seconds": DEPLOYMENT,
    "partnercenter_customer_info": ("partner", "customer_id", "customer_name"),
    "partnercenter_product_info": ("partner", "product_id", "product_name"),
}
COUNTS = {
    "partnercenter_licenses_active",
    "partnercenter_licenses_qualified",
    "partnercenter_licenses_sold",
    "partnercenter_licenses_deployed",
}
EXPORTER_CONTRACT = {
    "partnercenter_up": ("gauge", SOURCE),
    "partnercenter_last_poll_timestamp_seconds": ("gauge", SOURCE),
    "partnercenter_last_success_timestamp_seconds": ("gauge", SOURCE),
    "partnercenter_next_poll_timestamp_seconds": ("gauge", SOURCE),
    "partnercenter_last_poll_duration_seconds": ("gauge", SOURCE),
    "partnercenter_poll_interval_seconds": ("gauge", SOURCE),
    "partnercenter_poll_in_progress": ("gauge", SOURCE),
    "partnercenter_max_series": ("gauge", SOURCE),
    "partnercenter_data_withdrawn": ("gauge", SOURCE),
    "partnercenter_source_info": ("gauge", (*SOURCE, "api")),
    "partnercenter_data_stale_after_seconds": ("gauge", SOURCE),
    "partnercenter_polls_total": ("counter", SOURCE),
    "partnercenter_poll_failures_total": ("counter", (*SOURCE, "reason")),
    "partnercenter_rows": ("gauge", SOURCE),
    "partnercenter_rows_dropped_total": ("counter", (*SOURCE, "reason")),
    "partnercenter_api_requests_total": ("counter", (*SOURCE, "code")),
    "partnercenter_api_request_duration_seconds": ("histogram", SOURCE),
    "partnercenter_auth_up": ("gauge", PARTNER),
    "partnercenter_auth_requests_total": ("counter", (*PARTNER, "code")),
    "partnercenter_auth_failures_total": ("counter", (*PARTNER, "error")),
    "partnercenter_auth_refresh_token_issued_timestamp_seconds": ("gauge", PARTNER),
    "partnercenter_auth_refresh_token_expiry_timestamp_seconds": ("gauge", PARTNER),
    "partnercenter_auth_client_credential_expiry_timestamp_seconds": ("gauge", PARTNER),
    "partnercenter_auth_mfa_compliant": ("gauge", PARTNER),
    "partnercenter_poll_thread_restarts_total": ("counter", SOURCE),
    "partnercenter_state_writable": ("gauge", ()),
    "partnercenter_clock_offset_seconds": ("gauge", ()),
    "partnercenter_config_last_reload_successful": ("gauge", ()),
    "partnercenter_config_last_reload_success_timestamp_seconds": ("gauge", ()),
    "partnercenter_web_config_last_reload_successful": ("gauge", ()),
    "partnercenter_log_lines_dropped_total": ("counter", ()),
    "partnercenter_exporter_build_info": ("gauge", ("version", "revision", "branch", "pythonversion")),
    "promhttp_metric_handler_requests_total": ("counter", ("code",)),
    "promhttp_metric_handler_requests_in_flight": ("gauge", ()),
}


def test_the_data_metrics_are_those_of_the_contract() -> None:
    assert {metric.name: metric.labels for metric in DATA} == DATA_CONTRACT


def test_the_counts_and_only_they_carry_the_detail_labels() -> None:
    detail = {metric.name: metric.detail_labels for metric in (*DATA, *EXPORTER) if metric.detail_labels}
    assert detail == dict.fromkeys(COUNTS, ("customer_id", "product_id"))


def test_the_own_metrics_are_those_of_the_contract() -> None:
    assert {metric.name: (str(metric.kind), metric.labels) for metric in EXPORTER} == EXPORTER_CONTRACT


def test_every_metric_of_the_module_is_in_one_of_the_two_lists_once() -> None:
    defined = [value for value in vars(catalogue).values() if isinstance(value, Metric)]
    assert sorted(m.name for m in defined) == sorted(m.name for m in (*DATA, *EXPORTER))


def test_the_values_of_the_label_reason_are_those_of_the_contract() -> None:
    assert set(Reason) == {
        "auth",
        "mfa",
        "forbidden",
        "not_found",
        "rejected",
        "throttled",
        "unavailable",
        "timeout",
        "network",
        "payload",
        "internal",
    }
    assert set(DropReason) == {"invalid", "duplicate", "limit", "no_value"}


def test_request_durations_are_measured_up_to_a_minute() -> None:
    buckets = catalogue.DURATION_BUCKETS_SECONDS
    assert list(buckets) == sorted(set(buckets))
    assert buckets[-1] == 60.0


def test_data_families_are_gauges_since_only_they_read_alike_in_both_formats() -> None:
    assert {metric.kind for metric in DATA} == {Kind.GAUGE}


@pytest.mark.parametrize("metric", [*DATA, *EXPORTER], ids=lambda metric: metric.name)
def test_every_metric_has_a_name_and_help_as_prometheus_recommends(metric: Metric) -> None:
    assert re.fullmatch(r"(partnercenter|promhttp_metric_handler)_[a-z][a-z0-9_]*", metric.name)
    assert all(re.fullmatch(r"[a-z][a-z0-9_]*", name) for name in metric.labels)
    assert len(set(metric.labels)) == len(metric.labels)
    # Text format and OpenMetrics escape a double quote differently, and the pre-rendered bytes serve both.
    assert '"' not in metric.help
    assert "\\" not in metric.help
    assert metric.help.isprintable()
    assert metric.help.endswith(".")


@pytest.mark.parametrize("metric", [*DATA, *EXPORTER], ids=lambda metric: metric.name)
def test_the_name_ends_with_the_unit_and_the_kind(metric: Metric) -> None:
    assert metric.name.endswith("_total") == (metric.kind is Kind.COUNTER)
    assert not metric.name.endswith(("_percent", "_ms", "_minutes", "_hours", "_days", "_count", "_bucket", "_sum"))
    if "timestamp" in metric.name or "duration" in metric.name or "interval" in metric.name:
        assert metric.name.endswith("_seconds")
