"""The licence rows, for the partner manager."""

from exporter.metrics import catalogue
from exporter.model.rows import SourceName
from grafana import queries
from grafana.operation import EXPIRIES, credential_days, token_days
from grafana.panels import (
    BAR,
    COUNT,
    NO_TARGET,
    RATIO,
    Json,
    colored,
    instant,
    lines,
    over_time,
    override,
    stat,
    steps,
    table,
)
from grafana.queries import DEPLOYMENT, DISTANCE, IN_USE, SOLD, TARGET, USAGE, by_labels, on_graph

_SERIES = "{{workload}} · {{service}} · {{channel}} · {{partner}}"
_SERVICE = "{{service}} · {{channel}} · {{partner}}"
_SHOWN = 10
_PROCESSED = {catalogue.USAGE_PROCESSED: SourceName.USAGE, catalogue.DEPLOYMENT_PROCESSED: SourceName.DEPLOYMENT}
# What is below its target, what isn't, and what has none, with their colours.
_AGAINST_TARGET = (
    (f"{USAGE} < {TARGET}", "red"),
    (f"{USAGE} >= {TARGET}", "green"),
    (f"({USAGE} unless {TARGET})", "text"),
)


def overview() -> list[Json]:
    """Return the stat panels that show whether action is needed."""
    return [
        stat(
            "Lowest against target",
            "Usage of the series that is furthest below its target: red below it, green if even this one meets it. "
            "Without any target, the lowest usage, in no colour of its own.",
            [instant(f"{usage} and bottomk(1, {DISTANCE})", _SERIES) for usage, _ in _AGAINST_TARGET],
            defaults=RATIO,
            overrides=[
                override("byFrameRefID", letter, color={"mode": "fixed", "fixedColor": color})
                for letter, (_, color) in zip("ABC", _AGAINST_TARGET, strict=True)
            ],
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
            defaults=COUNT | {"noValue": "unknown"},
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
            [instant(f"min({token_days()})", "sign-in"), instant(f"min({credential_days()})", "client secret")],
            defaults={"unit": "none", "decimals": 0, "thresholds": steps("red", (7, "orange"), (21, "green"))},
            text="value_and_name",
            size=(4, 5),
            runbooks=[*EXPIRIES, "PartnerCenterSignInRefused"],
        ),
    ]


def usage() -> list[Json]:
    """Return usage over time."""
    target = override(
        "byFrameRefID",
        "B",
        color={"mode": "fixed", "fixedColor": "text"},
        custom__lineStyle={"fill": "dash", "dash": [6, 6]},
        custom__lineWidth=1,
        custom__hideFrom={"legend": True, "tooltip": False, "viz": False},
    )
    chosen = queries.furthest_below_target(_SHOWN)
    return [
        lines(
            f"Usage of the {_SHOWN} series furthest below target",
            f"Licences in use out of those eligible. Only {_SHOWN} series are drawn: those that are furthest below "
            "their target at the end of this time or, where fewer have one, those with the lowest usage; and those "
            "that vanished. The table below lists all: choose a workload above to see its own. Dashed lines are the "
            "targets. The legend has the change within this time, in percentage points.",
            [
                over_time(chosen, _SERIES),
                over_time(f"{by_labels(catalogue.USAGE_TARGET, read=on_graph)} and {chosen}", f"Target: {_SERIES}"),
            ],
            defaults=RATIO,
            overrides=[target],
            legend="diff",
            size=(24, 12),
            runbooks=["PartnerCenterUsageFell", "PartnerCenterWorkloadVanished"],
        )
    ]


def series() -> list[Json]:
    """Return the table of all series."""
    below = steps("red", (0, "green"), lowest=-100)
    change = steps("red", (-5, "orange"), (-1, "text"), (1, "green"), lowest=-100)
    return [
        table(
            "All series, lowest usage first",
            "Current usage, its difference from the target (red: below target) and from last week, both in "
            "percentage points, and how long ago Microsoft processed the data. The colours follow the target of each "
            "series: usage without one has none. What is newer than a week has no change from last week. The legacy "
            "API has no counts (in use, eligible).",
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
                override("byName", "Usage", **BAR, custom__width=170),
                override("byName", "Workload", custom__minWidth=210),
                override("byRegexp", "(Service|Channel)", custom__width=100),
                override("byName", "Partner", custom__width=120),
                colored("vs. target", below, width=90, unit="none", decimals=1, mappings=NO_TARGET),
                colored("vs. last week", change, width=110, unit="none", decimals=1),
                override("byRegexp", "(In use|Eligible)", unit="locale", decimals=0, custom__width=85),
                override("byName", "Data age", unit="s", decimals=1, custom__width=95),
            ],
            size=(24, 12),
            runbooks=[
                "PartnerCenterUsageBelowTarget",
                "PartnerCenterUsageFell",
                "PartnerCenterUsageDeclining",
                "PartnerCenterLabelsClash",
            ],
        )
    ]


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
                override("byName", "Deployed", **BAR, custom__width=150),
                override("byRegexp", "(Sold|In use|Idle)", unit="locale", decimals=0, custom__width=85),
            ],
            size=(14, 9),
            runbooks=["PartnerCenterLicensesSoldFell", "PartnerCenterIdleLicensesGrew"],
        ),
        lines(
            "Deployment over time",
            "Licences deployed out of those sold, by service.",
            [over_time(by_labels(catalogue.DEPLOYMENT_RATIO, read=on_graph), _SERVICE)],
            defaults=RATIO,
            size=(10, 9),
        ),
    ]
