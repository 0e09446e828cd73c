"""Every metric, once: name, type, labels and HELP, and which row feeds it. Docs and tests read this too.

HELP texts contain no double quote: the text format and OpenMetrics escape it differently, and the same bytes
serve both.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import assert_never

from exporter.model.rows import DeploymentRow, Dimension, Row, SourceName, UsageRow


class Kind(StrEnum):
    """The metric's type in the exposition."""

    GAUGE = "gauge"
    COUNTER = "counter"
    HISTOGRAM = "histogram"


@dataclass(frozen=True, slots=True)
class Metric:
    """One metric family; a counter's name ends with `_total`, as its samples' names do.

    `detail_labels` are those that `detail` in the configuration can add after the others.
    """

    name: str
    help: str
    labels: tuple[str, ...] = ()
    kind: Kind = Kind.GAUGE
    detail_labels: tuple[str, ...] = ()


_DAILY = (
    "Microsoft updates this data about once a day and asks clients not to poll continuously, "
    "so it is cached between polls."
)


def _per_partner(name: str, text: str, *labels: str, kind: Kind = Kind.GAUGE) -> Metric:
    return Metric(name, text, ("partner", *labels), kind)


def _per_source(name: str, text: str, *labels: str, kind: Kind = Kind.GAUGE) -> Metric:
    return _per_partner(name, text, "source", *labels, kind=kind)


def _of_rows(row: type[Row], name: str, text: str) -> Metric:
    return _per_partner(name, text, *row.LABELS)


def _of_licences(row: type[Row], name: str, text: str) -> Metric:
    return replace(_of_rows(row, name, text), detail_labels=tuple(dimension.label for dimension in Dimension))


USAGE_RATIO = _of_rows(
    UsageRow,
    "partnercenter_license_usage_ratio",
    f"Ratio of active to qualified licences by workload, 0 to 1. {_DAILY}",
)
USAGE_PROCESSED = _of_rows(
    UsageRow,
    "partnercenter_license_usage_processed_timestamp_seconds",
    "When Microsoft processed the usage data of this series, as a Unix timestamp.",
)
USAGE_TARGET = _of_rows(
    UsageRow,
    "partnercenter_license_usage_target_ratio",
    "Configured target for the usage ratio of this series, 0 to 1.",
)
CUSTOMER_TARGET = _per_partner(
    "partnercenter_customer_usage_target_ratio",
    "Configured target for the ratio of this customer's active to qualified licences, 0 to 1. Only for customers that "
    "a target names: for the others, partnercenter_license_usage_target_ratio holds.",
    *UsageRow.LABELS,
    Dimension.CUSTOMER.label,
)
LICENSES_ACTIVE = _of_licences(
    UsageRow, "partnercenter_licenses_active", f"Licences in use by workload. Not from the legacy API. {_DAILY}"
)
LICENSES_QUALIFIED = _of_licences(
    UsageRow,
    "partnercenter_licenses_qualified",
    f"Licences that qualify for use by workload. Not from the legacy API. {_DAILY}",
)
DEPLOYMENT_RATIO = _of_rows(
    DeploymentRow,
    "partnercenter_license_deployment_ratio",
    f"Ratio of deployed to sold licences by service, 0 to 1. {_DAILY}",
)
LICENSES_SOLD = _of_licences(DeploymentRow, "partnercenter_licenses_sold", f"Licences sold by service. {_DAILY}")
LICENSES_DEPLOYED = _of_licences(
    DeploymentRow, "partnercenter_licenses_deployed", f"Licences deployed by service. Not from the legacy API. {_DAILY}"
)
DEPLOYMENT_PROCESSED = _of_rows(
    DeploymentRow,
    "partnercenter_license_deployment_processed_timestamp_seconds",
    "When Microsoft processed the deployment data of this series, as a Unix timestamp.",
)
CUSTOMER_INFO = _per_partner(
    "partnercenter_customer_info",
    "Latest name of each customer. Always 1. Requires customer in the detail setting.",
    "customer_id",
    "customer_name",
)
PRODUCT_INFO = _per_partner(
    "partnercenter_product_info",
    "Latest name of each product. Always 1. Requires product in the detail setting.",
    "product_id",
    "product_name",
)

DATA = (
    USAGE_RATIO, USAGE_PROCESSED, USAGE_TARGET, CUSTOMER_TARGET, LICENSES_ACTIVE, LICENSES_QUALIFIED,
    DEPLOYMENT_RATIO, LICENSES_SOLD, LICENSES_DEPLOYED, DEPLOYMENT_PROCESSED, CUSTOMER_INFO, PRODUCT_INFO,
)  # fmt: skip


def values_of(row: Row) -> Iterator[tuple[Metric, float | None]]:
    """Yield the value of each metric that a row feeds; None where the API gave none."""
    match row:
        case UsageRow():
            yield USAGE_RATIO, row.ratio
            yield USAGE_PROCESSED, row.processed_at
            yield LICENSES_ACTIVE, row.active
            yield LICENSES_QUALIFIED, row.qualified
        case DeploymentRow():
            yield DEPLOYMENT_RATIO, row.ratio
            yield LICENSES_SOLD, row.sold
            yield LICENSES_DEPLOYED, row.deployed
            yield DEPLOYMENT_PROCESSED, row.processed_at
        case _:
            assert_never(row)


def broken_down(source: SourceName) -> tuple[Metric, Metric]:
    """Return the metrics that customers and products have: part and whole."""
    match source:
        case SourceName.USAGE:
            return LICENSES_ACTIVE, LICENSES_QUALIFIED
        case SourceName.DEPLOYMENT:
            return LICENSES_DEPLOYED, LICENSES_SOLD
        case _:
            assert_never(source)


def info(dimension: Dimension) -> Metric:
    """Return the metric that has the names of customers or products."""
    match dimension:
        case Dimension.CUSTOMER:
            return CUSTOMER_INFO
        case Dimension.PRODUCT:
            return PRODUCT_INFO
        case _:
            assert_never(dimension)


UP = _per_source("partnercenter_up", "Whether the last poll of this source succeeded (1) or failed (0).")
LAST_POLL = _per_source(
    "partnercenter_last_poll_timestamp_seconds", "When the last poll of this source started, as a Unix timestamp."
)
LAST_SUCCESS = _per_source(
    "partnercenter_last_success_timestamp_seconds",
    "When the last successful poll of this source finished, as a Unix timestamp.",
)
NEXT_POLL = _per_source(
    "partnercenter_next_poll_timestamp_seconds", "When the next poll of this source is due, as a Unix timestamp."
)
POLL_DURATION = _per_source(
    "partnercenter_last_poll_duration_seconds", "Duration of the last poll of this source in seconds."
)
POLL_INTERVAL = _per_source("partnercenter_poll_interval_seconds", "Configured time between polls in seconds.")
POLL_IN_PROGRESS = _per_source(
    "partnercenter_poll_in_progress", "Whether a poll of this source is in progress (1) or not (0)."
)
MAX_SERIES = _per_source(
    "partnercenter_max_series", "Configured limit on the label sets of this source. What exceeds it is dropped."
)
DATA_WITHDRAWN = _per_source(
    "partnercenter_data_withdrawn",
    "Whether the data of this source was withdrawn because it is older than poll.max_staleness (1) or not (0).",
)
SOURCE_INFO = _per_source("partnercenter_source_info", "API that this source polls. Always 1.", "api")
STALE_AFTER = _per_source(
    "partnercenter_data_stale_after_seconds",
    "Age from which data of this API counts as old, in seconds: its processed timestamps are days or months.",
)
ROWS = _per_source("partnercenter_rows", "Usable rows in the last successful response.")
POLLS = _per_source("partnercenter_polls_total", "Finished polls, successful or not.", kind=Kind.COUNTER)
POLL_FAILURES = _per_source("partnercenter_poll_failures_total", "Failed polls by reason.", "reason", kind=Kind.COUNTER)
ROWS_DROPPED = _per_source(
    "partnercenter_rows_dropped_total",
    "Rows of successful responses that were dropped, by reason. no_value: rows without a ratio or count, which are "
    "still shown if they have another.",
    "reason",
    kind=Kind.COUNTER,
)
API_REQUESTS = _per_source(
    "partnercenter_api_requests_total",
    "Requests to the API by HTTP status code, or error where no response arrived.",
    "code",
    kind=Kind.COUNTER,
)
API_DURATION = _per_source(
    "partnercenter_api_request_duration_seconds", "Duration of requests to the API in seconds.", kind=Kind.HISTOGRAM
)
AUTH_UP = _per_partner(
    "partnercenter_auth_up", "Whether Entra ID and the API accepted the last sign-in (1) or refused it (0)."
)
AUTH_REQUESTS = _per_partner(
    "partnercenter_auth_requests_total",
    "Requests to Entra ID by HTTP status code, or error where no response arrived.",
    "code",
    kind=Kind.COUNTER,
)
AUTH_FAILURES = _per_partner(
    "partnercenter_auth_failures_total", "Refused sign-ins by OAuth error code.", "error", kind=Kind.COUNTER
)
TOKEN_ISSUED = _per_partner(
    "partnercenter_auth_refresh_token_issued_timestamp_seconds",
    "When the current refresh token was issued, as a Unix timestamp.",
)
TOKEN_EXPIRY = _per_partner(
    "partnercenter_auth_refresh_token_expiry_timestamp_seconds",
    "When the current refresh token expires unless renewed (90 days after issue), as a Unix timestamp.",
)
CREDENTIAL_EXPIRY = _per_partner(
    "partnercenter_auth_client_credential_expiry_timestamp_seconds",
    "When the client secret or certificate expires, where known, as a Unix timestamp.",
)
MFA_COMPLIANT = _per_partner(
    "partnercenter_auth_mfa_compliant",
    "Whether Partner Center last took the sign-in for one with MFA (1) or not (0): isMfaCompliant in its responses. "
    "Absent until it says so.",
)
THREAD_RESTARTS = _per_source(
    "partnercenter_poll_thread_restarts_total", "Poll threads that died and were restarted.", kind=Kind.COUNTER
)
STATE_WRITABLE = Metric(
    "partnercenter_state_writable",
    "Whether everything is saved in the state directory (1), or something could not be written (0).",
)
RELOAD_OK = Metric(
    "partnercenter_config_last_reload_successful", "Whether the last configuration reload attempt was successful."
)
RELOAD_TIME = Metric(
    "partnercenter_config_last_reload_success_timestamp_seconds",
    "Timestamp of the last successful configuration reload.",
)
WEB_CONFIG_OK = Metric(
    "partnercenter_web_config_last_reload_successful",
    "Whether the newest --web.config.file and the certificates that it names are in use (1), or the previous ones (0). "
    "Always 1 without such a file.",
)
LOG_LINES_DROPPED = Metric(
    "partnercenter_log_lines_dropped_total",
    "Log lines that standard error did not accept: it was closed, full, without a reader, or stalled too long.",
    kind=Kind.COUNTER,
)
CLOCK_OFFSET = Metric(
    "partnercenter_clock_offset_seconds",
    "By how much this machine's clock was ahead of the Date header of the newest response, in seconds; "
    "negative where it was behind.",
)
BUILD_INFO = Metric(
    "partnercenter_exporter_build_info",
    "Version of this exporter, and the revision and branch that it was built from. Always 1.",
    ("version", "revision", "branch", "pythonversion"),
)
# The names and help texts of client_golang's promhttp.
SCRAPES = Metric(
    "promhttp_metric_handler_requests_total", "Total number of scrapes by HTTP status code.", ("code",), Kind.COUNTER
)
SCRAPES_IN_FLIGHT = Metric("promhttp_metric_handler_requests_in_flight", "Current number of scrapes being served.")

EXPORTER = (
    UP, LAST_POLL, LAST_SUCCESS, NEXT_POLL, POLL_DURATION, POLL_INTERVAL, POLL_IN_PROGRESS, MAX_SERIES,
    DATA_WITHDRAWN, SOURCE_INFO, STALE_AFTER, ROWS, POLLS, POLL_FAILURES, ROWS_DROPPED, API_REQUESTS, API_DURATION,
    AUTH_UP, AUTH_REQUESTS, AUTH_FAILURES, TOKEN_ISSUED, TOKEN_EXPIRY, CREDENTIAL_EXPIRY, MFA_COMPLIANT,
    THREAD_RESTARTS, STATE_WRITABLE, RELOAD_OK, RELOAD_TIME, WEB_CONFIG_OK, LOG_LINES_DROPPED, CLOCK_OFFSET, BUILD_INFO,
    SCRAPES, SCRAPES_IN_FLIGHT,
)  # fmt: skip

# Those that are counted from 0, so that the first one is an increase.
USUAL_CODES = ("200", "400", "401", "403", "404", "429", "500", "502", "503", "504", "error")

DURATION_BUCKETS_SECONDS = (0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)
