"""The runbooks: one for each alert, and nothing in them that the program or its metrics lack."""

import ast
import errno
import functools
import itertools
import os
import re
from pathlib import Path
from textwrap import dedent

import pytest
from _pytest.mark import ParameterSet

from exporter.auth import aadsts
from exporter.errors import Reason
from tests.prometheus.test_promql import checker
from tests.support.rules import ALERTS, REPOSITORY, RUNBOOKS

INDEX = RUNBOOKS / "README.md"
PAGES = tuple(sorted(set(RUNBOOKS.glob("*.md")) - {INDEX}))
HEADINGS = ["Meaning", "Impact", "Diagnosis", "Mitigation", "Verification"]
SOURCE = "\n".join(file.read_text("utf-8") for file in (REPOSITORY / "exporter").rglob("*.py"))
FAILING = RUNBOOKS / "PartnerCenterPollsFailing.md"
# What OpenSSL says, with the program's words before it.
OTHERS_WORDS = (
    "unable to get local issuer certificate", "self-signed certificate", "has expired", "is not yet valid",
    "is not valid for",
)  # fmt: skip
OF_OTHER_PROGRAMS = ("connection refused", "System clock synchronized: no", "date -u", "exported_service", "/targets")
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


@functools.cache
def literals() -> str:
    """Return every text in the program's source, and the system's own words."""
    trees = (ast.parse(file.read_text("utf-8")) for file in (REPOSITORY / "exporter").rglob("*.py"))
    nodes = (node for tree in trees for node in ast.walk(tree))
    texts = [node.value for node in nodes if isinstance(node, ast.Constant) and isinstance(node.value, str)]
    return "\n".join([*texts, *map(os.strerror, errno.errorcode), *OTHERS_WORDS])


def symptoms() -> list[ParameterSet]:
    """Return what the tables of the runbooks and of the README say that the program prints."""
    found: dict[str, None] = {}
    for page in (*PAGES, REPOSITORY / "README.md"):
        for table in re.findall(
            r"^\| (?:symptom|message) \|.*\n\|[-|]+\n((?:\|.*\n)+)", page.read_text("utf-8"), re.MULTILINE
        ):
            for row in table.splitlines():
                found |= dict.fromkeys(re.findall(r"`([^`]+)`", row.split(" | ")[0]))
    return [pytest.param(text, id=text) for text in found]


def is_said(words: str, said: str) -> bool:
    """Return whether the source has these words, or has a placeholder for some that it has elsewhere."""
    if words in said:
        return True
    split = words.split()
    for start, end in itertools.combinations(range(len(split) + 1), 2):
        filled, rest = " ".join(split[start:end]), [*split[:start], "{}", *split[end:]]
        if len(rest) > 1 and (filled.isdigit() or filled in said) and " ".join(rest) in said:
            return True
    return False


@pytest.mark.parametrize("symptom", symptoms())
def test_a_symptom_is_what_the_program_really_prints(symptom: str) -> None:
    """Words that differ from one time to another are "…" there or in capitals, and `{}` in the source."""
    symptom = re.sub(r'^msg="(.*)"$', r"\1", symptom)
    if symptom.startswith("reason="):
        assert symptom.removeprefix("reason=") in set(Reason)
    elif symptom not in OF_OTHER_PROGRAMS:
        said = literals()
        for words in filter(None, map(str.strip, re.split(r"…|[A-Z]{4,}|: ", symptom))):
            assert is_said(words, said), words


def test_the_reasons_of_failed_polls_are_all_explained() -> None:
    explained = set(
        re.findall(r"`(\w+)`", "".join(re.findall(r"^\| (`\w+`.*?) \|", FAILING.read_text("utf-8"), re.MULTILINE)))
    )
    elsewhere = {Reason.THROTTLED, Reason.MFA}
    assert {*Reason} - elsewhere <= explained


@pytest.mark.parametrize("page", [*PAGES, REPOSITORY / "README.md"], ids=lambda page: page.stem)
def test_the_numbers_of_refusals_are_known(page: Path) -> None:
    for numbers in re.findall(r"AADSTS(\d+(?:, \d+)*)", page.read_text("utf-8")):
        for number in numbers.split(", "):
            assert aadsts.is_known(int(number)), number
