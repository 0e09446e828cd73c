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
_LEGEND_LIST: Json = {"displayMode": "list", "placement": "right", "showLegend": True, "calcs": []}
_LEGENDS_BESIDE = {
    "": _LEGEND_LIST,
    **{
        calc: _LEGEND_LIST | {"displayMode": "table", "calcs": [calc], "sortBy": title, "sortDesc": False}
        for calc, title in (("lastNotNull", "Last *"), ("diff", "Difference"))
    },
}
NO_COUNTS = "Nothing counted in this time: counts begin with Prometheus' first scrapes, and backfilled history has none"
# Longer gaps in a line show. Backfilled history may have a sample every six hours.
_GAP_MILLISECONDS = 7 * 3600 * 1000
# The shortest step of a graph. Longer than any sensible scrape interval, so that every step has a scrape, whatever the
# data source's `timeInterval` says. New data come once a poll, which is rarer.
STEP = "15m"


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


RATIO: Json = {"unit": "percentunit", "min": 0, "max": 1, "decimals": 1}
COUNT: Json = {"unit": "locale", "decimals": 0, "thresholds": steps("text")}
# A ratio's bar says how much, not whether that is good: a colour that does is that of the distance to the target.
BAR: Json = RATIO | {
    "color": {"mode": "fixed", "fixedColor": "blue"},
    "custom__cellOptions": {"type": "gauge", "mode": "basic", "valueDisplayMode": "text"},
}
NO_TARGET = [
    {"type": "special", "options": {"match": "null", "result": {"text": "no target", "color": "text", "index": 0}}}
]


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


def colored(title: str, colors: Json, *, width: int, **more: Any) -> Json:
    """Return the override for a column whose text these thresholds colour."""
    return override(
        "byName", title, thresholds=colors, custom__cellOptions={"type": "color-text"}, custom__width=width, **more
    )


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


def stat(*described: Any, defaults: Json, overrides: Sequence[Json] = (), text: str = "auto", **more: Any) -> Json:
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
    return panel(
        "stat", *described, fieldConfig=_fields(defaults, _THRESHOLD_COLORS, overrides), options=options, **more
    )


def lines(
    *described: Any,
    defaults: Json,
    overrides: Sequence[Json] = (),
    custom: Mapping[str, Any] | None = None,
    legend: str = "lastNotNull",
    **more: Any,
) -> Json:
    """Return a time series panel; long gaps in the data show as gaps in the line.

    `legend` is the calculation that the legend shows of each series, lowest first, if the panel is wide enough.
    """
    style = {
        "drawStyle": "line",
        "lineWidth": 2,
        "fillOpacity": 0,
        "showPoints": "auto",
        "spanNulls": _GAP_MILLISECONDS,
        "thresholdsStyle": {"mode": "off"},
    }
    shown = _LEGEND_BELOW if more["size"][0] < WIDTH / 2 else _LEGENDS_BESIDE[legend]
    options = {"legend": shown, "tooltip": {"mode": "multi", "sort": "desc"}}
    fields = _fields(defaults | {"custom": {**style, **(custom or {})}}, _SERIES_COLORS, overrides)
    return panel("timeseries", *described, fieldConfig=fields, options=options, interval=STEP, **more)


def stacked_bars(*described: Any, **more: Any) -> Json:
    """Return stacked bars of events, one bar for each step; it begins where its step does."""
    custom = {
        "drawStyle": "bars",
        "barAlignment": 1,
        "lineWidth": 0,
        "fillOpacity": 80,
        "showPoints": "never",
        "axisSoftMax": 4,
        "stacking": {"mode": "normal", "group": "A"},
    }
    defaults = {"unit": "short", "decimals": 0, "min": 0, "noValue": NO_COUNTS}
    return lines(*described, defaults=defaults, custom=custom, legend="", **more)


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

    Columns without a width in `overrides` share what the others leave; from Grafana 12 on, one that needs more than its
    share takes that from no other, so the table gets too wide. `no_value` is what it says instead of showing no
    rows.
    """
    labels = [title for key, title in columns.items() if title and len(key) > 1]
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
            {"custom": {"align": "auto", "filterable": False, "minWidth": 70}}
            | ({"noValue": no_value} if no_value else {}),
            _THRESHOLD_COLORS,
            [
                # Not `no_value`, in each cell.
                override("byRegexp", ".*", noValue="-"),
                *(override("byName", title, custom__filterable=True) for title in labels),
                *overrides,
            ],
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
    one: Json = {} if all_value else {"multi": False, "includeAll": False, "current": {}}
    expression = f'/{value}="(?<value>[^"]+)|{shown}="(?<text>.+?)"(?=,\\w+="|}})/g'
    return _variable_of_series(name, label, query, expression, all_value=all_value) | one


def ids_variable(name: str, query: str, label: str) -> Json:
    """Return a hidden variable: one label of all series of a query, as a regular expression."""
    hidden = {"hide": 2, "skipUrlSync": True}
    return _variable_of_series(name, "", query, f'/{label}="([^"]+)"/', all_value=None) | hidden


def _variable_of_series(name: str, label: str, query: str, expression: str, *, all_value: str | None) -> Json:
    """Return a variable whose options this regular expression finds in the series of a query."""
    result = f"query_result({query})"
    asked = {"qryType": 3, "query": result, "refId": "PrometheusVariableQueryEditor-VariableQuery"}
    return variable(name, label, result, all_value=all_value) | {"query": asked, "regex": expression}


def variable(name: str, label: str, query: str, *, all_value: str | None) -> Json:
    """Return a variable with a label's values as options; `all_value` is the regex for "All", None: all of them."""
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
