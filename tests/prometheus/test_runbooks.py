"""The runbooks: one for each alert, and nothing in them that the program or its metrics don't have."""

import contextlib
import re
from pathlib import Path
from textwrap import dedent

import pytest

from exporter.cli import main
from tests.prometheus.test_promql import checker
from tests.support.rules import ALERTS, REPOSITORY, RUNBOOKS

INDEX = RUNBOOKS / "README.md"
PAGES = tuple(sorted(set(RUNBOOKS.glob("*.md")) - {INDEX}))
HEADINGS = [
    "What it means",
    "What it does to you",
    "How to see it",
    "How to mend it",
    "How to know that it is over",
]
SOURCE = "\n".join(file.read_text("utf-8") for file in (REPOSITORY / "exporter").rglob("*.py"))
EACH_PAGE = pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)


def blocks(text: str, language: str) -> list[str]:
    """Return the fenced blocks of a language."""
    found = re.findall(rf"^ *```{language}\n(.*?)^ *```", text, re.MULTILINE | re.DOTALL)
    return [dedent(block) for block in found]


def expressions(block: str) -> list[str]:
    """Return the expressions of a block: each begins at the margin, and goes on where it is not whole."""
    found: list[str] = []
    for line in block.splitlines():
        whole = not found or found[-1].count("(") == found[-1].count(")")
        if whole and line[0] != " ":
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
    assert {(name, link): words for name, link, words in rows} == {
        (name, name): ", ".join(words) for name, words in severities.items()
    }


@EACH_PAGE
def test_a_runbook_says_what_it_means_how_to_see_it_and_how_to_mend_it(page: Path) -> None:
    text = page.read_text("utf-8")
    assert text.startswith(f"# {page.stem}\n\nSeverity: ")
    assert re.findall(r"^## (.*)$", text, re.MULTILINE) == HEADINGS
    for alert in ALERTS:
        if alert.name == page.stem:
            assert alert.keys["labels"]["severity"] in text.splitlines()[2]


@EACH_PAGE
def test_what_a_runbook_asks_of_prometheus_exists(page: Path) -> None:
    asked = [each for block in blocks(page.read_text("utf-8"), "promql") for each in expressions(block)]
    assert asked
    for expression in asked:
        checker().labels(expression)


@pytest.mark.parametrize("page", [*PAGES, INDEX], ids=lambda page: page.stem)
def test_the_commands_of_a_runbook_exist_with_their_flags(
    page: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    text = page.read_text("utf-8")
    for command, rest in re.findall(r"partnercenter-exporter (check|login|healthcheck|run)\b([^`\n]*)", text):
        with contextlib.suppress(SystemExit):
            main([command, "--help"])
        shown = capsys.readouterr().out
        assert not [flag for flag in re.findall(r"--[a-z][a-z.-]+", rest) if flag not in shown], command


@pytest.mark.parametrize("page", [*PAGES, INDEX], ids=lambda page: page.stem)
def test_the_log_lines_that_a_runbook_looks_for_are_written(page: Path) -> None:
    for event in re.findall(r'msg="([^"]+)"', re.sub(r"\s+", " ", page.read_text("utf-8"))):
        for words in event.strip("()").split("|"):
            assert f'"{words}"' in SOURCE, words


@pytest.mark.parametrize("page", [*PAGES, INDEX], ids=lambda page: page.stem)
def test_the_links_of_a_runbook_lead_somewhere(page: Path) -> None:
    for link in re.findall(r"\]\(([^)#:]+)", page.read_text("utf-8")):
        assert (page.parent / link).exists(), link
