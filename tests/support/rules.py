"""The rules of prometheus/rules, and the tests of them that promtool runs."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

REPOSITORY = Path(__file__).parents[2]
PROMETHEUS = REPOSITORY / "prometheus"
RUNBOOKS = REPOSITORY / "docs" / "runbooks"
RULE_FILES = tuple(sorted((PROMETHEUS / "rules").glob("*.yaml")))
TEST_FILES = tuple(sorted((PROMETHEUS / "tests").glob("*.yaml")))


@dataclass(frozen=True, slots=True)
class Rule:
    """One rule: its file, the name that it records or alerts by, its expression, and all its keys."""

    file: Path
    name: str
    expr: str
    keys: dict[str, Any]

    @property
    def is_alert(self) -> bool:
        """Whether it is an alerting rule rather than a recording rule."""
        return "alert" in self.keys

    def __str__(self) -> str:
        severity = self.keys.get("labels", {}).get("severity", "")
        return f"{self.name} {severity}".strip()


def rules() -> tuple[Rule, ...]:
    """Return every rule, in the order of the files."""
    return tuple(
        Rule(file, keys.get("alert") or keys["record"], keys["expr"], keys)
        for file in RULE_FILES
        for group in yaml.safe_load(file.read_text("utf-8"))["groups"]
        for keys in group["rules"]
    )


ALERTS = tuple(rule for rule in rules() if rule.is_alert)
RECORDED = tuple(rule for rule in rules() if not rule.is_alert)


def alert_tests() -> Iterator[tuple[str, list[dict[str, Any]]]]:
    """Yield each test of an alert's text: its name, and the alerts expected."""
    for file in TEST_FILES:
        for group in yaml.safe_load(file.read_text("utf-8"))["tests"]:
            for test in group.get("alert_rule_test", ()):
                yield test["alertname"], test.get("exp_alerts") or []
