"""Generates the Grafana dashboards, for provisioning and for grafana.com: `python grafana/build.py`.

With `--check` nothing is written, and the exit status is 1 if a file is stale.
"""

import json
import sys
from pathlib import Path

FOLDER = Path(__file__).parent
sys.path.insert(0, str(FOLDER.parent))  # this directory is part of the checkout, not an installed package

from exporter.metrics import catalogue  # noqa: E402  found by the path above
from grafana import customers, licences, operation  # noqa: E402  found by the path above
from grafana.panels import DATA_SOURCE, RUNBOOKS, Json, arrange, named_variable, variable  # noqa: E402  found by the path above
from grafana.queries import INSTANCES, selector  # noqa: E402  found by the path above
from grafana.sharing import importable  # noqa: E402  found by the path above

DASHBOARDS, IMPORTABLE = FOLDER / "dashboards", FOLDER / "importable"
_LICENCES, _CUSTOMERS = "partnercenter-licenses", customers.UID
_PARTNERS = f'{INSTANCES}, partner=~"$partner"'
_DATA = f'__name__=~"{catalogue.USAGE_RATIO.name}|{catalogue.DEPLOYMENT_RATIO.name}"'


def dashboards() -> dict[str, Json]:
    """Return the complete dashboards, by uid."""
    return {_LICENCES: _of_licences(), _CUSTOMERS: _of_customers()}


def _of_licences() -> Json:
    return _dashboard(
        _LICENCES,
        "Partner Center licences",
        "Licence usage in Microsoft Partner Center, and the health of its exporter.",
        links=[_link("Licences by customer", f"/d/{_CUSTOMERS}", "Which customers pay for what they don't use")],
        variables=_variables(),
        annotations=_annotations(),
        rows=[
            ("Overview", licences.overview()),
            ("Usage", licences.usage()),
            ("All series", licences.series()),
            ("Deployment by service", licences.deployment()),
            ("Exporter health", operation.health()),
        ],
    )


def _of_customers() -> Json:
    return _dashboard(
        _CUSTOMERS,
        "Licences by customer",
        "Which customers pay for licences that they don't use, how many those are, and whether it gets better. Needs "
        "detail: [customer] in the exporter's configuration, and prometheus/rules/customers.yaml.",
        links=[_link("Partner Center licences", f"/d/{_LICENCES}", "Usage by workload, and the exporter's health")],
        variables=_customer_variables(),
        annotations=[],
        rows=[
            ("Overview", customers.overview()),
            ("Development", customers.development()),
            ("Twenty customers to talk to", customers.rankings()),
            ("Movers within four weeks", customers.movers()),
            ("One customer: $customer", customers.one_customer()),
            ("Products", customers.products()),
        ],
    )


def _dashboard(  # noqa: PLR0913 -- what the dashboards differ in
    uid: str,
    title: str,
    description: str,
    *,
    links: list[Json],
    variables: list[Json],
    annotations: list[Json],
    rows: list[tuple[str, list[Json]]],
) -> Json:
    return {
        "uid": uid,
        "title": title,
        "description": description,
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
            *links,
            _link("Runbooks", RUNBOOKS, "What each alert means and how to fix it")
            | {"icon": "doc", "targetBlank": True},
        ],
        "templating": {"list": variables},
        "annotations": {"list": annotations},
        "panels": arrange(rows),
    }


def _link(title: str, url: str, tooltip: str) -> Json:
    return {
        "type": "link",
        "title": title,
        "url": url,
        "icon": "dashboard",
        "targetBlank": False,
        "asDropdown": False,
        "includeVars": False,
        "keepTime": False,
        "tags": [],
        "tooltip": tooltip,
    }


def _customer_variables() -> list[Json]:
    """Return the variables; `$customer` is one customer, by name, whose history is shown."""
    chosen = 'partner=~"$partner"'
    source = f"{catalogue.SOURCE_INFO.name}"
    usage, customer, product = (
        m.name for m in (catalogue.USAGE_RATIO, catalogue.CUSTOMER_INFO, catalogue.PRODUCT_INFO)
    )
    workload = f'{usage}{{{chosen}, service=~"$service"}}'
    names = f"max by (customer_id, customer_name) ({customer}{{{chosen}}})"
    products = f"max by (product_id, product_name) ({product}{{{chosen}}})"
    return [
        _data_source(),
        variable("partner", "Partner", f"label_values({source}, partner)", all_value=".*"),
        variable("service", "Service", f"label_values({{{_DATA}, {chosen}}}, service)", all_value=".*"),
        variable("workload", "Workload", f"label_values({workload}, workload)", all_value=customers.ALL_WORKLOADS),
        named_variable("product", "Product", products, ("product_name", "product_id"), all_value=".*"),
        named_variable("customer", "Customer", names, ("customer_name", "customer_id"), all_value=None),
        *customers.ranked_variables(),
    ]


def _data_source() -> Json:
    return {
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


def _variables() -> list[Json]:
    info = catalogue.BUILD_INFO.name
    source = f"{catalogue.SOURCE_INFO.name}{{{INSTANCES}}}"
    channel = f"{{{_DATA}, {_PARTNERS}}}"
    service = f'{{{_DATA}, {_PARTNERS}, channel=~"$channel"}}'
    workload = f'{catalogue.USAGE_RATIO.name}{{{_PARTNERS}, channel=~"$channel", service=~"$service"}}'
    return [
        _data_source(),
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


def files() -> dict[Path, str]:
    """Return every generated file with its content."""
    built = {
        folder / f"{uid}.json": form
        for uid, dashboard in dashboards().items()
        for folder, form in ((DASHBOARDS, dashboard), (IMPORTABLE, importable(dashboard)))
    }
    return {file: json.dumps(form, indent=2, ensure_ascii=False) + "\n" for file, form in built.items()}


def main() -> int:
    """Write the files, or with --check compare them; 1 if one is stale."""
    stale = False
    for file, content in files().items():
        if "--check" not in sys.argv:
            file.parent.mkdir(exist_ok=True)
            file.write_text(content, "utf-8")
            continue
        fresh = file.exists() and file.read_text("utf-8") == content
        stale = stale or not fresh
        name = f"grafana/{file.relative_to(FOLDER)}"
        print(f"{name} is {'up to date' if fresh else 'stale: run python grafana/build.py'}")
    return 1 if stale else 0


if __name__ == "__main__":
    sys.exit(main())
