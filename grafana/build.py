"""Generates the Grafana dashboard: `python grafana/build.py`.

With `--check` nothing is written, and the exit status is 1 if the file is stale.
"""

import json
import sys
from pathlib import Path

FOLDER = Path(__file__).parent
sys.path.insert(0, str(FOLDER.parent))  # this directory is part of the checkout, not an installed package

from exporter.metrics import catalogue  # noqa: E402  found by the path above
from grafana import licences, operation  # noqa: E402  found by the path above
from grafana.panels import DATA_SOURCE, RUNBOOKS, Json, arrange, variable  # noqa: E402  found by the path above
from grafana.queries import INSTANCES, selector  # noqa: E402  found by the path above

FILE = FOLDER / "dashboards" / "partnercenter-licenses.json"
_PARTNERS = f'{INSTANCES}, partner=~"$partner"'
_DATA = f'__name__=~"{catalogue.USAGE_RATIO.name}|{catalogue.DEPLOYMENT_RATIO.name}"'


def dashboard() -> Json:
    """Return the complete dashboard."""
    return {
        "uid": "partnercenter-licenses",
        "title": "Partner Center licences",
        "description": "Licence usage in Microsoft Partner Center, and the health of its exporter.",
        "tags": ["partnercenter-exporter", "licences"],
        "schemaVersion": 41,
        "version": 1,
        "editable": False,
        "graphTooltip": 1,
        "refresh": "5m",
        "time": {"from": "now-30d", "to": "now"},
        "timepicker": {},
        "timezone": "browser",
        "fiscalYearStartMonth": 0,
        "links": [
            {
                "type": "link",
                "title": "Runbooks",
                "url": RUNBOOKS,
                "icon": "doc",
                "targetBlank": True,
                "asDropdown": False,
                "includeVars": False,
                "keepTime": False,
                "tags": [],
                "tooltip": "What each alert means and how to fix it",
            }
        ],
        "templating": {"list": _variables()},
        "annotations": {"list": _annotations()},
        "panels": arrange(
            [
                ("Overview", licences.overview()),
                ("Usage", licences.usage()),
                ("All series", licences.series()),
                ("Deployment by service", licences.deployment()),
                ("Exporter health", operation.health()),
            ]
        ),
    }


def _variables() -> list[Json]:
    data_source = {
        "type": "datasource",
        "name": "datasource",
        "label": "Data source",
        "query": "prometheus",
        "current": {},
        "hide": 0,
        "includeAll": False,
        "multi": False,
        "options": [],
        "refresh": 1,
        "regex": "",
        "skipUrlSync": False,
    }
    info = catalogue.BUILD_INFO.name
    source = f"{catalogue.SOURCE_INFO.name}{{{INSTANCES}}}"
    channel = f"{{{_DATA}, {_PARTNERS}}}"
    service = f'{{{_DATA}, {_PARTNERS}, channel=~"$channel"}}'
    workload = f'{catalogue.USAGE_RATIO.name}{{{_PARTNERS}, channel=~"$channel", service=~"$service"}}'
    return [
        data_source,
        variable("job", "Job", f"label_values({info}, job)", all_value=".+"),
        variable("instance", "Instance", f'label_values({info}{{job=~"$job"}}, instance)', all_value=".+"),
        # An empty label must not hide a series: hence .* here.
        variable("partner", "Partner", f"label_values({source}, partner)", all_value=".*"),
        variable("channel", "Channel", f"label_values({channel}, channel)", all_value=".*"),
        variable("service", "Service", f"label_values({service}, service)", all_value=".*"),
        variable("workload", "Workload", f"label_values({workload}, workload)", all_value=".*"),
    ]


def _annotations() -> list[Json]:
    # Alerts are per partner, not per instance: most of them have no instance label.
    firing = 'ALERTS{alertname=~"PartnerCenter.+", alertstate="firing", partner=~"$partner"}'
    processed = f"max by (partner) ({selector(catalogue.USAGE_PROCESSED)}) * 1000"
    common = {"datasource": DATA_SOURCE, "enable": True, "hide": False, "step": "1h"}
    return [
        common
        | {
            "name": "Firing alerts",
            "expr": firing,
            "iconColor": "red",
            "tagKeys": "severity",
            "titleFormat": "{{alertname}}",
            "textFormat": "{{workload}} {{service}} {{channel}} {{source}} {{partner}}",
        },
        common
        | {
            "name": "New data",
            "expr": processed,
            "iconColor": "blue",
            "titleFormat": "Microsoft processed new data",
            "textFormat": "{{partner}}",
            "useValueForTime": True,
        },
    ]


def main() -> int:
    """Write the file, or with --check compare it; 1 if it is stale."""
    content = json.dumps(dashboard(), indent=2, ensure_ascii=False) + "\n"
    if "--check" not in sys.argv:
        FILE.parent.mkdir(exist_ok=True)
        FILE.write_text(content, "utf-8")
        return 0
    fresh = FILE.exists() and FILE.read_text("utf-8") == content
    print(f"grafana/dashboards/{FILE.name} is {'up to date' if fresh else 'stale: run python grafana/build.py'}")
    return 0 if fresh else 1


if __name__ == "__main__":
    sys.exit(main())
