"""The licence rows, for the partner manager."""

from exporter.metrics import catalogue
from exporter.model.rows import SourceName
from grafana import queries
from grafana.operation import CREDENTIAL_DAYS, EXPIRIES, TOKEN_DAYS
from grafana.panels import Json, bars, instant, lines, over_time, override, stat, steps, table
from grafana.queries import DEPLOYMENT, IN_USE, SOLD, TARGET, USAGE, by_labels

_SERIES = "{{workload}} · {{service}} · {{channel}} · {{partner}}"
_SERVICE = "{{service}} · {{channel}} · {{partner}}"
_USAGE = steps("red", (0.3, "orange"), (0.5, "green"))
_RATIO: Json = {"unit": "percentunit", "min": 0, "max": 1, "decimals": 1, "thresholds": _USAGE}
_COUNT: Json = {"unit": "locale", "decimals": 0, "thresholds": steps("text")}
_GAUGE = {"type": "gauge", "mode": "basic", "valueDisplayMode": "text"}
_COLORED = {"type": "color-text"}
_PROCESSED = {catalogue.USAGE_PROCESSED: SourceName.USAGE, catalogue.DEPLOYMENT_PROCESSED: SourceName.DEPLOYMENT}


def overview() -> list[Json]:
    """Return the stat panels that show whether action is needed."""
    return [
        stat(
            "Lowest usage",
            "The workload with the lowest usage: licences in use out of those that include it.",
            [instant(f"bottomk(1, {USAGE})", _SERIES)],
            defaults=_RATIO,
            text="value_and_name",
            size=(6, 5),
            runbooks=["PartnerCenterUsageBelowTarget", "PartnerCenterUsageFell"],
        ),
        stat(
            "Series below target",
            "Number of series whose usage is below their target; the table below lists them. Empty if the "
            "exporter's configuration has no targets.",
            [instant(f"sum({USAGE} < bool {TARGET})", "below target")],
            defaults={"unit": "none", "thresholds": steps("green", (1, "red")), "noValue": "no targets"},
            size=(4, 5),
            runbooks=["PartnerCenterUsageBelowTarget"],
        ),
        stat(
            "Licences",
            "Licences sold, and how many of them are in use (deployed to a user). Licences are not additive "
            "across workloads, so this panel ignores the `workload` variable.",
            [instant(f"sum({SOLD})", "sold"), instant(f"sum({IN_USE})", "in use")],
            defaults=_COUNT | {"noValue": "unknown"},
            text="value_and_name",
            size=(6, 5),
        ),
        stat(
            "Data age, of its limit",
            "How old the oldest data shown is, in percent of the age from which data of its API is old (14 days; "
            "75 with Partner Insights, whose months are dated by their first day). The table below shows each age.",
            [instant(queries.age_of_limit(metric, name), name) for metric, name in _PROCESSED.items()],
            defaults={"unit": "percent", "decimals": 0, "thresholds": steps("green", (80, "orange"), (100, "red"))},
            text="value_and_name",
            size=(4, 5),
            runbooks=["PartnerCenterDataNotProcessed"],
        ),
        stat(
            "Sign-in days left",
            "Days until the first refresh token expires unless renewed (0 if one was refused), and until the "
            "first client secret or certificate expires, where the exporter knows the date.",
            [instant(f"min({TOKEN_DAYS})", "sign-in"), instant(f"min({CREDENTIAL_DAYS})", "client secret")],
            defaults={"unit": "none", "decimals": 0, "thresholds": steps("red", (7, "orange"), (21, "green"))},
            text="value_and_name",
            size=(4, 5),
            runbooks=[*EXPIRIES, "PartnerCenterSignInRefused"],
        ),
    ]


def usage() -> list[Json]:
    """Return usage over time and current usage."""
    target = override(
        "byFrameRefID",
        "B",
        color={"mode": "fixed", "fixedColor": "text"},
        custom__lineStyle={"fill": "dash", "dash": [6, 6]},
        custom__lineWidth=1,
        custom__hideFrom={"legend": True, "tooltip": False, "viz": False},
    )
    return [
        lines(
            "Usage and target",
            "Licences in use out of those eligible, per series. Dashed lines are the targets: select a "
            "workload above to see only its own.",
            [over_time(USAGE, _SERIES), over_time(TARGET, f"Target: {_SERIES}")],
            defaults=_RATIO,
            overrides=[target],
            size=(16, 12),
            runbooks=["PartnerCenterUsageFell", "PartnerCenterWorkloadVanished"],
        ),
        bars(
            "Current usage by workload",
            "The latest usage of each workload; the lowest one if it is sold through several channels or partners.",
            [instant(f"sort(min by (workload, service) ({USAGE}))", "{{workload}} · {{service}}")],
            defaults=_RATIO,
            size=(8, 12),
            runbooks=["PartnerCenterUsageBelowTarget"],
        ),
    ]


def series() -> list[Json]:
    """Return the table of all series."""
    below = steps("red", (0, "green"), lowest=-100)
    change = steps("red", (-5, "orange"), (-1, "text"), (1, "green"), lowest=-100)
    return [
        table(
            "All series, lowest usage first",
            "Current usage, its difference from the target (negative: below target) and from last week, both "
            "in percentage points, and how long ago Microsoft processed the data. The change from last week "
            "needs a week of data. The legacy API has no counts (in use, eligible).",
            [
                instant(USAGE, table=True),
                instant(f"({USAGE} - {TARGET}) * 100", table=True),
                instant(f"({USAGE} - {queries.a_week_ago(catalogue.USAGE_RATIO)}) * 100", table=True),
                instant(f"time() - {by_labels(catalogue.USAGE_PROCESSED)}", table=True),
                instant(queries.count(catalogue.LICENSES_ACTIVE), table=True),
                instant(queries.count(catalogue.LICENSES_QUALIFIED), table=True),
            ],
            columns={
                "workload": "Workload",
                "service": "Service",
                "channel": "Channel",
                "partner": "Partner",
                "A": "Usage",
                "B": "vs. target",
                "C": "vs. last week",
                "E": "In use",
                "F": "Eligible",
                "D": "Data age",
            },
            sort="Usage",
            overrides=[
                override("byName", "Usage", **_RATIO, custom__cellOptions=_GAUGE, custom__minWidth=240),
                override("byName", "Workload", custom__minWidth=220),
                override(
                    "byName", "vs. target", unit="none", decimals=1, thresholds=below,
                    custom__cellOptions=_COLORED,
                ),
                override(
                    "byName", "vs. last week", unit="none", decimals=1, thresholds=change,
                    custom__cellOptions=_COLORED,
                ),
                override("byRegexp", "In use|Eligible", unit="locale", decimals=0),
                override("byName", "Data age", unit="s", decimals=1),
            ],
            size=(24, 12),
            runbooks=[
                "PartnerCenterUsageBelowTarget",
                "PartnerCenterUsageFell",
                "PartnerCenterUsageDeclining",
                "PartnerCenterLabelsClash",
            ],
        )
    ]  # fmt: skip


def deployment() -> list[Json]:
    """Return licences sold and deployed."""
    return [
        table(
            "Licences by service, lowest deployment first",
            "Licences sold, in use (deployed to a user), and paid for but idle.",
            [
                instant(DEPLOYMENT, table=True),
                instant(SOLD, table=True),
                instant(IN_USE, table=True),
                instant(f"{SOLD} - {IN_USE}", table=True),
            ],
            columns={
                "service": "Service",
                "channel": "Channel",
                "partner": "Partner",
                "A": "Deployed",
                "B": "Sold",
                "C": "In use",
                "D": "Idle",
            },
            sort="Deployed",
            overrides=[
                override("byName", "Deployed", **_RATIO, custom__cellOptions=_GAUGE, custom__minWidth=200),
                override("byRegexp", "Sold|In use|Idle", unit="locale", decimals=0),
            ],
            size=(14, 9),
            runbooks=["PartnerCenterLicensesSoldFell", "PartnerCenterIdleLicensesGrew"],
        ),
        lines(
            "Deployment over time",
            "Licences deployed out of those sold, by service.",
            [over_time(DEPLOYMENT, _SERVICE)],
            defaults=_RATIO,
            size=(10, 9),
        ),
    ]
