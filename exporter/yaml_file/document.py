"""YAML text into plain dicts, lists and strings, with the line of every value and every problem found.

All scalars stay strings: YAML would make False of `name: no` and 42798 of the secret 0123456. The schema
gives them their types, after `${NAME}` was replaced from the environment.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import yaml

from exporter.errors import Problem

KeyPath = tuple[str | int, ...]
"""Where a value is: the keys and list indexes that lead to it."""

_VARIABLE = re.compile(r"\$(?:\$|\{([A-Za-z_][A-Za-z0-9_]*)\})")
_QUOTED = re.compile(r"'([^']*)'")
_MAX_SIGN_LENGTH = 2
_MAX_MESSAGE_LENGTH = 200
# Aliases can make a small file a huge document.
_MAX_NODES = 200_000
_MAX_DEPTH = 50
# How to fix the most common mistakes, by a part of what PyYAML says of them.
_FIXES = {
    "got '{'": "; quote a ${VARIABLE} inside { }",
    "'\\t'": "; indent with spaces, not tabs",
    "expected <block end>": "; check the indentation: keys of one mapping start in the same column",
    "mapping values are not allowed": "; check the indentation, and quote a value that contains a colon",
}
_NULLS = ("", "~", "null", "Null", "NULL")


@dataclass
class Document:
    """A parsed file: its content, the line of each path, and the problems found so far.

    `unresolved` are the paths whose environment variable isn't set. `warnings` are no reason not to use the file.
    """

    content: Any = None
    lines: dict[KeyPath, int] = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)
    warnings: list[Problem] = field(default_factory=list)
    unresolved: set[KeyPath] = field(default_factory=set)

    def report(self, path: KeyPath, message: str) -> None:
        """Add a problem at a path; if that has no line of its own, the nearest one above has."""
        self.problems.append(self._problem(path, message))

    def warn(self, path: KeyPath, message: str) -> None:
        """Add a warning at a path, likewise."""
        self.warnings.append(self._problem(path, message))

    def _problem(self, path: KeyPath, message: str) -> Problem:
        line = next((self.lines[p] for n in range(len(path), -1, -1) if (p := path[:n]) in self.lines), 0)
        return Problem(line, format_path(path), message)


def format_path(path: KeyPath) -> str:
    """Return a path as people write it: partners[0].tenant_id."""
    text = ""
    for part in path:
        text += f"[{part}]" if isinstance(part, int) else f".{part}" if text else part
    # A key is the user's own text: a line break in it must not forge a line of the output.
    return "".join(c if c.isprintable() else "?" for c in text)


def parse(text: str, environment: Mapping[str, str] | None) -> Document:
    """Return the document; syntax errors are among its problems, never raised.

    Without an `environment` a dollar sign is itself everywhere.
    """
    document = Document()
    try:
        node = yaml.compose(text, Loader=yaml.BaseLoader)
    except (yaml.YAMLError, ValueError, OverflowError, RecursionError) as error:
        document.problems.append(_syntax_problem(error))
    else:
        document.content = _Reader(document, environment).read(node)
    return document


def _syntax_problem(error: Exception) -> Problem:
    if not isinstance(error, yaml.MarkedYAMLError):
        return Problem(0, "", f"invalid YAML: {' '.join(str(error).split())[:_MAX_MESSAGE_LENGTH]}")
    mark = error.problem_mark or error.context_mark
    reason = _QUOTED.sub(_safe_quote, " ".join(part for part in (error.context, error.problem) if part))
    fix = next((fix for sign, fix in _FIXES.items() if sign in reason), "")
    return Problem(mark.line + 1 if mark else 0, "", f"invalid YAML: {reason}{fix}")


def _safe_quote(quoted: re.Match[str]) -> str:
    """Return what PyYAML quotes if it is a sign of its grammar, like ':' or '<block end>'.

    It also quotes the text it fails on: of a secret that begins with * that would be the secret itself.
    """
    text = quoted[1]
    return quoted[0] if len(text) <= _MAX_SIGN_LENGTH or text.startswith(("<", "\\")) else "…"


@dataclass
class _Reader:
    """Walks the nodes once."""

    document: Document
    environment: Mapping[str, str] | None
    nodes: int = 0

    def read(self, node: yaml.Node | None, path: KeyPath = ()) -> Any:
        if node is None:
            return None
        self.document.lines[path] = node.start_mark.line + 1
        self.nodes += 1
        if len(path) > _MAX_DEPTH or self.nodes > _MAX_NODES:
            if self.nodes <= _MAX_NODES + 1:
                advice = "simplify it, and check for an alias that refers to itself"
                self.document.report(path, f"too large or too deeply nested: {advice}")
            self.nodes = _MAX_NODES + 1
            return None
        if isinstance(node, yaml.MappingNode):
            return self._mapping(node, path)
        if isinstance(node, yaml.SequenceNode):
            return [self.read(item, (*path, index)) for index, item in enumerate(node.value)]
        return self._scalar(node, path)

    def _mapping(self, node: yaml.MappingNode, path: KeyPath) -> dict[str, Any]:
        result: dict[str, Any] = {}
        for key_node, value_node in node.value:
            if not isinstance(key_node, yaml.ScalarNode):
                self.document.report(path, "a key must be a string: quote a ${VARIABLE} inside { }")
                continue
            key = str(key_node.value)
            if key in result:
                self.document.lines[(*path, key)] = key_node.start_mark.line + 1
                self.document.report((*path, key), "duplicate key: keep one")
                continue
            result[key] = self.read(value_node, (*path, key))
        return result

    def _scalar(self, node: yaml.Node, path: KeyPath) -> str | None:
        text = str(node.value)
        if getattr(node, "style", None) is None and text in _NULLS:
            return None
        return text if self.environment is None else _VARIABLE.sub(partial(self._value, self.environment, path), text)

    def _value(self, environment: Mapping[str, str], path: KeyPath, variable: re.Match[str]) -> str:
        name = variable[1]
        if name is None:
            return "$"
        if name not in environment:
            fix = f"set it, or write $${{{name}}} for a literal ${{{name}}}"
            self.document.report(path, f"environment variable {name} is not set: {fix}")
            self.document.unresolved.add(path)
        return environment.get(name, "")
