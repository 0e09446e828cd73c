"""The dashboards in the form of grafana.com: what an import asks for, and what becomes of the answer."""

import json
from collections.abc import Iterator
from typing import Any

import pytest

from grafana.sharing import importable
from tests.support.dashboard import CUSTOMERS, LICENCES, Dashboard
from tests.support.rules import REPOSITORY

FOLDER = REPOSITORY / "grafana" / "importable"
EACH = pytest.mark.parametrize("dashboard", [LICENCES, CUSTOMERS], ids=str)
CHOICE = "uid-of-a-data-source"


def form_of(dashboard: Dashboard) -> dict[str, Any]:
    content: dict[str, Any] = json.loads((FOLDER / dashboard.file.name).read_text("utf-8"))
    return content


def types(panels: list[dict[str, Any]]) -> Iterator[str]:
    """Yield each panel's type, also below a collapsed row."""
    for panel in panels:
        yield panel["type"]
        yield from types(panel.get("panels", []))


def test_there_is_one_for_each_dashboard() -> None:
    assert {file.name for file in FOLDER.iterdir()} == {file.name for file in LICENCES.file.parent.iterdir()}


@EACH
def test_an_import_makes_the_provisioned_dashboard_with_the_chosen_data_source(dashboard: Dashboard) -> None:
    """Grafana replaces inputs in every text: pkg/services/dashboardimport/utils/dash_template_evaluator.go."""
    form = form_of(dashboard)
    [asked] = form.pop("__inputs")
    assert (asked["type"], asked["pluginId"]) == ("datasource", "prometheus")
    imported = json.loads(json.dumps(form).replace(f"${{{asked['name']}}}", CHOICE))
    assert (imported.pop("__elements"), imported.pop("id")) == ({}, None)
    assert imported.pop("__requires")
    [source] = [variable for variable in imported["templating"]["list"] if variable["type"] == "datasource"]
    assert source["current"]["value"] == CHOICE
    source["current"] = {}
    assert imported == dashboard.content


@EACH
def test_what_it_needs_is_listed(dashboard: Dashboard) -> None:
    listed = {(needed["type"], needed["id"]): needed["version"] for needed in form_of(dashboard)["__requires"]}
    panels = {("panel", kind) for kind in types(dashboard.content["panels"]) if kind != "row"}
    assert listed.keys() == {("grafana", "grafana"), ("datasource", "prometheus")} | panels
    assert listed["grafana", "grafana"] == "11.0.0"


def test_a_panel_below_a_collapsed_row_counts_and_an_unknown_one_is_refused() -> None:
    row = {"type": "row", "panels": [{"type": "stat"}]}
    dashboard: dict[str, Any] = {"panels": [row], "templating": {"list": []}}
    assert "stat" in [needed["id"] for needed in importable(dashboard)["__requires"]]
    row["panels"] = [{"type": "unheard-of"}]
    with pytest.raises(KeyError, match="unheard-of"):
        importable(dashboard)
