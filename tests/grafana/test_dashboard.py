"""The dashboards' files: valid for Grafana and dashboard-linter, and consistent with the catalogue and the rules."""

import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from itertools import combinations
from typing import Any

import promql_parser as promql
import pytest

from exporter.metrics.catalogue import DATA, EXPORTER
from tests.prometheus.test_promql import checker
from tests.support.dashboard import (
    ALL_CUSTOMERS,
    ANNOTATIONS,
    CUSTOMERS,
    LICENCES,
    QUERIES,
    RANKINGS,
    VARIABLES,
    Dashboard,
    Query,
    choices_query,
    filled_in,
    named_choices,
)
from tests.support.rules import ALERTS, REPOSITORY, RUNBOOKS

METRICS = checker()
BOTH = (LICENCES, CUSTOMERS)
PANELS = tuple(panel for dashboard in BOTH for panel in dashboard.panels)
EACH = pytest.mark.parametrize("dashboard", BOTH, ids=str)
OF_ONE_CUSTOMER = {"Usage by workload", "Licences by service", "Usage by product"}
CHOSEN = {**ALL_CUSTOMERS, "customer": "id", **{ranking["name"]: "(id)" for ranking in RANKINGS}}
DATA_SOURCE = {"type": "prometheus", "uid": "$datasource"}
NAMES = {metric.name for metric in (*DATA, *EXPORTER)}


def selectors(expr: str) -> Iterator[promql.VectorSelector]:
    """Yield every selector of an expression."""
    todo: list[Any] = [promql.parse(expr)]
    while todo:
        node = todo.pop()
        if isinstance(node, promql.VectorSelector):
            yield node
        parts = (getattr(node, name, None) for name in ("expr", "lhs", "rhs", "vector_selector"))
        todo += [part for part in (*parts, *getattr(node, "args", ())) if part is not None]


def matchers(selector: promql.VectorSelector) -> dict[str, str]:
    """Return a selector's matchers: label to operator and value."""
    return {matcher.name: f"{matcher.op}{matcher.value}" for matcher in selector.matchers.matchers}


def test_file_is_up_to_date() -> None:
    program = [sys.executable, str(REPOSITORY / "grafana" / "build.py"), "--check"]
    checked = subprocess.run(program, capture_output=True, text=True, check=False)  # noqa: S603  our own program
    assert checked.returncode == 0, checked.stdout


def test_variables_have_the_expected_order_and_options() -> None:
    source, *others = LICENCES.content["templating"]["list"]
    assert (source["name"], source["label"], source["type"]) == ("datasource", "Data source", "datasource")
    assert [variable["name"] for variable in others] == ["job", "instance", "partner", "channel", "service", "workload"]
    for variable in others:
        assert variable["datasource"] == DATA_SOURCE
        assert (variable["type"], variable["refresh"]) == ("query", 2)
        assert variable["multi"] is variable["includeAll"] is True
        assert variable["label"] == variable["name"].title()
        assert variable["allValue"] == (".+" if variable["name"] in ("job", "instance") else ".*")


def test_variables_of_customers_have_names_for_what_is_an_id() -> None:
    source, *others = CUSTOMERS.content["templating"]["list"]
    assert source == LICENCES.content["templating"]["list"][0]
    shown = [variable for variable in others if variable not in RANKINGS]
    assert [variable["name"] for variable in shown] == ["partner", "service", "workload", "product", "customer"]
    for variable in shown:
        assert (variable["datasource"], variable["type"], variable["refresh"]) == (DATA_SOURCE, "query", 2)
        assert variable["multi"] is variable["includeAll"] is (variable["name"] != "customer")
        assert variable["label"] == variable["name"].title()
        assert bool(named_choices(variable)) is (variable["name"] in ("product", "customer"))
    assert re.fullmatch(ALL_CUSTOMERS["workload"], "")
    assert not re.fullmatch(ALL_CUSTOMERS["workload"], "Exchange")


def test_a_ranking_is_hidden_and_all_of_its_customers_count() -> None:
    assert [ranking["name"] for ranking in RANKINGS] == ["most_idle", "lowest_usage", "movers_down", "movers_up"]
    for ranking in RANKINGS:
        assert (ranking["hide"], ranking["refresh"], ranking["skipUrlSync"]) == (2, 2, True)
        assert ranking["multi"] is ranking["includeAll"] is True
        assert ranking["allValue"] is None
        assert ranking["current"]["value"] == ["$__all"]
        pattern = ranking["regex"].strip("/")
        assert re.findall(pattern, '{customer_id="ID-1",partner="contoso"} 17 1790000000000') == ["ID-1"]


@pytest.mark.parametrize("name", ["product", "customer"])
@pytest.mark.parametrize("text", ["Contoso", '"Best" of Bank', "a, b", 'ends with "', "日本 {x}"])
def test_a_name_is_the_text_and_its_id_the_value_whatever_is_in_the_name(name: str, text: str) -> None:
    """Grafana writes a series' labels like this, with no escape: public/app/…/metric_find_query.ts."""
    [variable] = [variable for variable in CUSTOMERS.variables if variable["name"] == name]
    pattern = variable["regex"].removeprefix("/").removesuffix("/g").replace("(?<", "(?P<")
    for labels in (f'{name}_id="ID-1",{name}_name="{text}"', f'{name}_name="{text}",{name}_id="ID-1"'):
        found: dict[str, str] = {}
        for match in re.finditer(pattern, f"{{{labels}}} 1 1790000000000"):
            found |= {group: value for group, value in match.groupdict().items() if value is not None}
        assert found == {"text": text, "value": "ID-1"}


def test_a_customer_s_row_leads_to_its_own_view() -> None:
    tables = [panel for panel in CUSTOMERS.panels if panel["type"] == "table" and not panel["title"].startswith("Prod")]
    assert len(tables) == 4
    for panel in tables:
        [links] = [field["links"] for field in properties(panel) if "links" in field]
        assert links[0]["url"].startswith(f"/d/{CUSTOMERS.content['uid']}?")
        assert "var-customer=${__data.fields.customer_id}" in links[0]["url"]
        fields = panel["transformations"][1]["options"]["renameByName"]
        assert fields["customer_id"] == "customer_id"


def test_a_panel_without_data_says_what_to_configure() -> None:
    for panel in CUSTOMERS.panels:
        text = panel["fieldConfig"]["defaults"]["noValue"]
        assert re.search(r"detail|targets|customers\.yaml", text) or panel["title"].startswith("Left out")


@EACH
def test_file_can_be_provisioned(dashboard: Dashboard) -> None:
    assert (dashboard.content["uid"], dashboard.content["editable"]) == (dashboard.file.stem, False)
    assert not {"id", "__inputs", "__requires", "__elements"} & set(dashboard.content)
    assert "${DS_" not in dashboard.file.read_text("utf-8")


def test_the_dashboards_lead_to_each_other() -> None:
    for one, other in (BOTH, BOTH[::-1]):
        [link] = [link for link in one.content["links"] if link["url"].startswith("/d/")]
        assert (link["url"], link["title"]) == (f"/d/{other.content['uid']}", other.content["title"])


@pytest.mark.parametrize("panel", PANELS, ids=lambda panel: panel["title"])
def test_panel_says_what_it_shows_in_which_unit(panel: dict[str, Any]) -> None:
    assert panel["title"]
    assert len(panel["description"]) > 10
    assert panel["datasource"] == DATA_SOURCE
    assert panel["targets"]
    assert all(target["datasource"] == DATA_SOURCE for target in panel["targets"])
    fields = [panel["fieldConfig"]["defaults"], *properties(panel)]
    assert any("unit" in field or "mappings" in field for field in fields)


def properties(panel: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Yield the properties of each of the panel's overrides."""
    for override in panel["fieldConfig"]["overrides"]:
        yield {setting["id"]: setting["value"] for setting in override["properties"]}


@EACH
def test_ids_are_unique_and_no_panels_overlap(dashboard: Dashboard) -> None:
    panels = dashboard.content["panels"]
    ids = [panel["id"] for panel in panels]
    assert len(set(ids)) == len(ids)
    for one, other in combinations((panel["gridPos"] for panel in panels), 2):
        beside = one["x"] + one["w"] <= other["x"] or other["x"] + other["w"] <= one["x"]
        above = one["y"] + one["h"] <= other["y"] or other["y"] + other["h"] <= one["y"]
        assert beside or above, (one, other)
    assert all(panel["gridPos"]["x"] + panel["gridPos"]["w"] <= 24 for panel in panels)


def test_ratios_are_drawn_from_0_to_1() -> None:
    settings = [setting for p in PANELS for setting in (p["fieldConfig"]["defaults"], *properties(p))]
    ratios = [setting for setting in settings if setting.get("unit") == "percentunit"]
    assert ratios
    assert all((setting["min"], setting["max"]) == (0, 1) for setting in ratios)


@pytest.mark.parametrize("query", QUERIES, ids=str)
def test_query_uses_what_the_catalogue_has(query: Query) -> None:
    METRICS.labels(filled_in(query.expr))


@pytest.mark.parametrize("query", CUSTOMERS.queries, ids=str)
def test_query_of_customers_uses_what_is_there_and_the_variables(query: Query) -> None:
    METRICS.labels(filled_in(query.expr, CHOSEN))
    for selector in selectors(query.expr):
        found = matchers(selector)
        assert found["partner"].endswith("$partner")
        labels = METRICS.labels(selector.name or "")
        assert found.get("service", "").endswith("$service") or "service" not in labels


def test_a_table_s_columns_read_the_ranked_customers_alone() -> None:
    rankings = tuple(f"${ranking['name']}" for ranking in RANKINGS)
    tables = {p["title"] for p in CUSTOMERS.panels if p["type"] == "table" and "Products" not in p["title"]}
    for query in CUSTOMERS.queries:
        chosen = {matchers(selector).get("customer_id", "") for selector in selectors(query.expr)}
        restricted = len(chosen) == 1 and chosen.pop().endswith(rankings)
        assert restricted is (query.panel in tables), str(query)


def test_only_one_customer_s_panels_read_every_series_of_a_customer() -> None:
    assert {panel["title"] for panel in CUSTOMERS.panels} >= OF_ONE_CUSTOMER
    for query in CUSTOMERS.queries:
        named = [matchers(selector).get("customer_id", "") for selector in selectors(query.expr)]
        assert any(value.endswith("$customer") for value in named) is (query.panel in OF_ONE_CUSTOMER)


@pytest.mark.parametrize("query", QUERIES, ids=str)
def test_every_selector_uses_the_variables_for_its_labels(query: Query) -> None:
    for selector in selectors(query.expr.replace("$__rate_interval", "5m")):
        labels = METRICS.labels(selector.name or "")
        wanted = {"job", "instance"} | {variable["name"] for variable in VARIABLES} & labels
        found = matchers(selector)
        assert all(found.get(name, "").endswith(f"${name}") for name in wanted), selector


@pytest.mark.parametrize("query", QUERIES, ids=str)
def test_counters_are_read_as_increases(query: Query) -> None:
    for name in re.findall(r"partnercenter_\w+_(?:total|bucket)", query.expr):
        assert re.search(rf"(rate|increase)\({name}{{[^}}]*}}\[", query.expr)
    assert "rate(" not in query.expr.replace("$__rate_interval", "") or "[$__rate_interval]" in query.expr


@pytest.mark.parametrize("variable", CUSTOMERS.variables, ids=lambda variable: variable["name"])
def test_choices_of_customers_are_of_what_the_catalogue_has(variable: dict[str, Any]) -> None:
    name = variable["name"]
    if asked := named_choices(variable):
        wanted = {"partner", "customer_id"} if variable in RANKINGS else {f"{name}_id", f"{name}_name"}
        assert METRICS.labels(filled_in(asked, CHOSEN)) == wanted
    else:
        selector, label = choices_query(variable)
        assert label == name
        assert label in METRICS.labels(filled_in(selector, CHOSEN))


@pytest.mark.parametrize("variable", VARIABLES, ids=lambda variable: variable["name"])
def test_choices_are_of_labels_that_the_catalogue_has(variable: dict[str, Any]) -> None:
    selector, label = choices_query(variable)
    assert label == variable["name"]
    assert label in METRICS.labels(filled_in(selector))


def test_annotations_show_alerts_and_new_data() -> None:
    alerts, new_data = ANNOTATIONS
    assert alerts["expr"].startswith('ALERTS{alertname=~"PartnerCenter.+", alertstate="firing"')
    METRICS.labels(filled_in(new_data["expr"]))
    assert new_data["useValueForTime"] is True


def test_links_lead_to_runbooks_that_are_there() -> None:
    linked = {link["url"] for panel in PANELS for link in panel["links"]}
    written = {rule.keys["annotations"]["runbook_url"] for rule in ALERTS}
    assert linked == written
    assert not (RUNBOOKS.is_dir() and [url for url in linked if not (RUNBOOKS / url.split("/")[-1]).is_file()])


@EACH
def test_dashboard_linter_finds_no_problem(dashboard: Dashboard) -> None:
    linter = shutil.which("dashboard-linter")
    if linter is None:
        pytest.skip("dashboard-linter is not installed: go install github.com/grafana/dashboard-linter@v0.2.0")
    linted = subprocess.run([linter, "lint", "--strict", dashboard.file], capture_output=True, text=True, check=False)  # noqa: S603  the linter that was found
    assert linted.returncode == 0, linted.stdout + linted.stderr
