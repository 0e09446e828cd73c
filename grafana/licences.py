"""The rows about licences: what the partner manager looks at."""

from exporter.metrics import catalogue
from grafana import queries
from grafana.operation import CREDENTIAL_DAYS, EXPIRIES, TOKEN_DAYS
from grafana.panels import Json, bars, instant, lines, over_time, override, stat, steps, table
from grafana.queries import AGE_DAYS, DEPLOYMENT, IN_USE, SOLD, TARGET, USAGE, by_labels

_SERIES = "{{workload}} · {{service}} · {{channel}} · {{partner}}"
_SERVICE = "{{service}} · {{channel}} · {{partner}}"
_USAGE = steps("red", (0.3, "orange"), (0.5, "green"))
_RATIO: Json = {"unit": "percentunit", "min": 0, "max": 1, "decimals": 1, "thresholds": _USAGE}
_COUNT: Json = {"unit": "locale", "decimals": 0, "thresholds": steps("text")}
_GAUGE = {"type": "gauge", "mode": "basic", "valueDisplayMode": "text"}
_COLORED = {"type": "color-text"}
_PROCESSED = (catalogue.USAGE_PROCESSED, catalogue.DEPLOYMENT_PROCESSED)


def overview() -> list[Json]:
    """Return the numbers that say whether anything has to be done."""
    return [
        stat(
            "Lowest usage",
            "The workload that is used least: licences in use of those that include it.",
            [instant(f"bottomk(1, {USAGE})", _SERIES)],
            defaults=_RATIO,
            text="value_and_name",
            size=(6, 5),
            runbooks=["PartnerCenterUsageBelowTarget", "PartnerCenterUsageFell"],
        ),
        stat(
            "Series under target",
            "How many series are used less than their target expects. The table below says which. Without "
            "targets in the exporter's configuration there is nothing to show.",
            [instant(f"sum({USAGE} < bool {TARGET})", "under target")],
            defaults={"unit": "none", "thresholds": steps("green", (1, "red")), "noValue": "no targets"},
            size=(4, 5),
            runbooks=["PartnerCenterUsageBelowTarget"],
        ),
        stat(
            "Licences",
            "Licences sold, and those of them in use: deployed to a user. Licences can't be added up over "
            "workloads, so the variable `workload` has no say here.",
            [instant(f"sum({SOLD})", "sold"), instant(f"sum({IN_USE})", "in use")],
            defaults=_COUNT | {"noValue": "not known"},
            text="value_and_name",
            size=(6, 5),
        ),
        stat(
            "Age of the data, days",
            "How long ago Microsoft processed the oldest data shown. Four to six days are usual.",
            [
                instant(AGE_DAYS.format(by_labels(metric)), name)
                for metric, name in zip(_PROCESSED, ("usage", "deployment"), strict=True)
            ],
            defaults={
                "unit": "none",
                "decimals": 1,
                "thresholds": steps("green", (10, "orange"), (14, "red")),
            },
            text="value_and_name",
            size=(4, 5),
            runbooks=["PartnerCenterDataNotProcessed"],
        ),
        stat(
            "Days left on the sign-in",
            "Days until the first refresh token ends unless it is renewed, 0 when one was refused; and until "
            "the first client secret or certificate ends, where the exporter knows it.",
            [
                instant(f"min({TOKEN_DAYS})", "sign-in"),
                instant(f"min({CREDENTIAL_DAYS})", "client secret"),
            ],
            defaults={
                "unit": "none",
                "decimals": 0,
                "thresholds": steps("red", (7, "orange"), (21, "green")),
            },
            text="value_and_name",
            size=(4, 5),
            runbooks=[*EXPIRIES, "PartnerCenterSignInRefused"],
        ),
    ]


def usage() -> list[Json]:
    """Return usage over time, and now."""
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
            "Licences in use of those that could be, for each series. The dashed lines are the targets: "
            "choose a workload above to see its own.",
            [over_time(USAGE, _SERIES), over_time(TARGET, f"Target: {_SERIES}")],
            defaults=_RATIO,
            overrides=[target],
            size=(16, 12),
            runbooks=["PartnerCenterUsageFell", "PartnerCenterWorkloadVanished"],
        ),
        bars(
            "Usage now, by workload",
            "The newest usage of each workload; where it is sold through several channels or partners, the "
            "lowest one.",
            [instant(f"sort(min by (workload, service) ({USAGE}))", "{{workload}} · {{service}}")],
            defaults=_RATIO,
            size=(8, 12),
            runbooks=["PartnerCenterUsageBelowTarget"],
        ),
    ]


def series() -> list[Json]:
    """Return the table of every series."""
    missed = steps("red", (0, "green"), least=-100)
    fell = steps("red", (-5, "orange"), (-1, "text"), (1, "green"), least=-100)
    return [
        table(
            "Every series, the least used first",
            "Usage now, how far it is above its target (below: negative), and its change since last week, "
            "both in percentage points; and how long ago Microsoft processed it. A series that is not a week "
            "old has no change. Licences in use, of those that could be, come from the commercial API only.",
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
                "B": "Above target",
                "C": "Since last week",
                "E": "In use",
                "F": "Of",
                "D": "Processed ago",
            },
            sort="Usage",
            overrides=[
                override("byName", "Usage", **_RATIO, custom__cellOptions=_GAUGE, custom__minWidth=240),
                override("byName", "Workload", custom__minWidth=220),
                override(
                    "byName", "Above target", unit="none", decimals=1, thresholds=missed,
                    custom__cellOptions=_COLORED,
                ),
                override(
                    "byName", "Since last week", unit="none", decimals=1, thresholds=fell,
                    custom__cellOptions=_COLORED,
                ),
                override("byRegexp", "In use|Of", unit="locale", decimals=0),
                override("byName", "Processed ago", unit="s", decimals=1),
            ],
            size=(24, 12),
            runbooks=["PartnerCenterUsageBelowTarget", "PartnerCenterUsageFell", "PartnerCenterLabelsClash"],
        )
    ]  # fmt: skip


def deployment() -> list[Json]:
    """Return what was sold, and what became of it."""
    return [
        table(
            "Licences by service, the least deployed first",
            "Licences sold, those in use (deployed to a user), and those paid for and idle.",
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
                "D": "Not in use",
            },
            sort="Deployed",
            overrides=[
                override("byName", "Deployed", **_RATIO, custom__cellOptions=_GAUGE, custom__minWidth=200),
                override("byRegexp", "Sold|In use|Not in use", unit="locale", decimals=0),
            ],
            size=(14, 9),
        ),
        lines(
            "Deployment over time",
            "Licences deployed of those sold, by service.",
            [over_time(DEPLOYMENT, _SERVICE)],
            defaults=_RATIO,
            size=(10, 9),
        ),
    ]
