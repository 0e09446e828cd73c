"""The row on the exporter itself, for the operator."""

from collections.abc import Callable

from exporter.metrics import catalogue
from grafana import queries
from grafana.panels import (
    NO_COUNTS,
    Json,
    instant,
    lines,
    over_time,
    override,
    stacked_bars,
    stat,
    steps,
    table,
    value_mappings,
)
from grafana.queries import DAY_SECONDS, by_labels, events, events_seen, increase

_SOURCE = "{{source}} · {{partner}}"
_COUNTED = "Counts begin with the first scrape: backfilled history has none."
_YES_NO = value_mappings(v1=("yes", "green"), v0=("no", "red"))
EXPIRIES = ("PartnerCenterRefreshTokenExpiresSoon", "PartnerCenterClientSecretExpiresSoon")


def token_days(read: Callable[[str], str] = str) -> str:
    """Return the days until each partner's refresh token expires; a refused one has no expiry any more: 0 days left."""
    expiry, accepted = (by_labels(m, pick="min", read=read) for m in (catalogue.TOKEN_EXPIRY, catalogue.AUTH_UP))
    return f"clamp_min(({expiry} - time()) / {DAY_SECONDS}, 0) or {accepted} == 0"


def credential_days(read: Callable[[str], str] = str) -> str:
    """Return the days until each partner's client secret or certificate expires."""
    return f"({by_labels(catalogue.CREDENTIAL_EXPIRY, pick='min', read=read)} - time()) / {DAY_SECONDS}"


def health() -> list[Json]:
    """Return the exporter's health panels."""
    return [*_instances(), _sources(), *_polls(), _sign_in()]


def _instances() -> list[Json]:
    return [
        stat(
            "Exporters up",
            "How many of the selected instances Prometheus scraped successfully.",
            [instant(f"sum({queries.selector('up')})", "up")],
            defaults={"unit": "none", "thresholds": steps("red", (1, "green"))},
            size=(3, 4),
            runbooks=["PartnerCenterExporterAbsent", "PartnerCenterExporterDown", "PartnerCenterPartnerMissing"],
        ),
        stat(
            "Version",
            "The running versions.",
            [instant(f"max by (version) ({queries.selector(catalogue.BUILD_INFO)})", "{{version}}")],
            defaults={"unit": "none", "thresholds": steps("text")},
            text="name",
            size=(3, 4),
        ),
        stat(
            "Sign-in accepted",
            "Whether Entra ID and the API accept the sign-in of every partner.",
            [instant(f"min({queries.selector(catalogue.AUTH_UP)})", "accepted")],
            defaults={"unit": "none", "mappings": _YES_NO, "thresholds": steps("red", (1, "green"))},
            size=(3, 4),
            runbooks=["PartnerCenterSignInRefused"],
        ),
        stat(
            "State directory writable",
            "Whether new refresh tokens and data can be saved to survive a restart.",
            [instant(f"min({queries.selector(catalogue.STATE_WRITABLE)})", "writable")],
            defaults={"unit": "none", "mappings": _YES_NO, "thresholds": steps("red", (1, "green"))},
            size=(4, 4),
            runbooks=["PartnerCenterStateNotWritable"],
        ),
        stat(
            "Configuration loaded",
            "Whether the last configuration reload succeeded. If not, the previous one stays active.",
            [instant(f"min({queries.selector(catalogue.RELOAD_OK)})", "loaded")],
            defaults={"unit": "none", "mappings": _YES_NO, "thresholds": steps("red", (1, "green"))},
            size=(4, 4),
            runbooks=["PartnerCenterConfigReloadFailed"],
        ),
        stat(
            "Clock offset",
            "How far this machine's clock was ahead of Microsoft's, or behind it, at the newest response.",
            [instant(f"max(abs({queries.selector(catalogue.CLOCK_OFFSET)}))", "offset")],
            defaults={"unit": "s", "decimals": 0, "thresholds": steps("green", (300, "red"))},
            size=(3, 4),
            runbooks=["PartnerCenterClockWrong"],
        ),
        stat(
            "Poll thread restarts, 1d",
            "Poll threads that crashed and were restarted. Report anything other than 0.",
            [instant(f"ceil({increase(catalogue.THREAD_RESTARTS, within='[1d]')})", _SOURCE)],
            defaults={"unit": "none", "thresholds": steps("green", (1, "red"))},
            size=(4, 4),
            runbooks=["PartnerCenterPollerStuck"],
        ),
    ]


def _sources() -> Json:
    success = catalogue.LAST_SUCCESS
    return table(
        "Sources",
        "Each partner's sources: the API in use, whether the last poll succeeded, time since the last "
        "success, time until the next poll, duration of the last poll, its usable rows, and rows dropped in "
        "the last day.",
        [
            instant(by_labels(catalogue.SOURCE_INFO), table=True),
            instant(by_labels(catalogue.UP, pick="min"), table=True),
            instant(f"time() - {by_labels(success, pick='min')}", table=True),
            instant(f"{by_labels(catalogue.NEXT_POLL, pick='min')} - time()", table=True),
            instant(by_labels(catalogue.POLL_DURATION), table=True),
            instant(by_labels(catalogue.ROWS), table=True),
            instant(increase(catalogue.ROWS_DROPPED, "partner", "source", within="[1d]"), table=True),
        ],
        columns={
            "partner": "Partner",
            "source": "Source",
            "api": "API",
            "A": "",
            "B": "Up",
            "C": "Since last success",
            "D": "Next poll in",
            "E": "Duration",
            "F": "Rows",
            "G": "Dropped, 1d",
        },
        sort="Up",
        overrides=[
            override(
                "byName", "Up", mappings=_YES_NO, thresholds=steps("red", (1, "green")), custom__width=60,
                custom__cellOptions={"type": "color-background", "mode": "basic"},
            ),
            override("byRegexp", "Since last success|Next poll in|Duration", unit="s", decimals=1),
            override("byRegexp", "Rows|Dropped, 1d", unit="locale", decimals=0),
        ],
        size=(24, 6),
        runbooks=[
            "PartnerCenterPollsFailing",
            "PartnerCenterNoUsableRows",
            "PartnerCenterRowsDropped",
            "PartnerCenterSeriesLimitNear",
        ],
    )  # fmt: skip


def _polls() -> list[Json]:
    return [
        stacked_bars(
            "Polls",
            f"Finished polls, successful or failed. {_COUNTED}",
            [over_time(events(catalogue.POLLS, "partner", "source"), _SOURCE)],
            size=(8, 8),
        ),
        stacked_bars(
            "Failed polls by reason",
            "Failed polls; the last good data is served in the meantime. The log gives the fix for each failure. "
            f"{_COUNTED}",
            [over_time(events_seen(catalogue.POLL_FAILURES, "reason", none="no failures"), "{{reason}}")],
            size=(8, 8),
            runbooks=["PartnerCenterPollsFailing", "PartnerCenterNoUsableRows"],
        ),
        stacked_bars(
            "API requests by status",
            "Requests to Partner Center, including retries. `error` means no response. `429` is throttling: the "
            "exporter waits as long as Microsoft asks, and polls that it abandons for that are among the failed ones, "
            f"as `throttled`. {_COUNTED}",
            [over_time(events_seen(catalogue.API_REQUESTS, "code", none="no requests"), "{{code}}")],
            size=(8, 8),
            runbooks=["PartnerCenterThrottled"],
        ),
        lines(
            "API latency",
            f"Duration of requests to Partner Center: median and 95th percentile. {_COUNTED}",
            [over_time(_quantile(0.5), "median · {{source}}"), over_time(_quantile(0.95), "p95 · {{source}}")],
            defaults={"unit": "s", "min": 0, "noValue": NO_COUNTS},
            size=(12, 8),
        ),
        stacked_bars(
            "Refused sign-ins",
            f"Refused token requests, by OAuth error code. {_COUNTED}",
            [
                over_time(
                    events_seen(catalogue.AUTH_FAILURES, "error", "partner", none="no refusals"),
                    "{{error}} {{partner}}",
                )
            ],
            size=(12, 8),
            runbooks=["PartnerCenterSignInRefused"],
        ),
    ]


def _quantile(share: float) -> str:
    buckets = queries.selector(f"{catalogue.API_DURATION.name}_bucket")
    chosen = f'{buckets[:-1]}, partner=~"$partner"}}'
    return f"histogram_quantile({share}, sum by (le, source) (rate({chosen}[$__rate_interval] {queries.OF_STEP})))"


def _sign_in() -> Json:
    return lines(
        "Days left: refresh tokens and client credentials",
        "A refresh token is valid for 90 days from its issue, and the exporter keeps renewing it: its line "
        "should stay near 90. A client secret or certificate counts down until somebody replaces it. The "
        "dashed lines at 21 and 7 days are the alert thresholds.",
        [
            over_time(token_days(queries.on_graph), "refresh token · {{partner}}"),
            over_time(credential_days(queries.on_graph), "client credential · {{partner}}"),
        ],
        defaults={"unit": "none", "decimals": 0, "min": 0, "thresholds": steps("red", (7, "orange"), (21, "green"))},
        custom={"thresholdsStyle": {"mode": "dashed"}},
        size=(24, 8),
        runbooks=EXPIRIES,
    )
