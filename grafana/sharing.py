"""A dashboard in the form that grafana.com publishes, and that asks for its data source when it is imported.

It is what "Export for sharing externally" makes (makeExportableV1 in Grafana's source,
public/app/features/dashboard-scene/scene/export/exporters.ts): Grafana replaces each `${input}` in any text by what was
chosen. As all queries use the variable `datasource`, the variable's value is the only such text.
"""

from collections.abc import Iterator

from grafana.panels import Json

_INPUT = "DS_PROMETHEUS"
# Grafana 11 is the oldest that these dashboards are for. What comes with it has no version of its own.
_GRAFANA = {"type": "grafana", "id": "grafana", "name": "Grafana", "version": "11.0.0"}
_PROMETHEUS = {"type": "datasource", "id": "prometheus", "name": "Prometheus", "version": "1.0.0"}
_PANELS = {
    "barchart": "Bar chart",
    "bargauge": "Bar gauge",
    "stat": "Stat",
    "table": "Table",
    "timeseries": "Time series",
}


def importable(dashboard: Json) -> Json:
    """Return the dashboard with what an import asks for and needs; raises KeyError for an unknown type of panel."""
    asked = {
        "name": _INPUT,
        "label": "Prometheus",
        "description": "",
        "type": "datasource",
        "pluginId": "prometheus",
        "pluginName": "Prometheus",
    }
    variables = [_chosen(variable) for variable in dashboard["templating"]["list"]]
    panels = [
        {"type": "panel", "id": kind, "name": _PANELS[kind], "version": ""}
        for kind in set(_kinds(dashboard["panels"])) - {"row"}
    ]
    return {
        "__inputs": [asked],
        "__elements": {},
        "__requires": sorted([_GRAFANA, _PROMETHEUS, *panels], key=lambda needed: needed["id"]),
        "id": None,
        **dashboard,
        "templating": {"list": variables},
    }


def _chosen(variable: Json) -> Json:
    if variable["type"] != "datasource":
        return variable
    return variable | {"current": {"text": "", "value": f"${{{_INPUT}}}", "selected": True}}


def _kinds(panels: list[Json]) -> Iterator[str]:
    for panel in panels:
        yield panel["type"]
        yield from _kinds(panel.get("panels", []))
