"""Grafana's JSON for the panels of the dashboards, with the constant parts filled in.

The keys are those of Grafana's schema: https://github.com/grafana/grafana/tree/main/kinds/dashboard
A panel has its width and height in `gridPos`; `arrange` sets its position and id.
"""

import tomllib
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

Json = dict[str, Any]

WIDTH = 24
DATA_SOURCE = {"type": "prometheus", "uid": "$datasource"}
_PROJECT = tomllib.loads((Path(__file__).parents[1] / "pyproject.toml").read_text("utf-8"))["project"]
RUNBOOKS = f"{_PROJECT['urls']['Repository']}/blob/main/docs/runbooks"
_SERIES_COLORS = {"mode": "palette-classic"}
_THRESHOLD_COLORS = {"mode": "thresholds"}
_LEGEND_BELOW = {"displayMode": "list", "placement": "bottom", "showLegend": True, "calcs": []}
_LEGEND_BESIDE = {
    "displayMode": "table",
    "placement": "right",
    "showLegend": True,
    "calcs": ["lastNotNull"],
    "sortBy": "Last *",
    "sortDesc": False,
}


def instant(expr: str, legend: str = "", *, table: bool = False) -> Json:
    """Return an instant query, as series or as table rows."""
    return _target(expr, legend) | {"instant": True, "range": False, "format": "table" if table else "time_series"}


def over_time(expr: str, legend: str) -> Json:
    """Return a range query."""
    return _target(expr, legend) | {"instant": False, "range": True, "format": "time_series"}


def _target(expr: str, legend: str) -> Json:
    return {"datasource": DATA_SOURCE, "editorMode": "code", "expr": expr, "legendFormat": legend or "__auto"}


def steps(first: str, *others: tuple[float, str], lowest: float | None = None) -> Json:
    """Return thresholds: the base colour, then each value from which another colour applies.

    `lowest` is where the base starts. In an override a null counts as 0, so values below 0 need it.
    """
    return {
        "mode": "absolute",
        "steps": [{"color": first, "value": lowest}, *({"color": c, "value": v} for v, c in others)],
    }


def value_mappings(**of_values: tuple[str, str]) -> list[Json]:
    """Return mappings from a value to a text and colour; a keyword is the value prefixed with `v`."""
    options = {
        name[1:]: {"text": text, "color": color, "index": index}
        for index, (name, (text, color)) in enumerate(of_values.items())
    }
    return [{"type": "value", "options": options}]


def override(of: str, value: str, **properties: Any) -> Json:
    """Return an override for one field (`of="byName"`) or one query (`of="byFrameRefID"`); `__` is a dot."""
    return {
        "matcher": {"id": of, "options": value},
        "properties": [{"id": key.replace("__", "."), "value": setting} for key, setting in properties.items()],
    }


def panel(
    kind: str,
    title: str,
    description: str,
    targets: Sequence[Json],
    *,
    size: tuple[int, int],
    runbooks: Sequence[str] = (),
    **more: Any,
) -> Json:
    """Return a panel; `size` is width and height, `runbooks` are names of alerts."""
    width, height = size
    return {
        "type": kind,
        "title": title,
        "description": description,
        "datasource": DATA_SOURCE,
        "gridPos": {"w": width, "h": height},
        "links": [_runbook(name) for name in runbooks],
        "targets": [target | {"refId": chr(ord("A") + n)} for n, target in enumerate(targets)],
        **more,
    }


def _runbook(name: str) -> Json:
    return {"title": f"Runbook: {name}", "url": f"{RUNBOOKS}/{name}.md", "targetBlank": True}


def stat(*described: Any, defaults: Json, text: str = "auto", **more: Any) -> Json:
    """Return a stat panel; `described` is title, description and targets."""
    options = {
        "reduceOptions": {"values": False, "calcs": ["lastNotNull"], "fields": ""},
        "colorMode": "value",
        "graphMode": "none",
        "justifyMode": "auto",
        "orientation": "auto",
        "textMode": text,
        "wideLayout": False,
        "showPercentChange": False,
    }
    return panel("stat", *described, fieldConfig=_fields(defaults, _THRESHOLD_COLORS), options=options, **more)


def bars(*described: Any, defaults: Json, **more: Any) -> Json:
    """Return a horizontal bar gauge, one bar per series."""
    options = {
        "reduceOptions": {"values": False, "calcs": ["lastNotNull"], "fields": ""},
        "displayMode": "basic",
        "orientation": "horizontal",
        "namePlacement": "left",
        "valueMode": "color",
        "showUnfilled": True,
        "sizing": "auto",
        "minVizWidth": 8,
        "minVizHeight": 16,
        "maxVizHeight": 32,
    }
    fields = _fields(defaults, _THRESHOLD_COLORS)
    return panel("bargauge", *described, fieldConfig=fields, options=options, **more)


def lines(
    *described: Any,
    defaults: Json,
    overrides: Sequence[Json] = (),
    custom: Mapping[str, Any] | None = None,
    **more: Any,
) -> Json:
    """Return a time series panel; gaps in the data show as gaps in the line."""
    style = {
        "drawStyle": "line",
        "lineWidth": 2,
        "fillOpacity": 0,
        "showPoints": "auto",
        "spanNulls": False,
        "thresholdsStyle": {"mode": "off"},
    }
    legend = _LEGEND_BELOW if more["size"][0] < WIDTH / 2 else _LEGEND_BESIDE
    options = {"legend": legend, "tooltip": {"mode": "multi", "sort": "desc"}}
    fields = _fields(defaults | {"custom": {**style, **(custom or {})}}, _SERIES_COLORS, overrides)
    return panel("timeseries", *described, fieldConfig=fields, options=options, **more)


def stacked_bars(*described: Any, **more: Any) -> Json:
    """Return stacked bars of events per hour or longer, because polls are that rare."""
    custom = {
        "drawStyle": "bars",
        "lineWidth": 0,
        "fillOpacity": 80,
        "showPoints": "never",
        "axisSoftMax": 4,
        "stacking": {"mode": "normal", "group": "A"},
    }
    defaults = {"unit": "short", "decimals": 0, "min": 0}
    return lines(*described, defaults=defaults, custom=custom, interval="1h", **more)


def bar_chart(*described: Any, category: str, value: str, defaults: Json, **more: Any) -> Json:
    """Return vertical bars of one query's table, one for each value of the label `category`, in its order."""
    options = {
        "xField": category,
        "orientation": "vertical",
        "legend": {"displayMode": "list", "placement": "bottom", "showLegend": False, "calcs": []},
        "tooltip": {"mode": "single", "sort": "none"},
        "showValue": "auto",
        "stacking": "none",
        "barWidth": 0.8,
        "groupWidth": 0.7,
        "xTickLabelRotation": 0,
    }
    organized = {
        "renameByName": {"Value": value},
        "excludeByName": {"Time": True},
        "indexByName": {category: 0, "Value": 1},
    }
    sorting = {"fields": {}, "sort": [{"field": category, "desc": False}]}
    return panel(
        "barchart",
        *described,
        transformations=[{"id": "organize", "options": organized}, {"id": "sortBy", "options": sorting}],
        fieldConfig=_fields(defaults | {"custom": {"fillOpacity": 80, "lineWidth": 0}}, _SERIES_COLORS),
        options=options,
        **more,
    )


def table(
    *described: Any,
    columns: Mapping[str, str],
    sort: str,
    overrides: Sequence[Json],
    descending: bool = False,
    no_value: str = "",
    **more: Any,
) -> Json:
    """Return a table; `columns` maps a label or query letter to its column title, in order.

    `no_value` is what it says instead of showing no rows.
    """
    fields = {f"Value #{key}" if len(key) == 1 else key: title for key, title in columns.items()}
    organized = {
        "renameByName": {name: title for name, title in fields.items() if title},
        "excludeByName": {"Time": True, **{name: True for name, title in fields.items() if not title}},
        "indexByName": {name: index for index, name in enumerate(fields)},
    }
    options = {
        "showHeader": True,
        "cellHeight": "sm",
        "sortBy": [{"displayName": sort, "desc": descending}],
        "footer": {"show": False, "reducer": ["sum"], "countRows": False, "fields": ""},
    }
    return panel(
        "table",
        *described,
        transformations=[{"id": "merge", "options": {}}, {"id": "organize", "options": organized}],
        fieldConfig=_fields(
            {"custom": {"align": "auto", "filterable": True, "minWidth": 90}}
            | ({"noValue": no_value} if no_value else {}),
            _THRESHOLD_COLORS,
            overrides,
        ),
        options=options,
        **more,
    )


def _fields(defaults: Json, color: Json, overrides: Sequence[Json] = ()) -> Json:
    return {"defaults": {"color": color, **defaults}, "overrides": list(overrides)}


def named_variable(name: str, label: str, query: str, labels: tuple[str, str], *, all_value: str | None) -> Json:
    """Return a variable whose options show one label of a query's series, and have another as their value.

    `labels` are these two; without `all_value`, exactly one is chosen. A name may contain quotation marks: it ends with
    one before the next label or the end.
    """
    shown, value = labels
    one: Json = {} if all_value else {"multi": False, "includeAll": False, "allValue": None, "current": {}}
    expression = f'/{value}="(?<value>[^"]+)|{shown}="(?<text>.+?)"(?=,\\w+="|}})/g'
    asked = {"qryType": 3, "query": f"query_result({query})", "refId": "PrometheusVariableQueryEditor-VariableQuery"}
    return variable(name, label, f"query_result({query})", all_value=all_value or "") | {
        "query": asked,
        "regex": expression,
        **one,
    }


def ids_variable(name: str, query: str, label: str) -> Json:
    """Return a hidden variable: one label of all series of a query, as a regular expression."""
    return named_variable(name, "", query, (label, label), all_value=None) | {
        "regex": f'/{label}="([^"]+)"/',
        "multi": True,
        "includeAll": True,
        "current": {"selected": True, "text": ["All"], "value": ["$__all"]},
        "hide": 2,
        "skipUrlSync": True,
    }


def variable(name: str, label: str, query: str, *, all_value: str) -> Json:
    """Return a variable with a label's values as options; `all_value` is the regex for "All"."""
    return {
        "type": "query",
        "name": name,
        "label": label,
        "datasource": DATA_SOURCE,
        "definition": query,
        "query": {"qryType": 1, "query": query, "refId": "PrometheusVariableQueryEditor-VariableQuery"},
        "refresh": 2,
        "sort": 1,
        "multi": True,
        "includeAll": True,
        "allValue": all_value,
        "current": {"selected": True, "text": ["All"], "value": ["$__all"]},
        "hide": 0,
        "options": [],
        "regex": "",
        "skipUrlSync": False,
    }


def arrange(rows: Iterable[tuple[str, Sequence[Json]]]) -> list[Json]:
    """Return the panels with ids and positions: each row under its title, its panels from left to right."""
    placed: list[Json] = []
    y = 0
    for title, panels in rows:
        row = {"type": "row", "title": title, "collapsed": False, "panels": []}
        placed.append(row | {"id": len(placed) + 1, "gridPos": {"x": 0, "y": y, "w": WIDTH, "h": 1}})
        x, y, height = 0, y + 1, 0
        for item in panels:
            if x + item["gridPos"]["w"] > WIDTH:
                x, y, height = 0, y + height, 0
            placed.append(item | {"id": len(placed) + 1, "gridPos": {"x": x, "y": y, **item["gridPos"]}})
            x += item["gridPos"]["w"]
            height = max(height, item["gridPos"]["h"])
        y += height
    return placed
