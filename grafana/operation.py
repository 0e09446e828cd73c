"""The row on the exporter itself, for the operator."""

from exporter.metrics import catalogue
from grafana import queries
from grafana.panels import Json, instant, lines, over_time, override, stacked_bars, stat, steps, table, value_mappings
from grafana.queries import DAY_SECONDS, by_labels, increase

_SOURCE = "{{source}} · {{partner}}"
_YES_NO = value_mappings(v1=("yes", "green"), v0=("no", "red"))
EXPIRIES = ("PartnerCenterRefreshTokenExpiresSoon", "PartnerCenterClientSecretExpiresSoon")

# A refused refresh token has no expiry any more: 0 days left.
TOKEN_DAYS = (
    f"clamp_min((min by (partner) ({queries.selector(catalogue.TOKEN_EXPIRY)}) - time()) / {DAY_SECONDS}, 0)"
    f" or min by (partner) ({queries.selector(catalogue.AUTH_UP)}) == 0"
)
CREDENTIAL_DAYS = f"(min by (partner) ({queries.selector(catalogue.CREDENTIAL_EXPIRY)}) - time()) / {DAY_SECONDS}"


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
            size=(4, 4),
            runbooks=["PartnerCenterExporterAbsent", "PartnerCenterExporterDown", "PartnerCenterPartnerMissing"],
        ),
        stat(
            "Version",
            "The running versions.",
            [instant(f"max by (version) ({queries.selector(catalogue.BUILD_INFO)})", "{{version}}")],
            defaults={"unit": "none", "thresholds": steps("text")},
            text="name",
            size=(4, 4),
        ),
        stat(
            "Sign-in accepted",
            "Whether Entra ID and the API accept the sign-in of every partner.",
            [instant(f"min({queries.selector(catalogue.AUTH_UP)})", "accepted")],
            defaults={"unit": "none", "mappings": _YES_NO, "thresholds": steps("red", (1, "green"))},
            size=(4, 4),
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
            size=(4, 4),
            runbooks=["PartnerCenterClockWrong"],
        ),
        stat(
            "Poll thread restarts, 1d",
            "Poll threads that crashed and were restarted. Report anything other than 0.",
            [instant(f"ceil({increase(catalogue.THREAD_RESTARTS, window='1d')})", _SOURCE)],
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
            instant(increase(catalogue.ROWS_DROPPED, "partner", "source", window="1d"), table=True),
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
                "byName", "Up", mappings=_YES_NO, thresholds=steps("red", (1, "green")),
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
    requests, failures = catalogue.API_REQUESTS, catalogue.POLL_FAILURES
    throttled = increase(requests, "partner", "source", matcher='code="429"')
    # Every known code and word has a counter from the start: those that never moved are no news.
    refused = f"{increase(catalogue.AUTH_FAILURES, 'partner', 'error')} > 0"
    none = f'label_replace({by_labels(catalogue.AUTH_UP)} * 0, "error", "none", "", "")'
    return [
        stacked_bars(
            "Polls",
            "Finished polls, successful or failed.",
            [over_time(increase(catalogue.POLLS, "partner", "source"), _SOURCE)],
            size=(8, 8),
        ),
        stacked_bars(
            "Failed polls by reason",
            "Failed polls; the last good data is served in the meantime. The log gives the fix for each failure.",
            [over_time(increase(failures, "reason"), "{{reason}}")],
            size=(8, 8),
            runbooks=["PartnerCenterPollsFailing", "PartnerCenterNoUsableRows"],
        ),
        stacked_bars(
            "Throttling",
            "Requests that returned 429, and polls that were abandoned because of throttling. The exporter "
            "waits as long as Microsoft asks.",
            [
                over_time(f"{throttled} or {increase(requests, 'partner', 'source')} * 0", f"429: {_SOURCE}"),
                over_time(
                    increase(failures, "partner", "source", matcher='reason="throttled"'), f"abandoned: {_SOURCE}"
                ),
            ],
            size=(8, 8),
            runbooks=["PartnerCenterThrottled"],
        ),
        stacked_bars(
            "API requests by status",
            "Requests to Partner Center, including retries; `error` means no response.",
            [over_time(f"{increase(requests, 'code')} > 0", "{{code}}")],
            size=(8, 8),
        ),
        lines(
            "API latency",
            "Duration of requests to Partner Center: median and 95th percentile.",
            [over_time(_quantile(0.5), "median · {{source}}"), over_time(_quantile(0.95), "p95 · {{source}}")],
            defaults={"unit": "s", "min": 0},
            interval="1h",
            size=(8, 8),
        ),
        stacked_bars(
            "Refused sign-ins",
            "Refused token requests, by OAuth error code.",
            [over_time(f"{refused} or {none}", "{{error}} · {{partner}}")],
            size=(8, 8),
            runbooks=["PartnerCenterSignInRefused"],
        ),
    ]


def _quantile(share: float) -> str:
    buckets = queries.selector(f"{catalogue.API_DURATION.name}_bucket")
    chosen = f'{buckets[:-1]}, partner=~"$partner"}}'
    return f"histogram_quantile({share}, sum by (le, source) (rate({chosen}[$__rate_interval])))"


def _sign_in() -> Json:
    return lines(
        "Days left: refresh tokens and client credentials",
        "A refresh token is valid for 90 days from its issue, and the exporter keeps renewing it: its line "
        "should stay near 90. A client secret or certificate counts down until somebody replaces it. The "
        "dashed lines at 21 and 7 days are the alert thresholds.",
        [
            over_time(TOKEN_DAYS, "refresh token · {{partner}}"),
            over_time(CREDENTIAL_DAYS, "client credential · {{partner}}"),
        ],
        defaults={"unit": "none", "decimals": 0, "min": 0, "thresholds": steps("red", (7, "orange"), (21, "green"))},
        custom={"thresholdsStyle": {"mode": "dashed"}},
        size=(24, 8),
        runbooks=EXPIRIES,
    )
