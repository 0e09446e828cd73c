"""The rules for Prometheus: promtool accepts them, runs their tests, and each alert is well-formed."""

import re
import shutil
import subprocess
import tomllib
from collections import Counter
from pathlib import Path

import pytest
import yaml

from exporter.config.schema import Poll
from tests.e2e.conftest import program
from tests.support.process import PATIENCE_SECONDS
from tests.support.rules import ALERTS, PROMETHEUS, RECORDED, REPOSITORY, RULE_FILES, TEST_FILES, Rule, alert_tests

EACH_ALERT = pytest.mark.parametrize("alert", ALERTS, ids=str)
TWICE = {"PartnerCenterRefreshTokenExpiresSoon", "PartnerCenterClientSecretExpiresSoon", "PartnerCenterPollsFailing"}


def promtool(*arguments: str | Path) -> str:
    """Run promtool in prometheus/; return its output, and fail the test if it reports an error."""
    completed = subprocess.run(  # noqa: S603  promtool
        [program("promtool"), *arguments], cwd=PROMETHEUS, capture_output=True, text=True, check=False, timeout=60
    )
    assert completed.returncode == 0, completed.stdout + completed.stderr
    return completed.stdout


def test_promtool_accepts_the_rules() -> None:
    assert promtool("check", "rules", *RULE_FILES).count("SUCCESS") == len(RULE_FILES)


def test_promtool_accepts_the_example_that_loads_them() -> None:
    """Those of customers are left out: whoever has no detail has no use for them."""
    assert f"{len(RULE_FILES) - 1} rule files found" in promtool("check", "config", "prometheus.yml")


def test_amtool_accepts_the_alertmanager_example() -> None:
    checked = subprocess.run(  # noqa: S603  amtool
        [program("amtool", "prometheus-alertmanager"), "check-config", PROMETHEUS / "alertmanager.yml"],
        capture_output=True,
        text=True,
        check=False,
        timeout=PATIENCE_SECONDS,
    )
    assert checked.returncode == 0, checked.stdout + checked.stderr


@pytest.mark.parametrize("file", TEST_FILES, ids=lambda file: file.stem)
def test_the_alerts_fire_when_they_should_and_only_then(file: Path) -> None:
    assert "SUCCESS" in promtool("test", "rules", file)


def test_every_alert_is_tested_firing_and_not_firing() -> None:
    tested = list(alert_tests())
    names = {alert.name for alert in ALERTS}
    assert {name for name, expected in tested if not expected} == names
    fired = {(name, alert["exp_labels"]["severity"]) for name, expected in tested for alert in expected}
    assert fired == {(alert.name, alert.keys["labels"]["severity"]) for alert in ALERTS}


@pytest.mark.parametrize("file", TEST_FILES, ids=lambda file: file.stem)
def test_stale_series_another_instance_and_a_second_replica_are_among_the_cases(file: Path) -> None:
    groups = yaml.safe_load(file.read_text("utf-8"))["tests"]
    cases = [case for group in groups for case in group["input_series"]]
    assert any(case["values"].endswith("stale") for case in cases)
    replaced = {_without_instance(case) for case in cases if case["values"].endswith("stale")}
    assert any(_without_instance(case) in replaced for case in cases if case["values"].startswith("_"))
    continuous = [_without_instance(case) for case in cases if re.match(r"[^_]*x\d+$", case["values"])]
    assert max(Counter(continuous).values()) > 1


def _without_instance(case: dict[str, str]) -> str:
    return re.sub(r',instance="[^"]*"', "", case["series"])


def test_alerts_of_the_same_name_differ_in_severity() -> None:
    assert {name for name, count in Counter(a.name for a in ALERTS).items() if count > 1} == TWICE
    assert len({(a.name, a.keys["labels"]["severity"]) for a in ALERTS}) == len(ALERTS)
    assert len({recorded.name for recorded in RECORDED}) == len(RECORDED)


@EACH_ALERT
def test_an_alert_is_well_formed(alert: Rule) -> None:
    assert re.fullmatch(r"PartnerCenter([A-Z][a-z]+)+", alert.name)
    assert len(alert.name) <= 40
    assert alert.keys["labels"]["severity"] in {"info", "warning", "critical"}
    notes = alert.keys["annotations"]
    assert set(notes) == {"summary", "description", "runbook_url", "dashboard_url"}
    assert re.fullmatch(r"[A-Z][^{}]+\.", notes["summary"])
    assert "$value" in notes["description"] or alert.expr.startswith("absent(")
    dashboard = {"customers": "customers"}.get(alert.file.stem, "licenses")
    assert notes["dashboard_url"] == f"/d/partnercenter-{dashboard}"


@EACH_ALERT
def test_the_runbook_link_starts_with_the_repository(alert: Rule) -> None:
    project = tomllib.loads((REPOSITORY / "pyproject.toml").read_text("utf-8"))["project"]
    page = f"docs/runbooks/{alert.name}.md"
    assert alert.keys["annotations"]["runbook_url"] == f"{project['urls']['Repository']}/blob/main/{page}"


@EACH_ALERT
def test_an_alert_waits_for_two_polls_or_compares_with_the_interval(alert: Rule) -> None:
    """Failed polls are retried after 1, 2, 4 and 8 minutes, regular ones follow interval plus jitter."""
    unit = {"m": 60, "h": 3600}
    waits = sum(int(number) * unit[letter] for number, letter in re.findall(r"(\d+)([mh])", alert.keys["for"]))
    data_or_days = alert.file.stem == "usage" or "time()\n" in alert.expr
    assert waits >= (2 * (3600 + 60) if data_or_days else 600)


def test_alerts_on_polls_follow_the_interval_and_no_constant() -> None:
    followed = {rule.name for rule in RECORDED if "partnercenter_poll_interval_seconds" in rule.expr}
    for alert in ALERTS:
        if re.search(r"rows_dropped|poll_failures|last_success|rows:", alert.expr):
            assert any(name in alert.expr for name in followed), alert.name


def test_the_links_can_be_made_absolute_as_the_readme_says(tmp_path: Path) -> None:
    shutil.copytree(PROMETHEUS, tmp_path, dirs_exist_ok=True)
    commands = re.findall(r"^\$ (.*sed -i .*)$", (PROMETHEUS / "README.md").read_text("utf-8"), re.MULTILINE)
    assert len(commands) == 2
    for command in commands:
        subprocess.run(["bash", "-c", command], cwd=tmp_path, check=True)  # noqa: S603, S607  as an operator does
    for file in (tmp_path / "rules").glob("*.yaml"):
        links = re.findall(r"(?:runbook|dashboard)_url: (\S+)/", file.read_text("utf-8"))
        assert links
        assert all(link.startswith(("https://YOUR.HOST/PATH/", "https://GRAFANA.HOST/d")) for link in links)
    assert "SUCCESS" in promtool("test", "rules", tmp_path / "tests" / "trend.yaml")
    assert "SUCCESS" in promtool("test", "rules", tmp_path / "tests" / "targets.yaml")


def test_the_alerts_wait_for_the_default_interval() -> None:
    assert Poll().interval == 3600
