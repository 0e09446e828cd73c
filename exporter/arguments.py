"""The arguments of each command: one class per command; its docstring is the help text and its fields are the flags.

What takes long to import is imported where it is used, so that `--help` and `healthcheck` answer at once.
"""

import re
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, date, datetime
from enum import IntEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, ClassVar
from urllib.parse import urlsplit

from exporter.flags import Flag
from exporter.paths import check_expanded

if TYPE_CHECKING:
    from exporter.model.rows import SourceName

DEFAULT_PORT = 10058
_LABEL = re.compile(r"(?!__)[A-Za-z_][A-Za-z0-9_]*", re.ASCII)
_MAX_STEP_SECONDS = 86_400
_MIN_RELOAD_SECONDS, _MAX_RELOAD_SECONDS = 1.0, 366 * 86_400.0
# Those of `Api`, which takes long to import.
_APIS = ("legacy", "commercial", "insights")
_MAX_SPEED = 10_000_000.0
_MAX_PORT = 65_535
_MIN_COMPARED_SECONDS = 86_400.0
_MAX_TIMEOUT_SECONDS = 3_600.0
_MAX_TOP = 10_000


class ExitStatus(IntEnum):
    """How a command ended."""

    SUCCESS = 0
    FAILED = 1  # something upstream or at run time
    USAGE_ERROR = 2  # a flag or the configuration


def _number(text: str) -> int:
    with suppress(ValueError):
        return int(text)
    raise ValueError(f"invalid int value: {text!r}")


def _port(text: str) -> int:
    number = _number(text)
    if 0 <= number <= _MAX_PORT:
        return number
    raise ValueError(f"invalid port {text!r}: give a number from 0 to {_MAX_PORT}")


def _file(text: str) -> Path:
    try:
        check_expanded(text)
    except ValueError as error:
        hint = "; a shell expands ~ after a blank, not after =" if text.startswith("~") else ""
        raise ValueError(f"{error}{hint}") from None
    return Path(text)


def _path(text: str) -> str:
    is_plain = text.isprintable() and not any(c in text for c in "{}?#% ")
    if not text.startswith("/") or text.startswith("/-/") or not is_plain:
        raise ValueError(f"{text!r} can't be used: give a path like /metrics")
    return text


def _speed(text: str) -> float:
    with suppress(ValueError):
        if 0 < (speed := float(text)) <= _MAX_SPEED:
            return speed
    raise ValueError(f"invalid speed {text!r}: give a number above 0, at most {_MAX_SPEED:,.0f}")


def _past_day(text: str) -> date:
    try:
        day = date.fromisoformat(text)
    except ValueError:
        raise ValueError(f"invalid date {text!r}: use YYYY-MM-DD, for example 2026-01-31") from None
    if day >= datetime.now(UTC).date():
        raise ValueError(f"{day} is not over yet: give a past day")
    return day


def _step(text: str) -> int:
    from exporter.yaml_file.types import duration

    seconds = duration(text)
    if not (1 <= seconds <= _MAX_STEP_SECONDS and seconds == int(seconds)):
        raise ValueError(f"invalid step {text!r}: use whole seconds from 1s to 1d, for example 4m")
    return int(seconds)


def _compared(text: str) -> float:
    from exporter.yaml_file.types import duration

    if (seconds := duration(text)) < _MIN_COMPARED_SECONDS:
        raise ValueError(f"invalid duration {text!r}: use at least 1d, as the data changes once a day, for example 30d")
    return seconds


def _timeout(text: str) -> float:
    from exporter.yaml_file.types import duration

    if not 1 <= (seconds := duration(text)) <= _MAX_TIMEOUT_SECONDS:
        raise ValueError(f"invalid timeout {text!r}: use 1s to 1h, for example 1m")
    return seconds


def _top(text: str) -> int:
    if not 1 <= (number := _number(text)) <= _MAX_TOP:
        raise ValueError(f"invalid number {text!r}: use 1 to {_MAX_TOP:,}")
    return number


def _prometheus_url(text: str) -> str:
    """Return the URL without what Prometheus adds to it. It may hold a password, so that no message repeats it."""
    is_url = False
    with suppress(ValueError):
        parts = urlsplit(text)
        is_plain = text.isascii() and text.isprintable() and not any(c in text for c in "?# \"'<>{}|\\^`")
        is_url = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0 and is_plain
    if is_url and "@" in parts.netloc:
        raise ValueError("every user of this machine can read a password here: put it into --http.config.file")
    if not is_url:
        raise ValueError("invalid URL: use http:// or https://, host and port, for example http://prometheus:9090")
    return text.rstrip("/").removesuffix("/api/v1")


def _reload_interval(text: str) -> float:
    from exporter.yaml_file.types import duration

    seconds = float(text) if text.isascii() and text.isdigit() else duration(text)  # blackbox_exporter's are seconds
    if not _MIN_RELOAD_SECONDS <= seconds <= _MAX_RELOAD_SECONDS:
        raise ValueError(f"invalid interval {text!r}: use at least 1s and at most a year, for example 30s")
    return seconds


def _label(text: str) -> tuple[str, str]:
    from exporter.metrics.catalogue import DATA

    name, equals, value = text.partition("=")
    if not equals or not _LABEL.fullmatch(name):
        raise ValueError(f"invalid label {text!r}: write it as job=partnercenter-exporter")
    if any(name in (*metric.labels, *metric.detail_labels) for metric in DATA):
        raise ValueError(f"the series already have a label {name}: leave it out")
    return name, value


def _source(text: str) -> "SourceName":
    from exporter.model.rows import SourceName

    with suppress(ValueError):
        return SourceName(text)
    raise ValueError(f"invalid source {text!r}: choose from {', '.join(SourceName)}")


_WEB_CONFIG = Flag("--web.config.file=FILE", "Web configuration file: TLS, basic auth, headers.", _file)
_LISTEN = Flag("--web.listen-address=ADDRESS", "Address to listen on, repeatable.")
_LEVELS = ("debug", "info", "warn", "error")


def _level(text: str) -> str:
    return "warn" if text.lower() == "warning" else text.lower()


@dataclass(frozen=True, kw_only=True, slots=True)
class Logging:
    """The flags of every command."""

    level: Annotated[str, Flag("--log.level", "Minimum log level.", _level, choices=_LEVELS)] = "info"
    format: Annotated[str, Flag("--log.format", "Log format.", str.lower, choices=("logfmt", "json"))] = "logfmt"


@dataclass(frozen=True, kw_only=True, slots=True)
class _Configured:
    config_file: Annotated[Path, Flag("--config.file=FILE", "Configuration file.", _file)] = Path("config.yaml")


@dataclass(frozen=True, kw_only=True, slots=True)
class _Web(_Configured):
    listen_addresses: Annotated[tuple[str, ...], _LISTEN] = (f":{DEFAULT_PORT}",)
    telemetry_path: Annotated[str, Flag("--web.telemetry-path=PATH", "Metrics path.", _path)] = "/metrics"
    web_config_file: Annotated[Path | None, _WEB_CONFIG] = None
    lifecycle: Annotated[bool, Flag("--web.enable-lifecycle", "Enable reload by POST /-/reload.")] = False
    systemd_socket: Annotated[bool, Flag("--web.systemd-socket", "Listen on sockets from systemd.")] = False
    auto_reload: Annotated[
        bool, Flag("--config.enable-auto-reload", "Reload when the configuration or a file that it names changes.")
    ] = False
    auto_reload_seconds: Annotated[
        float, Flag("--config.auto-reload-interval=DURATION", "How often to check.", _reload_interval, default="30s")
    ] = 30.0


@dataclass(frozen=True, kw_only=True, slots=True)
class Run(_Web):
    """Poll in the background and serve metrics until stopped (the default)."""

    check_only: Annotated[bool, Flag("--config.check", "Only validate the configuration: check --offline.")] = False


@dataclass(frozen=True, kw_only=True, slots=True)
class Check(_Configured):
    """Validate the configuration, sign in, poll every source once, and explain what fails.

    With --all-apis, every API is asked for the data of every source, whichever is configured: a table says which of
    them answer for this tenant, with how many rows and how new, and a line below it what to configure.
    """

    partner: Annotated[str | None, Flag("--partner=NAME", "Check only this partner.")] = None
    all_apis: Annotated[bool, Flag("--all-apis", "Find out which APIs answer for this tenant.")] = False
    offline: Annotated[bool, Flag("--offline", "Only validate the configuration.")] = False
    json: Annotated[bool, Flag("--json", "Print one JSON document.")] = False
    web_config_file: Annotated[Path | None, _WEB_CONFIG] = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Login(_Configured):
    """Sign in once, in a browser, and save the refresh token."""

    partner: Annotated[str | None, Flag("--partner=NAME", "Partner, if there are several.")] = None
    import_refresh_token: Annotated[
        str | None, Flag("--import-refresh-token=FILE", "Import the application's token from a file, or - for stdin.")
    ] = None
    redirect_port: Annotated[int, Flag("--redirect-port=PORT", "Redirect port.", _number)] = DEFAULT_PORT + 1


@dataclass(frozen=True, kw_only=True, slots=True)
class Simulated:
    """Which partner is simulated, and how fast its time runs."""

    seed: Annotated[int, Flag("--seed=NUMBER", "Seed of the simulated partner.", _number)] = 1
    customers: Annotated[int, Flag("--customers=NUMBER", "Number of simulated customers.", _number)] = 40
    speed: Annotated[float, Flag("--speed=FACTOR", "Speed of simulated time relative to real time.", _speed)] = 1.0


@dataclass(frozen=True, kw_only=True, slots=True)
class Demo(Simulated):
    """Run the whole exporter against a simulated Partner Center of two partners, with figures by customer."""

    customers: Annotated[int, Flag("--customers=NUMBER", "Number of customers of each partner.", _number)] = 200
    api: Annotated[str, Flag("--api=API", "API to poll: legacy, commercial or insights.", choices=_APIS)] = "commercial"
    listen_addresses: Annotated[tuple[str, ...], _LISTEN] = (f"127.0.0.1:{DEFAULT_PORT}",)
    output: Annotated[
        Path | None, Flag("--output=DIR", "Directory for the configuration and state, which stay there.", _file)
    ] = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Simulate(Simulated):
    """Run only the simulated Entra ID and Partner Center, over TLS."""

    listen_addresses: Annotated[tuple[str, ...], _LISTEN] = ("127.0.0.1:10443",)
    files_port: Annotated[
        int, Flag("--files-port=PORT", "Port of the simulated report files; 0 takes any free one.", _port)
    ] = 0
    output: Annotated[Path | None, Flag("--output=DIR", "Directory for a ready-to-use config.yaml.", _file)] = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Healthcheck(_Web):
    """Check the health of the local exporter; accepts the flags of run, so that both can be given the same."""

    HEEDED: ClassVar = ("listen_addresses", "web_config_file", "pid")

    pid: Annotated[
        int | None, Flag("--pid=PID", "Take the flags of this process instead: 1 in a container.", _number)
    ] = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Backfill(_Configured):
    r"""Write past days as OpenMetrics files, for promtool to create blocks from.

    History comes from sources with `api: commercial`, which can be queried by processing date, and with
    `api: insights`, whose sums of a month are those of each of its days, 13 months back. A day's data is written as
    that day's samples, 00:00 to 24:00 UTC. The running exporter shows the same data later, when Microsoft publishes
    it: after some days, or in the next month. The legacy API has no history, and neither do the exporter's own
    metrics. Targets are the current ones.

    Give the labels that Prometheus gives the exporter, so that backfilled and live data form one series:
      partnercenter-exporter backfill --from 2026-01-01 --to 2026-03-31 --output past \
          --label job=partnercenter-exporter --label instance=exporter.example:10058
      for file in past/*.om; do
          promtool tsdb create-blocks-from openmetrics --max-block-duration=24h "$file" /var/lib/prometheus
      done
    The last argument is Prometheus' --storage.tsdb.path, /var/lib/prometheus/metrics2 with Debian's package, and its
    user must own the blocks. Blocks older than --storage.tsdb.retention.time (by default 15 days) are deleted.

    Size: 70 to 100 kB a series and day. That is 8 MB a day without detail, and for 80 customers with
    `detail: [customer, product]` 1.5 GB a day, 135 GB for 90 days; promtool's blocks are far smaller. The first
    day gives an estimate, which is printed with the free space; what doesn't fit is not begun. --without-detail
    and a longer --step (up to 5m, as Prometheus looks back five minutes) write less.

    Days that have a file are skipped, so that a second run resumes, also after Ctrl+C: use another directory for other
    flags. Only the user that runs this can read the files; no other user may be able to write to the directory.
    Days that Microsoft has not finished go to files that end with .unfinished, which the loop above leaves out; the
    last line says when to run the same command again for them. A day without data gets no file. Delete a day's file to
    fetch it again. End with the day before the first scrape.
    """

    first: Annotated[date, Flag("--from=DATE", "First day, for example 2026-01-31.", _past_day)]
    last: Annotated[date, Flag("--to=DATE", "Last day, yesterday at the latest.", _past_day)]
    output: Annotated[Path, Flag("--output=DIR", "Directory to write the files to, one per day.", _file)]
    step_seconds: Annotated[int, Flag("--step=DURATION", "Time between samples.", _step, default="4m")] = 240
    labels: Annotated[
        tuple[tuple[str, str], ...], Flag("--label=NAME=VALUE", "Label of every series, repeatable.", _label)
    ] = ()
    without_detail: Annotated[
        bool, Flag("--without-detail", "Leave out customers and products: far smaller files.")
    ] = False
    partner: Annotated[str | None, Flag("--partner=NAME", "Backfill only this partner.")] = None
    source: Annotated["SourceName | None", Flag("--source=NAME", "Backfill only this source.", _source)] = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Completion:
    """Print the completion of commands and flags for a shell.

    For bash, add to ~/.bashrc:
      source <(partnercenter-exporter completion bash)
    For zsh, add to ~/.zshrc:
      source <(partnercenter-exporter completion zsh)
    """

    shell_name: Annotated[str, Flag("SHELL", "bash or zsh.", choices=("bash", "zsh"))] = "bash"


@dataclass(frozen=True, kw_only=True, slots=True)
class AuthStatus(_Configured):
    """Print the stored sign-in of each partner: account, MFA, dates, and whether it was accepted.

    Only what is stored is read: nothing is sent or written, and it works beside a running exporter. The exit status
    is 1 if a partner needs a login.
    """

    COMMAND: ClassVar = "auth status"
    partner: Annotated[str | None, Flag("--partner=NAME", "Print only this partner.")] = None
    json: Annotated[bool, Flag("--json", "Print JSON.")] = False


@dataclass(frozen=True, kw_only=True, slots=True)
class Poll(_Configured):
    """Ask the running exporter to poll now, and print how the polls end.

    A source is not polled before its Retry-After is over, nor within a minute of its last poll: then the time from
    which it can be is printed. The exit status is 1 unless every source was polled with success.
    """

    partner: Annotated[str | None, Flag("--partner=NAME", "Poll only this partner.")] = None
    source: Annotated["SourceName | None", Flag("--source=NAME", "Poll only this source.", _source)] = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Reports(_Configured):
    """List what `reports: true` has created at Partner Insights, or delete it.

    Only what this exporter has created and remembers in its state directory is deleted, never anything else in the
    partner's account. Remove `reports: true` first, or the next poll creates it again.
    """

    partner: Annotated[str | None, Flag("--partner=NAME", "List only this partner's.")] = None
    delete: Annotated[bool, Flag("--delete", "Delete them.")] = False


@dataclass(frozen=True, kw_only=True, slots=True)
class Report:
    r"""Print what customers use, as a page or a table, from the data in Prometheus.

    It answers which customers have licences that they don't use, how many these are, and whether it gets better:
    totals by partner, customers below their target, the lowest users, movers up and down, and idle licences
    (qualified but not in use; sold but not deployed). Each list has the --top customers; totals are over all.

    The exporter must break its counts down: `detail: [customer]` for the source usage, deployment or both, with
    `api: commercial`, or `api: insights` and `reports: true`. Nothing but Prometheus is asked, so that it runs on any
    machine, without config.yaml. What Prometheus doesn't have yet of --compare ago, backfill can fetch.

    A page to mail every Monday, as an attachment, since mail programs leave out the pictures:
      partnercenter-exporter report --prometheus=https://prometheus.example --http.config.file=http.yml \
          --output=licences.html
    http.yml is in Prometheus' format (http_config), as for promtool:
      basic_auth: {username: reports, password_file: password}
      tls_config: {ca_file: ca.pem}
    or, in place of basic_auth:
      authorization: {credentials_file: token}

    html is one page without scripts, also for print. csv is one table with a column `list`, and markdown is for chats
    and issues. They contain the names of customers: a file that --output creates, only this user can read.
    """

    prometheus: Annotated[str, Flag("--prometheus=URL", "Address of Prometheus.", _prometheus_url)]
    http_config_file: Annotated[
        Path | None, Flag("--http.config.file=FILE", "How to reach it: credentials, TLS, proxy, headers.", _file)
    ] = None
    report_format: Annotated[
        str, Flag("--format", "Format of the report.", str.lower, choices=("html", "csv", "markdown"))
    ] = "html"
    partner: Annotated[str | None, Flag("--partner=NAME", "Report only this partner.")] = None
    top: Annotated[int, Flag("--top=NUMBER", "Length of each list.", _top)] = 50
    compare_seconds: Annotated[
        float, Flag("--compare=DURATION", "How long ago to compare with.", _compared, default="30d")
    ] = 30 * 86_400.0
    output: Annotated[Path | None, Flag("--output=FILE", "File to write, in place of standard output.", _file)] = None
    timeout_seconds: Annotated[
        float, Flag("--timeout=DURATION", "How long to wait for each answer.", _timeout, default="1m")
    ] = 60.0


@dataclass(frozen=True, kw_only=True, slots=True)
class ExampleConfig:
    """Print an example of config.yaml, with every key and its default."""

    COMMAND: ClassVar = "example-config"


@dataclass(frozen=True, kw_only=True, slots=True)
class Assets:
    """Write what comes with the exporter: rules and their tests, dashboards, systemd unit, Helm chart, manifests.

    A file that is there already and differs is kept, and named, unless --overwrite is given.
    """

    output: Annotated[Path, Flag("--output=DIR", "Directory to write to; created if it doesn't exist.", Path)]
    overwrite: Annotated[bool, Flag("--overwrite", "Replace files that differ.")] = False


Arguments = (
    Run
    | Check
    | Login
    | Demo
    | Simulate
    | Healthcheck
    | Backfill
    | Completion
    | AuthStatus
    | Poll
    | Reports
    | Report
    | ExampleConfig
    | Assets
)
"""The arguments of any command."""


def command_name(kind: type[Arguments]) -> str:
    """Return how the command is typed, in one word or two."""
    return getattr(kind, "COMMAND", kind.__name__.lower())
