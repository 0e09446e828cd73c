"""The mixin: what Jsonnet makes of it are the files of the repository, but for what `_config` changes."""

import json
import os
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.support.dashboard import CUSTOMERS, LICENCES
from tests.support.rules import REPOSITORY, RULE_FILES

MIXIN = REPOSITORY / "mixin" / "mixin.libsonnet"
FILES = {file.relative_to(REPOSITORY): file for file in (LICENCES.file, CUSTOMERS.file, *RULE_FILES)}
GROUPS = [group for file in RULE_FILES for group in yaml.safe_load(file.read_text("utf-8"))["groups"]]
JOB, RUNBOOKS, GRAFANA = "job-of-mine", "https://wiki.example.com/pages", "https://grafana.example.com"
CONFIG = (
    f"{{ partnercenterJob: '{JOB}', partnercenterRunbooksUrl: '{RUNBOOKS}/', partnercenterGrafanaUrl: '{GRAFANA}/' }}"
)


def run(program: str, *arguments: str | Path) -> str:
    """Return what one of Jsonnet's programs prints; skip the test where there is none."""
    found = shutil.which(program, path=os.pathsep.join((os.environ.get("PATH", ""), str(Path.home() / "go" / "bin"))))
    if found is None:
        pytest.skip("jsonnet is not installed: go install github.com/google/go-jsonnet/cmd/...@v0.22.0")
    done = subprocess.run([found, *arguments], capture_output=True, text=True, check=False)  # noqa: S603  what was found
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def evaluated(expression: str) -> Any:
    """Return the value of an expression in which `mixin` is the mixin."""
    return json.loads(run("jsonnet", "--exec", f"local mixin = import '{MIXIN}'; {expression}"))


def written(folder: Path, config: str = "{}") -> dict[Path, str]:
    """Return the files that it writes, by path."""
    expression = f"((import '{MIXIN}') + {{ _config+:: {config} }}).partnercenterFiles"
    flags: list[str | Path] = ["--string", "--no-trailing-newline", "--create-output-dirs", "--multi", folder]
    run("jsonnet", *flags, "--exec", expression)
    files = (path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder): path.read_bytes().decode() for path in files}


def test_its_files_are_those_of_the_repository_byte_for_byte(tmp_path: Path) -> None:
    assert written(tmp_path) == {name: file.read_bytes().decode() for name, file in FILES.items()}


def test_its_objects_are_those_of_the_files() -> None:
    fields = "{ dashboards: mixin.grafanaDashboards, alerts: mixin.prometheusAlerts, rules: mixin.prometheusRules }"
    objects = evaluated(fields)
    assert objects["dashboards"] == {dashboard.file.name: dashboard.content for dashboard in (LICENCES, CUSTOMERS)}
    alerting = [group for group in GROUPS if any("alert" in rule for rule in group["rules"])]
    assert objects["alerts"] == {"groups": alerting}
    assert objects["rules"] == {"groups": [group for group in GROUPS if group not in alerting]}


def test_configuration_changes_what_it_names_and_nothing_else(tmp_path: Path) -> None:
    files = written(tmp_path, CONFIG)
    [runbooks] = re.findall(r"runbooksUrl: '(.*)'", MIXIN.read_text("utf-8"))
    for name, text in files.items():
        assert not re.search(r"\bjob\W{1,2}partnercenter-exporter|dashboard_url: /d/", text)
        assert runbooks not in text
        undone = text.replace(JOB, "partnercenter-exporter").replace(RUNBOOKS, runbooks).replace(f"{GRAFANA}/d/", "/d/")
        assert undone == FILES[name].read_text("utf-8")
    rules = {
        rule.get("alert"): rule
        for group in yaml.safe_load(files[Path("prometheus/rules/exporter.yaml")])["groups"]
        for rule in group["rules"]
    }
    absent = rules["PartnerCenterExporterAbsent"]
    assert absent["expr"] == f'absent(up{{job="{JOB}"}} == 1)'
    assert absent["labels"]["job"] == JOB
    assert absent["annotations"]["runbook_url"] == f"{RUNBOOKS}/PartnerCenterExporterAbsent.md"
    assert absent["annotations"]["dashboard_url"].startswith(f"{GRAFANA}/d/")


def test_without_customers_their_rules_and_dashboard_are_left_out(tmp_path: Path) -> None:
    left_out = {Path("grafana/dashboards/partnercenter-customers.json"), Path("prometheus/rules/customers.yaml")}
    assert written(tmp_path, "{ partnercenterCustomers: false }").keys() == FILES.keys() - left_out


def test_it_adds_to_other_mixins() -> None:
    other = "{ _config+:: { a: 1 }, grafanaDashboards+:: { 'a.json': {} }, prometheusAlerts+:: { groups+: ['a'] } }"
    fields = "[both._config.a, both.grafanaDashboards['a.json'], both.prometheusAlerts.groups[0]]"
    assert evaluated(f"local both = {other} + mixin; {fields}") == [1, {}, "a"]


@pytest.mark.parametrize("command", [("jsonnetfmt", "--test"), ("jsonnet-lint",)], ids=" ".join)
def test_its_source_is_formatted_and_without_problems(command: tuple[str, ...]) -> None:
    run(*command, MIXIN)
