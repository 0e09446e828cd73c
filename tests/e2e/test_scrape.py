"""A scrape of the running exporter: every metric, both formats, gzip, and what Prometheus stores."""

from collections.abc import Iterable, Iterator
from typing import Any

import pytest
import yaml

from exporter.model.rows import SourceName
from tests.e2e.conftest import PUBLISHED_ROWS as PUBLISHED
from tests.e2e.conftest import Serving, lint, program
from tests.integration.exposition import Exposition
from tests.support.process import until
from tests.support.prometheus import Labels, Prometheus, prometheus
from tests.support.rules import ALERTS

USAGE = {"partner", "workload", "service", "channel"}
DEPLOYMENT = {"partner", "service", "channel"}
SOURCE = {"partner", "source"}
JOB = "partnercenter-exporter"
# The public contract: name, type and labels of every family, duplicated here on purpose.
DATA = {
    "partnercenter_license_usage_ratio": USAGE,
    "partnercenter_license_usage_processed_timestamp_seconds": USAGE,
    "partnercenter_license_usage_target_ratio": USAGE,
    "partnercenter_license_deployment_ratio": DEPLOYMENT,
    "partnercenter_licenses_sold": DEPLOYMENT,
    "partnercenter_license_deployment_processed_timestamp_seconds": DEPLOYMENT,
}
GAUGES = {
    **DATA,
    "partnercenter_up": SOURCE,
    "partnercenter_last_poll_timestamp_seconds": SOURCE,
    "partnercenter_last_success_timestamp_seconds": SOURCE,
    "partnercenter_next_poll_timestamp_seconds": SOURCE,
    "partnercenter_last_poll_duration_seconds": SOURCE,
    "partnercenter_poll_interval_seconds": SOURCE,
    "partnercenter_poll_in_progress": SOURCE,
    "partnercenter_max_series": SOURCE,
    "partnercenter_data_withdrawn": SOURCE,
    "partnercenter_source_info": SOURCE | {"api"},
    "partnercenter_data_stale_after_seconds": SOURCE,
    "partnercenter_rows": SOURCE,
    "partnercenter_auth_up": {"partner"},
    "partnercenter_auth_refresh_token_issued_timestamp_seconds": {"partner"},
    "partnercenter_auth_refresh_token_expiry_timestamp_seconds": {"partner"},
    "partnercenter_auth_client_credential_expiry_timestamp_seconds": {"partner"},
    "partnercenter_auth_mfa_compliant": {"partner"},
    "partnercenter_state_writable": set(),
    "partnercenter_clock_offset_seconds": set(),
    "partnercenter_config_last_reload_successful": set(),
    "partnercenter_config_last_reload_success_timestamp_seconds": set(),
    "partnercenter_web_config_last_reload_successful": set(),
    "partnercenter_exporter_build_info": {"version", "revision", "branch", "pythonversion"},
    "promhttp_metric_handler_requests_in_flight": set(),
}
COUNTERS = {
    "partnercenter_polls_total": SOURCE,
    "partnercenter_poll_failures_total": SOURCE | {"reason"},
    "partnercenter_rows_dropped_total": SOURCE | {"reason"},
    "partnercenter_api_requests_total": SOURCE | {"code"},
    "partnercenter_auth_requests_total": {"partner", "code"},
    "partnercenter_auth_failures_total": {"partner", "error"},
    "partnercenter_poll_thread_restarts_total": SOURCE,
    "partnercenter_log_lines_dropped_total": set(),
    "promhttp_metric_handler_requests_total": {"code"},
}
HISTOGRAM = "partnercenter_api_request_duration_seconds"
REASONS = {
    "auth", "mfa", "forbidden", "not_found", "rejected", "throttled",
    "unavailable", "timeout", "network", "payload", "internal",
}  # fmt: skip
OPENMETRICS = "application/openmetrics-text; version=1.0.0"
TEXT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
OPENMETRICS_TYPE = "application/openmetrics-text; version=1.0.0; charset=utf-8"
VOLATILE = ("process_", "promhttp_")


def steady(scrape: Exposition) -> dict[Any, float]:
    """Return every series that two consecutive scrapes have in common."""
    return {series: value for series, value in scrape.samples.items() if not series[0].startswith(VOLATILE)}


def test_every_metric_of_the_contract_is_there_with_its_type_and_labels(serving: Serving) -> None:
    scrape = serving.process.scrape()
    types = {family.name: family.type for family in scrape.families}
    for name, labels in GAUGES.items():
        assert types.get(name) == "gauge", name
        assert {frozenset(dict(series)) for series in scrape.select(name)} == {frozenset(labels)}, name
    for name, labels in COUNTERS.items():
        assert types.get(name.removesuffix("_total")) == "counter", name
        assert {frozenset(dict(series)) for series in scrape.select(name)} == {frozenset(labels)}, name
    assert types.get(HISTOGRAM) == "histogram"
    buckets = {dict(labels)["le"] for labels in scrape.select(f"{HISTOGRAM}_bucket")}
    assert {"60.0", "+Inf"} <= buckets
    for name in ("process_cpu_seconds_total", "process_resident_memory_bytes", "process_open_fds", "python_info"):
        assert scrape.select(name), name


def test_no_metric_is_there_that_the_contract_does_not_name(serving: Serving) -> None:
    scrape = serving.process.scrape()
    ours = {name for prefix in ("partnercenter_", "promhttp_") for name, _ in scrape.named(prefix)}
    parts = {f"{HISTOGRAM}_{part}" for part in ("bucket", "count", "sum")}
    assert ours == {*GAUGES, *COUNTERS, *parts}


def test_every_family_has_a_help_text(serving: Serving) -> None:
    assert not [family.name for family in serving.process.scrape().families if not family.documentation]


def test_counters_with_known_labels_begin_at_0(serving: Serving) -> None:
    scrape = serving.process.scrape()
    for partner in ("contoso", "fabrikam", "initech"):
        for source in SourceName:
            labels = {"partner": partner, "source": source}
            failures = scrape.select("partnercenter_poll_failures_total", **labels)
            assert {dict(series)["reason"] for series in failures} == REASONS
            dropped = scrape.select("partnercenter_rows_dropped_total", **labels)
            assert {dict(series)["reason"] for series in dropped} == {"invalid", "duplicate", "limit", "no_value"}
            assert set(dropped.values()) == {0}
            assert scrape.value("partnercenter_poll_thread_restarts_total", **labels) == 0
    refused = scrape.value("partnercenter_poll_failures_total", partner="initech", source="usage", reason="auth")
    assert refused is not None
    assert refused >= 1
    assert scrape.value("partnercenter_poll_failures_total", partner="contoso", source="usage", reason="auth") == 0


def test_each_partner_has_its_own_figures(serving: Serving) -> None:
    scrape = serving.process.scrape()
    assert set(scrape.select("partnercenter_license_usage_ratio", partner="contoso").values()) == {0.0}
    figures = serving.fabrikam.dataset.usage(serving.fabrikam.time.data_now())
    for figure in figures:
        assert scrape.value(
            "partnercenter_license_usage_ratio",
            partner="fabrikam",
            workload=figure.workload,
            service=figure.service,
            channel=figure.channel,
        ) == pytest.approx(figure.active / figure.qualified)
    for sale in serving.fabrikam.dataset.deployment(serving.fabrikam.time.data_now()):
        labels = {"partner": "fabrikam", "service": sale.service, "channel": sale.channel}
        assert scrape.value("partnercenter_licenses_sold", **labels) == sale.sold
        assert scrape.value("partnercenter_license_deployment_ratio", **labels) == pytest.approx(
            sale.deployed / sale.sold
        )
    assert not scrape.select("partnercenter_license_usage_ratio", partner="initech")
    up = {dict(labels)["partner"]: value for labels, value in scrape.select("partnercenter_auth_up").items()}
    assert up == {"contoso": 1, "fabrikam": 1, "initech": 0}


def test_the_most_specific_target_is_shown_beside_each_usage_series(serving: Serving) -> None:
    scrape = serving.process.scrape()
    targets = scrape.select("partnercenter_license_usage_target_ratio")
    assert set(targets) == set(scrape.select("partnercenter_license_usage_ratio"))
    for labels, target in targets.items():
        assert target == (0.8 if ("workload", "Exchange") in labels else 0.5)


def test_known_times_are_shown(serving: Serving) -> None:
    scrape = serving.process.scrape()
    issued = scrape.value("partnercenter_auth_refresh_token_issued_timestamp_seconds", partner="contoso")
    expiry = scrape.value("partnercenter_auth_refresh_token_expiry_timestamp_seconds", partner="contoso")
    assert issued is not None
    assert expiry == issued + 90 * 86_400
    credential = "partnercenter_auth_client_credential_expiry_timestamp_seconds"
    assert scrape.value(credential, partner="contoso") == 1_809_129_600  # 2027-05-01
    assert scrape.value(credential, partner="fabrikam") is None
    assert set(scrape.select("partnercenter_poll_interval_seconds").values()) == {3_600}
    apis = {dict(labels)["api"] for labels in scrape.select("partnercenter_source_info")}
    assert apis == {"legacy"}


def test_both_formats_have_the_same_samples(serving: Serving) -> None:
    text = serving.process.ask(Accept="text/plain")
    openmetrics = serving.process.ask(Accept=OPENMETRICS)
    assert text.headers["content-type"] == TEXT_TYPE
    assert openmetrics.headers["content-type"] == OPENMETRICS_TYPE
    assert openmetrics.text.endswith("# EOF\n")
    assert "# EOF" not in text.text
    assert steady(Exposition(text.text)) == steady(Exposition(openmetrics.text, openmetrics=True))


@pytest.mark.parametrize("accept", ["text/plain", OPENMETRICS])
def test_gzip_contains_the_same_bytes(serving: Serving, accept: str) -> None:
    plain = serving.process.ask(Accept=accept, Accept_Encoding="identity")
    gzipped = serving.process.ask(Accept=accept, Accept_Encoding="gzip")
    assert "content-encoding" not in plain.headers
    assert gzipped.headers["content-encoding"] == "gzip"
    assert int(gzipped.headers["content-length"]) < int(plain.headers["content-length"]) / 2
    openmetrics = accept == OPENMETRICS
    assert steady(Exposition(plain.text, openmetrics=openmetrics)) == steady(
        Exposition(gzipped.text, openmetrics=openmetrics)
    )
    data = plain.content[: plain.content.index(b"# HELP partnercenter_polls")]
    assert gzipped.content.startswith(data)


def test_a_scrape_never_asks_the_upstream(serving: Serving) -> None:
    asked = serving.contoso.requests.count(), serving.fabrikam.requests.count()
    for _ in range(3):
        serving.process.scrape()
    assert (serving.contoso.requests.count(), serving.fabrikam.requests.count()) == asked


def test_promtool_finds_no_problem_in_a_live_scrape(serving: Serving) -> None:
    checked = lint(serving.process.ask().text)
    assert (checked.returncode, checked.stdout, checked.stderr) == (0, "", "")


@pytest.fixture(scope="module")
def stored(serving: Serving, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Prometheus]:
    """A Prometheus with the exporter as its target twice: as documented, and by a job that forgot honor_labels."""
    folder = tmp_path_factory.mktemp("prometheus")
    target = serving.process.url.removeprefix("http://")
    # Kubernetes attaches a label of this name to its targets.
    static = {"static_configs": [{"targets": [target], "labels": {"service": "monitoring"}}]}
    jobs = [{"job_name": JOB, "honor_labels": True, **static}, {"job_name": "forgetful", **static}]
    file = folder / "prometheus.yml"
    file.write_text(yaml.safe_dump({"global": {"scrape_interval": "1s"}, "scrape_configs": jobs}))
    with prometheus(program("prometheus"), file, folder / "data") as started:
        until(lambda: len(started.newest("up == 1")) == len(jobs))
        yield started


def values_of(series: Iterable[Labels], *names: str) -> set[tuple[str, ...]]:
    """Return the values of these labels in each of the series."""
    return {tuple(dict(labels)[name] for name in names) for labels in series}


def test_prometheus_stores_our_own_labels_even_where_the_target_has_one_of_the_same_name(stored: Prometheus) -> None:
    series = stored.newest(f'partnercenter_license_usage_ratio{{job="{JOB}",partner="contoso"}}')
    assert values_of(series, "workload", "service") == {(row["workloadName"], row["serviceName"]) for row in PUBLISHED}
    assert not [labels for labels in series if "exported_service" in dict(labels)]
    assert set(series.values()) == {0}
    assert len(stored.newest(f'partnercenter_license_usage_ratio{{job="{JOB}",partner="fabrikam"}}')) == 24


def test_a_job_without_honor_labels_triggers_the_alert_about_it(serving: Serving, stored: Prometheus) -> None:
    [clash] = [alert for alert in ALERTS if alert.name == "PartnerCenterLabelsClash"]
    found = stored.newest(clash.expr)
    assert values_of(found, "job", "instance") == {("forgetful", serving.process.url.removeprefix("http://"))}


def test_prometheus_answers_the_questions_that_the_metrics_are_for(stored: Prometheus) -> None:
    below = stored.newest("partnercenter_license_usage_ratio < partnercenter_license_usage_target_ratio")
    assert values_of(below, "partner") == {("contoso",), ("fabrikam",)}
    assert list(stored.newest("max by (partner) (partnercenter_up) == 0")) == [frozenset({("partner", "initech")})]
    used = stored.newest(
        "sum by (service) (partnercenter_license_deployment_ratio * partnercenter_licenses_sold"
        f' and partnercenter_licenses_sold{{job="{JOB}",partner="fabrikam"}})'
    )
    assert values_of(used, "service") == {("o365",), ("crm",), ("ems",)}
