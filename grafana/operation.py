"""The row about the exporter itself: what the operator looks at."""

from exporter.metrics import catalogue
from grafana import queries
from grafana.panels import Json, counts, instant, lines, over_time, override, stat, steps, table, words
from grafana.queries import DAY_SECONDS, by_labels, increase

_SOURCE = "{{source}} · {{partner}}"
_YES_NO = words(v1=("yes", "green"), v0=("no", "red"))
EXPIRIES = ("PartnerCenterRefreshTokenExpiresSoon", "PartnerCenterClientSecretExpiresSoon")

# A refused refresh token has no end any more: there are no days left.
TOKEN_DAYS = (
    f"clamp_min((min by (partner) ({queries.selector(catalogue.TOKEN_EXPIRY)}) - time()) / {DAY_SECONDS}, 0)"
    f" or min by (partner) ({queries.selector(catalogue.AUTH_UP)}) == 0"
)
CREDENTIAL_DAYS = (
    f"(min by (partner) ({queries.selector(catalogue.CREDENTIAL_EXPIRY)}) - time()) / {DAY_SECONDS}"
)


def health() -> list[Json]:
    """Return the exporter's own health."""
    return [*_instances(), _sources(), *_polls(), _sign_in()]


def _instances() -> list[Json]:
    return [
        stat(
            "Exporters up",
            "How many of the chosen instances answered Prometheus' last scrape.",
            [instant(f"sum({queries.selector('up')})", "up")],
            defaults={"unit": "none", "thresholds": steps("red", (1, "green"))},
            size=(4, 4),
            runbooks=["PartnerCenterExporterAbsent"],
        ),
        stat(
            "Version",
            "The versions that run.",
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
            "Whether new refresh tokens and data can be kept over a restart.",
            [instant(f"min({queries.selector(catalogue.STATE_WRITABLE)})", "writable")],
            defaults={"unit": "none", "mappings": _YES_NO, "thresholds": steps("red", (1, "green"))},
            size=(4, 4),
            runbooks=["PartnerCenterStateNotWritable"],
        ),
        stat(
            "Configuration loaded",
            "Whether the last reading of the configuration succeeded. If not, the one before it holds.",
            [instant(f"min({queries.selector(catalogue.RELOAD_OK)})", "loaded")],
            defaults={"unit": "none", "mappings": _YES_NO, "thresholds": steps("red", (1, "green"))},
            size=(4, 4),
            runbooks=["PartnerCenterConfigReloadFailed"],
        ),
        stat(
            "Poll threads restarted, one day",
            "Poll threads that died of a fault and were started again. Anything but 0 is worth a report.",
            [instant(f"ceil({increase(catalogue.THREAD_RESTARTS, window='1d')})", _SOURCE)],
            defaults={"unit": "none", "thresholds": steps("green", (1, "red"))},
            size=(4, 4),
            runbooks=["PartnerCenterPollerStuck"],
        ),
    ]


def _sources() -> Json:
    good = catalogue.LAST_SUCCESS
    return table(
        "Sources",
        "Each partner's sources: which API feeds it, whether the last poll worked, how long ago the last "
        "good one ended, when the next is due, how long the last took, its usable rows, and the rows that "
        "were dropped in a day.",
        [
            instant(by_labels(catalogue.SOURCE_INFO), table=True),
            instant(by_labels(catalogue.UP, pick="min"), table=True),
            instant(f"time() - {by_labels(good, pick='min')}", table=True),
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
            "B": "Works",
            "C": "Last good poll ago",
            "D": "Next poll in",
            "E": "Took",
            "F": "Rows",
            "G": "Dropped, one day",
        },
        sort="Works",
        overrides=[
            override(
                "byName", "Works", mappings=_YES_NO, thresholds=steps("red", (1, "green")),
                custom__cellOptions={"type": "color-background", "mode": "basic"},
            ),
            override("byRegexp", "Last good poll ago|Next poll in|Took", unit="s", decimals=1),
            override("byRegexp", "Rows|Dropped, one day", unit="locale", decimals=0),
        ],
        size=(24, 6),
        runbooks=["PartnerCenterPollsFailing", "PartnerCenterNoUsableRows", "PartnerCenterRowsDropped"],
    )  # fmt: skip


def _polls() -> list[Json]:
    requests, failures = catalogue.API_REQUESTS, catalogue.POLL_FAILURES
    throttled = increase(requests, "partner", "source", matcher='code="429"')
    refused = increase(catalogue.AUTH_FAILURES, "partner", "error")
    none = f'label_replace({by_labels(catalogue.AUTH_UP)} * 0, "error", "none", "", "")'
    return [
        counts(
            "Polls",
            "Polls that ended, good or bad.",
            [over_time(increase(catalogue.POLLS, "partner", "source"), _SOURCE)],
            size=(8, 8),
        ),
        counts(
            "Failed polls by reason",
            "Polls that failed; the last good data stay meanwhile. The log names each one's remedy.",
            [over_time(increase(failures, "reason"), "{{reason}}")],
            size=(8, 8),
            runbooks=["PartnerCenterPollsFailing", "PartnerCenterNoUsableRows"],
        ),
        counts(
            "Throttling",
            "Requests that the API answered with 429, and polls given up for it. The exporter waits as long "
            "as it is asked to.",
            [
                over_time(f"{throttled} or {increase(requests, 'partner', 'source')} * 0", f"429: {_SOURCE}"),
                over_time(
                    increase(failures, "partner", "source", matcher='reason="throttled"'),
                    f"given up: {_SOURCE}",
                ),
            ],
            size=(8, 8),
            runbooks=["PartnerCenterThrottled"],
        ),
        counts(
            "API requests by status",
            "Requests to Partner Center, retries among them; `error` is one that no answer came to.",
            [over_time(increase(requests, "code"), "{{code}}")],
            size=(8, 8),
        ),
        lines(
            "API latency",
            "How long requests to Partner Center took: half of them less than the median, and nineteen of "
            "twenty less than the 95th percentile.",
            [
                over_time(_quantile(0.5), "median · {{source}}"),
                over_time(_quantile(0.95), "95% · {{source}}"),
            ],
            defaults={"unit": "s", "min": 0},
            interval="1h",
            size=(8, 8),
        ),
        counts(
            "Refused sign-ins",
            "Refused requests for tokens, by the error word of OAuth.",
            [
                over_time(
                    f"{refused} or {none}",
                    "{{error}} · {{partner}}",
                )
            ],
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
        "A refresh token lives 90 days from its issue, and the exporter renews it again and again: this line "
        "should stay near 90. A client secret or certificate counts down until somebody replaces it. The "
        "lines across are where the alerts begin, at 21 and 7 days.",
        [
            over_time(TOKEN_DAYS, "refresh token · {{partner}}"),
            over_time(CREDENTIAL_DAYS, "client credential · {{partner}}"),
        ],
        defaults={
            "unit": "none",
            "decimals": 0,
            "min": 0,
            "thresholds": steps("red", (7, "orange"), (21, "green")),
        },
        custom={"thresholdsStyle": {"mode": "dashed"}},
        size=(24, 8),
        runbooks=EXPIRIES,
    )
