"""The runbooks: one for each alert, and nothing in them that the program or its metrics lack."""

import re
from pathlib import Path
from textwrap import dedent

import pytest

from tests.prometheus.test_promql import checker
from tests.support.rules import ALERTS, REPOSITORY, RUNBOOKS

INDEX = RUNBOOKS / "README.md"
PAGES = tuple(sorted(set(RUNBOOKS.glob("*.md")) - {INDEX}))
HEADINGS = ["Meaning", "Impact", "Diagnosis", "Mitigation", "Verification"]
SOURCE = "\n".join(file.read_text("utf-8") for file in (REPOSITORY / "exporter").rglob("*.py"))
EACH_PAGE = pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)


def blocks(text: str, language: str) -> list[str]:
    """Return the fenced blocks of a language."""
    found = re.findall(rf"^ *```{language}\n(.*?)^ *```", text, re.MULTILINE | re.DOTALL)
    return [dedent(block) for block in found]


def expressions(block: str) -> list[str]:
    """Split a block into expressions: each starts in column 0 and continues until its parentheses balance."""
    found: list[str] = []
    for line in block.splitlines():
        complete = not found or found[-1].count("(") == found[-1].count(")")
        if complete and line[0] != " ":
            found.append(line)
        else:
            found[-1] += f" {line}"
    return found


def test_every_alert_has_its_runbook_and_every_runbook_its_alert() -> None:
    assert {page.stem for page in PAGES} == {alert.name for alert in ALERTS}


def test_the_index_lists_every_runbook_with_its_severity() -> None:
    rows = re.findall(r"^\| \[(\w+)\]\((\w+)\.md\) \| ([a-z, ]+) \|", INDEX.read_text("utf-8"), re.MULTILINE)
    severities: dict[str, list[str]] = {}
    for alert in ALERTS:
        severities.setdefault(alert.name, []).append(alert.keys["labels"]["severity"])
    assert {(name, link): severity for name, link, severity in rows} == {
        (name, name): ", ".join(severity) for name, severity in severities.items()
    }


@EACH_PAGE
def test_a_runbook_has_the_standard_headings_and_states_its_severity(page: Path) -> None:
    text = page.read_text("utf-8")
    assert text.startswith(f"# {page.stem}\n\nSeverity: ")
    assert re.findall(r"^## (.*)$", text, re.MULTILINE) == HEADINGS
    for alert in ALERTS:
        if alert.name == page.stem:
            assert alert.keys["labels"]["severity"] in text.splitlines()[2]


@EACH_PAGE
def test_the_queries_of_a_runbook_use_existing_metrics_and_labels(page: Path) -> None:
    text = page.read_text("utf-8")
    queries = [query for block in blocks(text, "promql") for query in expressions(block)]
    assert queries
    for query in queries:
        checker().labels(query)


@pytest.mark.parametrize("page", [*PAGES, INDEX], ids=lambda page: page.stem)
def test_the_log_events_that_a_runbook_greps_for_exist(page: Path) -> None:
    for event in re.findall(r'msg="([^"]+)"', re.sub(r"\s+", " ", page.read_text("utf-8"))):
        for message in event.strip("()").split("|"):
            assert f'"{message}"' in SOURCE, message
