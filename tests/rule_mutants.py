"""Mutation tests of the alerting and recording rules: `make rule-mutants`.

Changes every rule of prometheus/rules in one place at a time (an operator, a threshold, a window, a label, a matcher,
an aggregation, a function, `for`, `keep_firing_for`) and runs promtool with the assertions that name that rule. Changes
that no test notices are compared with tests/rule_mutants.md, as tests/mutants.py does for the Python code.

A test runs with that rule and those that it is made of, and with the series that they read, so that a mutant takes a
fraction of a second. What is made of the rule isn't tried with it: a recorded series has assertions of its own.

`--update` rewrites the list. `--rule NAME` tries the mutants of one rule, and leaves the list alone.
"""

import argparse
import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import promql_parser as promql
import yaml

from tests.mutants import Mutant, compared
from tests.support.rules import TEST_FILES, Rule, rules

LIST = Path(__file__).with_suffix(".md")
_RULES = rules()
_TESTS = tuple(yaml.safe_load(file.read_text("utf-8")) for file in TEST_FILES)

_TOKEN = re.compile(
    r"""(?P<string>"[^"]*")|(?P<duration>\d+[smhdwy](?:\d+[smhdwy])*)|(?P<number>\d+(?:\.\d+)?)"""
    r"""|(?P<word>[A-Za-z_:][A-Za-z0-9_:]*)|(?P<operator>=~|!~|[=!<>]=|[-+*/<>=])|(?P<bracket>[](){}[,])"""
)
# Not of `group` and `present_over_time`, whose value is always 1: rules have them where only the labels matter.
_OTHERS = {
    ">": (">=", "<"), ">=": (">", "<"), "<": ("<=", ">"), "<=": ("<", ">"), "==": ("!=",),
    "+": ("-",), "-": ("+",), "*": ("/",), "/": ("*",), "=": ("!=",), "!=": ("=",), "=~": ("!~",), "!~": ("=~",),
    "and": ("unless",), "unless": ("and",), "or": ("and",), "on": ("ignoring",), "by": ("without",),
    "max": ("min",), "min": ("max",), "sum": ("max",), "count": ("sum", "group"),
    "max_over_time": ("min_over_time",), "avg_over_time": ("max_over_time", "min_over_time"),
    "last_over_time": ("max_over_time", "min_over_time"), "increase": ("rate",), "abs": ("",), "round": ("",),
}  # fmt: skip
_UNITS = {"s": 1, "m": 60, "h": 3_600, "d": 86_400, "w": 604_800}
_LARGE = 100  # from here on, one more or less is no difference


@dataclass(frozen=True, slots=True)
class Token:
    """A token of an expression, with its place, and whether it is a label in a list, or inside braces or brackets."""

    kind: str
    text: str
    start: int
    end: int
    within: str


@dataclass(frozen=True, slots=True, eq=False)
class Suite:
    """A rule, the rules that are loaded for its tests, and these, each as a file of promtool."""

    rule: Rule
    loaded: tuple[Rule, ...]
    tests: tuple[str, ...]


def main(arguments: list[str]) -> int:
    """Try every mutant, and compare the survivors with the list."""
    parser = argparse.ArgumentParser(description="Mutation tests of the rules in prometheus/rules.")
    parser.add_argument("--update", action="store_true", help="rewrite the list")
    parser.add_argument("--rule", help="only the rules of this name")
    flags = parser.parse_args(arguments)
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        suites = list(pool.map(fastest_first, [suite_of(rule) for rule in _RULES if flags.rule in (None, rule.name)]))
        todo = [(suite, mutant, keys) for suite in suites for mutant, keys in mutants_of(suite.rule)]
        print(f"{len(todo)} mutants of {len(suites)} rules", flush=True)
        passed = pool.map(lambda one: passes(one[0], one[2]), todo)
        survivors = {mutant for (_, mutant, _), unnoticed in zip(todo, passed, strict=True) if unnoticed}
    if flags.rule:
        print(*sorted(survivors), f"{len(survivors)} survivors", sep="\n")
        return 0
    return compared(survivors, LIST, update=flags.update)


def mutants_of(rule: Rule) -> Iterator[tuple[Mutant, dict[str, Any]]]:
    """Yield each change of a rule with the rule's keys after it."""
    for start, end, text in changes(rule.expr):
        expr = rule.expr[:start] + text + rule.expr[end:]
        if _parses(expr):
            yield Mutant(str(rule), _difference(rule.expr, start, end, text)), rule.keys | {"expr": expr}
    for key in ("for", "keep_firing_for"):
        if key in rule.keys:
            for wait in (*_other_durations(rule.keys[key]), None):
                kept = {name: value for name, value in rule.keys.items() if name != key}
                lines = (f"- {key}: {rule.keys[key]}", *([f"+ {key}: {wait}"] if wait else []))
                yield Mutant(str(rule), lines), kept | ({key: wait} if wait else {})
    for label in rule.keys.get("labels", {}):
        kept = {name: value for name, value in rule.keys["labels"].items() if name != label}
        yield Mutant(str(rule), (f"- {label}: {rule.keys['labels'][label]}",)), rule.keys | {"labels": kept}


def changes(expr: str) -> Iterator[tuple[int, int, str]]:
    """Yield every change of an expression: where it begins and ends, and what comes there instead."""
    tokens = tuple(_tokens(expr))
    for index, token in enumerate(tokens):
        if token.within == "labels" and token.kind == "word":
            yield _without_item(tokens, index, index)
        elif token.within == "{" and token.kind == "word":
            yield _without_item(tokens, index, index + 2)
        elif token.kind == "string" and token.within != "{" and token.text != '""':
            yield token.start, token.end, f'"x{token.text[1:]}'
        elif token.kind == "number":
            yield from ((token.start, token.end, other) for other in _other_numbers(token.text))
        elif token.kind == "duration" and tokens[index - 1].text != ":":
            yield from ((token.start, token.end, other) for other in _other_durations(token.text))
        elif token.text == "group_left":
            yield token.start, tokens[index + 2].end, ""
        else:
            yield from ((token.start, token.end, other) for other in _OTHERS.get(token.text, ()))


def _tokens(expr: str) -> Iterator[Token]:
    """Yield the tokens; a resolution is the duration after a colon, which is no token, so it is left out."""
    opened: list[str] = []
    previous = ""
    for match in _TOKEN.finditer(expr):
        text = match[0]
        if text in "([{":
            listed = previous in ("by", "on", "ignoring", "without", "group_left")
            opened.append("labels" if listed else text)
        if match.lastgroup != "duration" or expr[match.start() - 1] != ":":
            yield Token(match.lastgroup or "", text, match.start(), match.end(), opened[-1] if opened else "")
        if text in ")]}":
            opened.pop()
        previous = text


def _without_item(tokens: Sequence[Token], first: int, last: int) -> tuple[int, int, str]:
    """Return the removal of an item of a list, with one comma beside it."""
    if tokens[last + 1].text == ",":
        return tokens[first].start, tokens[last + 2].start, ""
    begin = tokens[first - 1].start if tokens[first - 1].text == "," else tokens[first].start
    return begin, tokens[last].end, ""


def _other_numbers(text: str) -> tuple[str, ...]:
    value = float(text)
    if value == 0:
        return "1", "-1"
    if "." not in text and value < _LARGE:
        return str(int(value) - 1), str(int(value) + 1)
    return f"{value * 0.9:.6g}", f"{value * 1.1:.6g}"


def _other_durations(text: str) -> tuple[str, str]:
    """Return half of a duration and twice as much."""
    seconds = sum(int(number) * _UNITS[unit] for number, unit in re.findall(r"(\d+)([smhdw])", text))
    return f"{seconds // 2}s", f"{seconds * 2}s"


def _parses(expr: str) -> bool:
    try:
        promql.parse(expr)
    except ValueError:
        return False
    return True


def _difference(expr: str, start: int, end: int, text: str) -> tuple[str, ...]:
    """Return the lines that a change removes and adds, with what stands between as context for none else."""
    begin = expr.rfind("\n", 0, start) + 1
    until = expr.find("\n", end)
    until = len(expr) if until < 0 else until
    removed = expr[begin:until].splitlines()
    added = (expr[begin:start] + text + expr[end:until]).splitlines()
    number = expr[:begin].count("\n") + 1
    return (*(f"- {number}: {line.strip()}" for line in removed), *(f"+ {number}: {line.strip()}" for line in added))


def fastest_first(suite: Suite) -> Suite:
    """Return a suite with its tests in the order of the time that they take; exits if one fails without any change."""
    taken: dict[str, float] = {}
    for test in suite.tests:
        began = time.monotonic()
        if not passes(replace(suite, tests=(test,)), suite.rule.keys):
            raise SystemExit(f"{suite.rule}: a test fails without any change:\n{test}")
        taken[test] = time.monotonic() - began
    return replace(suite, tests=tuple(sorted(taken, key=taken.__getitem__)))


def passes(suite: Suite, keys: Mapping[str, Any]) -> bool:
    """Return whether the tests of a rule pass with these keys of it; the first that fails is the last that runs."""
    changed = [keys if rule is suite.rule else rule.keys for rule in suite.loaded]
    with TemporaryDirectory(prefix="rule-mutant-") as folder:
        Path(folder, "rules.yaml").write_text(yaml.safe_dump({"groups": [{"name": "all", "rules": changed}]}))
        return all(_passes(Path(folder), test) for test in suite.tests)


def _passes(folder: Path, test: str) -> bool:
    (folder / "test.yaml").write_text(test)
    ran = subprocess.run(  # noqa: S603  promtool
        [_promtool(), "test", "rules", "test.yaml"],
        cwd=folder,
        env=os.environ | {"GOGC": "400"},  # it ends before there is much garbage
        capture_output=True,
        check=False,
    )
    return ran.returncode == 0


@cache
def _promtool() -> str:
    found = shutil.which("promtool")
    if found is None:
        raise SystemExit("promtool is not installed: apt install prometheus")
    return found


def suite_of(rule: Rule) -> Suite:
    """Return the tests that name a rule, with the rules to load for them: itself and what it is made of."""
    parts = {str(part): part for same in _RULES if same.name == rule.name for part in _parts(same)}
    loaded = tuple(parts.values())
    text = yaml.safe_dump([part.keys for part in loaded])
    tests = [
        yaml.safe_dump(file | {"rule_files": ["rules.yaml"], "tests": [naming]})
        for file in _TESTS
        for group in file["tests"]
        if (naming := _naming(group, rule.name, text))
    ]
    return Suite(rule, loaded, tuple(tests))


def _parts(rule: Rule) -> Iterator[Rule]:
    """Yield the recorded series that a rule is made of, each after its own parts, and the rule."""
    for other in _RULES:
        if not other.is_alert and _names(other.name, rule.expr):
            yield from _parts(other)
    yield rule


def _names(name: str, text: str) -> bool:
    return re.search(rf"(?<![\w:]){re.escape(name)}(?![\w:])", text) is not None


def _naming(group: dict[str, Any], rule: str, text: str) -> dict[str, Any] | None:
    """Return what a group of tests says of a rule, with the series that a text of rules names."""
    alerts = [test for test in group.get("alert_rule_test", ()) if test["alertname"] == rule]
    queries = [test for test in group.get("promql_expr_test", ()) if _names(rule, test["expr"])]
    if not alerts and not queries:
        return None
    every = "__name__" in text
    series = [one for one in group["input_series"] if every or _names(one["series"].partition("{")[0], text)]
    return group | {"input_series": series, "alert_rule_test": alerts, "promql_expr_test": queries}


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
