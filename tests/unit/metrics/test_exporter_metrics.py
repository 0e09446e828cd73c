"""The exporter's own metrics: complete, none beside the catalogue, counters from 0."""

from collections.abc import Callable, Sequence
from dataclasses import replace

import pytest
from prometheus_client import Metric as Family

from exporter import __version__
from exporter.errors import Reason
from exporter.messages import line
from exporter.metrics import catalogue
from exporter.metrics.exporter_metrics import ExporterMetrics, SignIns
from exporter.model.rows import Api, DropReason, SourceName
from exporter.model.status import Failure, PollStatus, SignInStatus
from tests.fixtures.exposition import read_openmetrics, read_text

POLLED = PollStatus(
    "contoso",
    SourceName.USAGE,
    Api.LEGACY,
    3_600.0,
    up=True,
    last_poll_at=100.0,
    last_success_at=101.0,
    next_poll_at=3_700.0,
    last_duration_seconds=1.5,
    rows=0,
    max_series=9,
)
NOT_POLLED = PollStatus("fabrikam", SourceName.USAGE, Api.LEGACY, 60.0, next_poll_at=5.0)
SIGNED_IN = SignInStatus(
    "contoso",
    up=True,
    account=line("a@b.c"),
    token_issued_at=50.0,
    token_expires_at=60.0,
    credential_expires_at=70.0,
    mfa_compliant=True,
)


def exporter_metrics(*statuses: PollStatus, sign_ins: SignIns = (), state_writable: bool = True) -> ExporterMetrics:
    metrics = ExporterMetrics(revision="abc")
    metrics.follow(
        polls=lambda: statuses,
        sign_ins=lambda: sign_ins,
        state_writable=lambda: state_writable,
        clock_offset=lambda: 0.5,
    )
    return metrics


@pytest.fixture
def metrics() -> ExporterMetrics:
    """Own metrics with a value for each metric that there is."""
    metrics = exporter_metrics(POLLED, sign_ins=[(SIGNED_IN, {"invalid_grant": 2}, {"200": 1})])
    metrics.begin("contoso", SourceName.USAGE)
    metrics.observe_request("contoso", SourceName.USAGE, code="200", duration_seconds=0.3)
    metrics.observe_reload(at=42.0)
    return metrics


def families(metrics: ExporterMetrics) -> dict[str, Family]:
    return {family.name: family for family in read_text(metrics.text().decode())}


def value(metrics: ExporterMetrics, name: str, **labels: str) -> float | None:
    """Return one sample; None where there is none, whatever its other labels."""
    found = [
        sample.value
        for family in families(metrics).values()
        for sample in family.samples
        if sample.name == name and labels.items() <= sample.labels.items()
    ]
    return found[0] if found else None


def test_every_own_metric_appears_with_its_kind_its_help_and_its_labels(metrics: ExporterMetrics) -> None:
    shown = families(metrics)
    for metric in catalogue.EXPORTER:
        family = shown[metric.name.removesuffix("_total")]
        assert (family.type, family.documentation) == (str(metric.kind), metric.help)
        assert {frozenset(s.labels) - {"le"} for s in family.samples} == {frozenset(metric.labels)}


def test_nothing_appears_that_is_not_in_the_catalogue_but_process_and_python_info(metrics: ExporterMetrics) -> None:
    known = {metric.name.removesuffix("_total") for metric in catalogue.EXPORTER}
    foreign = families(metrics).keys() - known
    assert "python_info" in foreign
    assert "process_resident_memory_bytes" in foreign
    assert all(name == "python_info" or name.startswith("process_") for name in foreign)


def test_there_are_no_created_series_in_either_format(metrics: ExporterMetrics) -> None:
    assert b"_created" not in metrics.text()
    assert b"_created" not in metrics.openmetrics()


def test_both_formats_have_the_same_samples(metrics: ExporterMetrics) -> None:
    def steady(families: Sequence[Family]) -> list[tuple[str, object, float]]:
        samples = [s for family in families for s in family.samples if not s.name.startswith("process_")]
        return sorted(((s.name, tuple(sorted(s.labels.items())), s.value) for s in samples), key=str)

    openmetrics = metrics.openmetrics().decode()
    assert openmetrics.endswith("# EOF\n")
    assert steady(list(read_openmetrics(openmetrics))) == steady(list(read_text(metrics.text().decode())))


def test_counters_whose_labels_are_known_begin_at_zero() -> None:
    metrics = exporter_metrics()
    metrics.begin("contoso", SourceName.USAGE)
    labels = {"partner": "contoso", "source": "usage"}
    assert value(metrics, "partnercenter_polls_total", **labels) == 0
    assert value(metrics, "partnercenter_poll_thread_restarts_total", **labels) == 0
    assert value(metrics, "partnercenter_api_request_duration_seconds_count", **labels) == 0
    for reason in Reason:
        assert value(metrics, "partnercenter_poll_failures_total", reason=reason, **labels) == 0
    for drop_reason in DropReason:
        assert value(metrics, "partnercenter_rows_dropped_total", reason=drop_reason, **labels) == 0
    for code in catalogue.USUAL_CODES:
        assert value(metrics, "partnercenter_api_requests_total", code=code, **labels) == 0


def test_requests_to_entra_id_are_counted_by_status_from_zero() -> None:
    metrics = exporter_metrics(sign_ins=[(SignInStatus("contoso"), {}, {"200": 2, "418": 1})])
    requests = {
        s.labels["code"]: s.value
        for s in families(metrics)["partnercenter_auth_requests"].samples
        if s.labels["partner"] == "contoso"
    }
    assert requests == dict.fromkeys(catalogue.USUAL_CODES, 0) | {"200": 2, "418": 1}


def test_beginning_twice_keeps_what_was_counted() -> None:
    metrics = exporter_metrics()
    metrics.begin("contoso", SourceName.USAGE)
    metrics.observe_poll("contoso", SourceName.USAGE, failure=None)
    metrics.begin("contoso", SourceName.USAGE)
    assert value(metrics, "partnercenter_polls_total") == 1


def test_polls_and_their_failures_are_counted_by_reason() -> None:
    metrics = exporter_metrics()
    metrics.begin("contoso", SourceName.USAGE)
    for failure in (None, "mfa", "mfa", "timeout"):
        metrics.observe_poll("contoso", SourceName.USAGE, failure=failure)
    assert value(metrics, "partnercenter_polls_total") == 4
    assert value(metrics, "partnercenter_poll_failures_total", reason="mfa") == 2
    assert value(metrics, "partnercenter_poll_failures_total", reason="timeout") == 1
    assert value(metrics, "partnercenter_poll_failures_total", reason="auth") == 0


def test_dropped_rows_are_counted_by_reason() -> None:
    metrics = exporter_metrics()
    metrics.observe_dropped("contoso", SourceName.USAGE, {DropReason.INVALID: 3, DropReason.LIMIT: 0})
    metrics.observe_dropped("contoso", SourceName.USAGE, {DropReason.INVALID: 2})
    assert value(metrics, "partnercenter_rows_dropped_total", reason="invalid") == 5


def test_requests_are_counted_by_status_and_timed() -> None:
    metrics = exporter_metrics()
    metrics.observe_request("contoso", SourceName.USAGE, code="200", duration_seconds=0.2)
    metrics.observe_request("contoso", SourceName.USAGE, code="error", duration_seconds=59.0)
    assert value(metrics, "partnercenter_api_requests_total", code="200") == 1
    assert value(metrics, "partnercenter_api_requests_total", code="error") == 1
    assert value(metrics, "partnercenter_api_request_duration_seconds_bucket", le="0.25") == 1
    assert value(metrics, "partnercenter_api_request_duration_seconds_bucket", le="60.0") == 2
    assert value(metrics, "partnercenter_api_request_duration_seconds_sum") == pytest.approx(59.2)


def test_a_restarted_thread_is_counted() -> None:
    metrics = exporter_metrics()
    metrics.observe_restart("contoso", SourceName.USAGE)
    assert value(metrics, "partnercenter_poll_thread_restarts_total", partner="contoso") == 1


def test_a_source_that_is_gone_takes_all_its_counters_and_none_of_another() -> None:
    metrics = exporter_metrics()
    gone, kept = ("contoso", SourceName.USAGE), [("contoso", SourceName.DEPLOYMENT), ("fabrikam", SourceName.USAGE)]
    for partner, source in (gone, *kept):
        metrics.begin(partner, source)
        metrics.observe_request(partner, source, code="200", duration_seconds=0.1)
    metrics.forget(*gone)
    left = {
        (s.labels["partner"], s.labels["source"])
        for family in families(metrics).values()
        for s in family.samples
        if "source" in s.labels
    }
    assert left == {("contoso", "deployment"), ("fabrikam", "usage")}


def test_a_poll_that_ends_after_its_source_is_gone_brings_no_counter_back() -> None:
    metrics = exporter_metrics()
    metrics.begin("contoso", SourceName.USAGE)
    metrics.forget("contoso", SourceName.USAGE)
    metrics.observe_request("contoso", SourceName.USAGE, code="200", duration_seconds=0.1)
    metrics.observe_poll("contoso", SourceName.USAGE, failure="mfa")
    metrics.observe_dropped("contoso", SourceName.USAGE, {DropReason.INVALID: 1})
    assert not [s for family in families(metrics).values() for s in family.samples if "source" in s.labels]
    metrics.begin("contoso", SourceName.USAGE)
    assert value(metrics, "partnercenter_polls_total") == 0
    assert value(metrics, "partnercenter_poll_failures_total", reason="mfa") == 0


def test_the_gauges_show_the_state_of_a_source() -> None:
    metrics = exporter_metrics(POLLED)
    for name, wanted in {
        "partnercenter_up": 1.0,
        "partnercenter_last_poll_timestamp_seconds": 100.0,
        "partnercenter_last_success_timestamp_seconds": 101.0,
        "partnercenter_next_poll_timestamp_seconds": 3_700.0,
        "partnercenter_last_poll_duration_seconds": 1.5,
        "partnercenter_poll_interval_seconds": 3_600.0,
        "partnercenter_rows": 0.0,
        "partnercenter_max_series": 9.0,
        "partnercenter_poll_in_progress": 0.0,
        "partnercenter_data_withdrawn": 0.0,
    }.items():
        assert value(metrics, name, partner="contoso", source="usage") == wanted
    assert value(metrics, "partnercenter_source_info", api="legacy") == 1


def test_a_poll_in_progress_and_withdrawn_data_are_shown() -> None:
    metrics = exporter_metrics(POLLED.started(at=200.0).withdrawn())
    assert value(metrics, "partnercenter_poll_in_progress", partner="contoso", source="usage") == 1
    assert value(metrics, "partnercenter_data_withdrawn", partner="contoso", source="usage") == 1
    for ended in (
        POLLED.started(at=200.0).succeeded(at=201.0, rows=1, duration_seconds=1.0),
        POLLED.started(at=200.0).failed(Failure("timeout", line("slow")), duration_seconds=1.0),
    ):
        assert value(exporter_metrics(ended), "partnercenter_poll_in_progress") == 0


def test_what_is_not_known_before_the_first_poll_is_absent() -> None:
    metrics = exporter_metrics(NOT_POLLED, sign_ins=[(SignInStatus("fabrikam"), {}, {})])
    shown = {sample.name for family in families(metrics).values() for sample in family.samples}
    assert "partnercenter_next_poll_timestamp_seconds" in shown
    assert not shown & {
        "partnercenter_up",
        "partnercenter_last_poll_timestamp_seconds",
        "partnercenter_last_success_timestamp_seconds",
        "partnercenter_last_poll_duration_seconds",
        "partnercenter_rows",
        "partnercenter_auth_up",
        "partnercenter_auth_failures_total",
        "partnercenter_auth_refresh_token_issued_timestamp_seconds",
        "partnercenter_auth_refresh_token_expiry_timestamp_seconds",
        "partnercenter_auth_client_credential_expiry_timestamp_seconds",
    }


@pytest.mark.parametrize(("up", "shown"), [(True, 1.0), (False, 0.0)])
def test_a_state_that_is_known_is_one_or_zero(*, up: bool, shown: float) -> None:
    metrics = exporter_metrics(
        PollStatus("contoso", SourceName.USAGE, Api.LEGACY, 60.0, up=up),
        sign_ins=[(SignInStatus("contoso", up=up), {}, {})],
        state_writable=up,
    )
    for name in ("partnercenter_up", "partnercenter_auth_up", "partnercenter_state_writable"):
        assert value(metrics, name) == shown


def test_the_sign_in_shows_its_dates_and_its_failures() -> None:
    metrics = exporter_metrics(sign_ins=[(SIGNED_IN, {"invalid_grant": 2, "other": 1}, {})])
    assert value(metrics, "partnercenter_auth_refresh_token_issued_timestamp_seconds") == 50.0
    assert value(metrics, "partnercenter_auth_refresh_token_expiry_timestamp_seconds") == 60.0
    assert value(metrics, "partnercenter_auth_client_credential_expiry_timestamp_seconds") == 70.0
    assert value(metrics, "partnercenter_auth_failures_total", error="invalid_grant") == 2
    assert value(metrics, "partnercenter_auth_failures_total", error="other") == 1


def test_a_failed_reload_keeps_the_time_of_the_last_good_one() -> None:
    metrics = exporter_metrics()
    metrics.observe_reload(at=42.0)
    metrics.observe_reload(at=None)
    assert value(metrics, "partnercenter_config_last_reload_successful") == 0
    assert value(metrics, "partnercenter_config_last_reload_success_timestamp_seconds") == 42.0
    metrics.observe_reload(at=43.0)
    assert value(metrics, "partnercenter_config_last_reload_successful") == 1
    assert value(metrics, "partnercenter_config_last_reload_success_timestamp_seconds") == 43.0


@pytest.mark.parametrize("read", [True, False])
def test_whether_the_web_configuration_is_in_use_is_shown(*, read: bool) -> None:
    metrics = ExporterMetrics(revision="abc")
    metrics.follow(polls=tuple, sign_ins=tuple, state_writable=lambda: True, web_config_read=lambda: read)
    assert value(metrics, "partnercenter_web_config_last_reload_successful") == read


def test_without_a_web_configuration_nothing_is_refused() -> None:
    assert value(exporter_metrics(), "partnercenter_web_config_last_reload_successful") == 1


def test_lost_log_lines_are_counted_from_0() -> None:
    assert value(exporter_metrics(), "partnercenter_log_lines_dropped_total") == 0
    metrics = ExporterMetrics(revision="abc")
    metrics.follow(polls=tuple, sign_ins=tuple, state_writable=lambda: True, log_lines_dropped=lambda: 7)
    assert value(metrics, "partnercenter_log_lines_dropped_total") == 7


@pytest.mark.parametrize("offset", [None, -86_400.0, 0.0, 10_800.0])
def test_the_clock_s_offset_is_shown_once_it_is_known(offset: float | None) -> None:
    metrics = ExporterMetrics(revision="abc")
    metrics.follow(polls=tuple, sign_ins=tuple, state_writable=lambda: True, clock_offset=lambda: offset)
    assert value(metrics, "partnercenter_clock_offset_seconds") == offset


def test_the_build_says_version_revision_branch_and_python() -> None:
    metrics = exporter_metrics()
    assert value(metrics, "partnercenter_exporter_build_info", version=__version__, revision="abc") == 1
    assert value(metrics, "partnercenter_exporter_build_info", branch="unknown") == 1
    built = ExporterMetrics(revision="abc", branch="release-1")
    built.follow(polls=tuple, sign_ins=tuple, state_writable=lambda: True)
    assert value(built, "partnercenter_exporter_build_info", revision="abc", branch="release-1") == 1
    assert metrics.build[:2] == (__version__, "abc")


def test_no_sample_has_a_timestamp(metrics: ExporterMetrics) -> None:
    assert all(s.timestamp is None for family in families(metrics).values() for s in family.samples)


def test_each_change_between_two_scrapes_is_in_the_second_and_nothing_else_is_rendered_again() -> None:
    statuses, failures, writable, web_read, lost = [POLLED], {"invalid_grant": 1}, [True], [True], ["a line"]
    offsets, requests = [0.5], {"200": 1}
    metrics = ExporterMetrics(revision="abc")
    metrics.follow(
        polls=lambda: statuses,
        sign_ins=lambda: [(SIGNED_IN, failures, requests)],
        state_writable=lambda: bool(writable),
        web_config_read=lambda: bool(web_read),
        log_lines_dropped=lambda: len(lost),
        clock_offset=lambda: offsets[-1],
    )
    changes: tuple[Callable[[], object], ...] = (
        lambda: metrics.begin("contoso", SourceName.USAGE),
        lambda: metrics.observe_request("contoso", SourceName.USAGE, code="200", duration_seconds=0.1),
        lambda: metrics.observe_poll("contoso", SourceName.USAGE, failure=None),
        lambda: metrics.observe_poll("contoso", SourceName.USAGE, failure="auth"),
        lambda: metrics.observe_dropped("contoso", SourceName.USAGE, {DropReason.LIMIT: 3}),
        lambda: metrics.observe_restart("contoso", SourceName.USAGE),
        lambda: metrics.observe_reload(at=77.0),
        lambda: metrics.forget("contoso", SourceName.USAGE),
        lambda: statuses.append(NOT_POLLED),
        lambda: failures.update(invalid_grant=2),
        lambda: requests.update({"503": 1}),
        writable.clear,
        web_read.clear,
        lambda: lost.append("another"),
        lambda: offsets.append(1.5),
    )

    def ours() -> tuple[list[str], list[str]]:
        texts = (metrics.text().decode(), metrics.openmetrics().decode())
        return tuple([line for line in text.splitlines() if "partnercenter" in line] for text in texts)  # type: ignore[return-value]  # two of them

    for change in changes:
        before = ours()
        assert ours() == before
        change()
        now = ours()
        assert now[0] != before[0]
        assert now[1] != before[1]
    assert metrics.openmetrics().endswith(b"# EOF\n")
    assert metrics.openmetrics().count(b"# EOF") == 1


def test_a_page_that_shows_how_a_poll_ended_has_counted_it() -> None:
    metrics = ExporterMetrics(revision="abc")
    metrics.begin("contoso", SourceName.USAGE)
    ended = 0

    def one_more_ended() -> list[PollStatus]:
        nonlocal ended
        ended += 1
        metrics.observe_poll("contoso", SourceName.USAGE, failure=Reason.MFA)
        return [replace(POLLED, rows=ended)]

    metrics.follow(polls=one_more_ended, sign_ins=tuple, state_writable=lambda: True)
    for _ in range(3):
        page = {family.name: family for family in read_text(metrics.text().decode())}
        [shown] = page["partnercenter_rows"].samples
        [counted] = page["partnercenter_polls"].samples
        assert counted.value >= shown.value > 0
