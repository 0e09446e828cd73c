"""YAML text into plain dicts, lists and strings, with the line of every value and every mistake found.

All scalars stay strings: YAML would make False of `name: no` and 42798 of the secret 0123456. The schema
gives them their types, after `${NAME}` was taken from the environment.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import yaml

from exporter.errors import Problem

Path = tuple[str | int, ...]

_VARIABLE = re.compile(r"\$(?:\$|\{([A-Za-z_][A-Za-z0-9_]*)\})")
# PyYAML quotes what it stumbles over: of a secret that begins with * that would be the secret itself.
_QUOTED = re.compile(r"'([^']*)'")
_LONGEST_SHOWN = 2
# Aliases can make a small file a huge document.
_MOST_NODES = 200_000
_DEEPEST = 50
# What the parser says of the commonest slips, and how to mend them: its own words don't say.
_MENDS = {
    "got '{'": "; quote a ${VARIABLE} inside { }",
    "'\\t'": "; indent with blanks, not with tabs",
    "expected <block end>": "; look at the indentation: what belongs together begins in the same column",
    "mapping values are not allowed": "; look at the indentation, and quote a value with a colon in it",
}
_NULLS = ("", "~", "null", "Null", "NULL")


@dataclass
class Document:
    """A parsed file: its content, the line of each path, and what was wrong with it so far.

    `unresolved` are the paths whose environment variable isn't set; `broken` is a file that is no YAML.
    """

    content: Any = None
    lines: dict[Path, int] = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)
    unresolved: set[Path] = field(default_factory=set)
    broken: bool = False

    def report(self, path: Path, message: str) -> None:
        """Note a mistake at a path; where that has no line of its own, the nearest one above has."""
        line = next((self.lines[p] for n in range(len(path), -1, -1) if (p := path[:n]) in self.lines), 0)
        self.problems.append(Problem(line, spell(path), message))


def spell(path: Path) -> str:
    """Return a path as people write it: partners[0].tenant_id."""
    text = ""
    for part in path:
        text += f"[{part}]" if isinstance(part, int) else f".{part}" if text else part
    # A key is the user's own text: a line break in it must not forge a line of its own.
    return "".join(c if c.isprintable() else "?" for c in text)


def parse(text: str, environment: Mapping[str, str] | None) -> Document:
    """Return the document; syntax errors are among its problems, never raised.

    Without an `environment` a dollar sign is itself everywhere.
    """
    document = Document()
    try:
        node = yaml.compose(text, Loader=yaml.BaseLoader)
    except yaml.MarkedYAMLError as error:
        document.broken = True
        mark = error.problem_mark or error.context_mark
        words = " ".join(str(part) for part in (error.context, error.problem) if part)
        words = _QUOTED.sub(_shown, words)
        words += next((mend for sign, mend in _MENDS.items() if sign in words), "")
        document.problems.append(Problem(mark.line + 1 if mark else 0, "", f"this is no YAML: {words}"))
    except (yaml.YAMLError, ValueError, OverflowError, RecursionError) as error:
        document.broken = True
        document.problems.append(Problem(0, "", f"this is no YAML: {' '.join(str(error).split())[:200]}"))
    else:
        document.content = _Reader(document, environment).read(node)
    return document


def _shown(quoted: re.Match[str]) -> str:
    """Return what PyYAML quotes where it is a sign or a name of its own, else an ellipsis."""
    text = quoted[1]
    return quoted[0] if len(text) <= _LONGEST_SHOWN or text.startswith(("<", "\\")) else "…"


class _Reader:
    """Walks the nodes once."""

    def __init__(self, document: Document, environment: Mapping[str, str] | None) -> None:
        self._document = document
        self._environment = environment
        self._nodes = 0

    def read(self, node: yaml.Node | None, path: Path = ()) -> Any:
        if node is None:
            return None
        self._document.lines[path] = node.start_mark.line + 1
        self._nodes += 1
        if len(path) > _DEEPEST or self._nodes > _MOST_NODES:
            if self._nodes <= _MOST_NODES + 1:
                self._document.report(path, "this is nested too deeply, or refers to itself")
            self._nodes = _MOST_NODES + 1
            return None
        if isinstance(node, yaml.MappingNode):
            return self._mapping(node, path)
        if isinstance(node, yaml.SequenceNode):
            return [self.read(item, (*path, index)) for index, item in enumerate(node.value)]
        return self._scalar(node, path)

    def _mapping(self, node: yaml.MappingNode, path: Path) -> dict[str, Any]:
        result: dict[str, Any] = {}
        for key_node, value_node in node.value:
            if not isinstance(key_node, yaml.ScalarNode):
                self._document.report(path, "a key must be a word; quote a ${VARIABLE} inside { }")
                continue
            key = str(key_node.value)
            if key in result:
                self._document.lines[(*path, key)] = key_node.start_mark.line + 1
                self._document.report((*path, key), "this key stands here twice: keep one")
                continue
            result[key] = self.read(value_node, (*path, key))
        return result

    def _scalar(self, node: yaml.Node, path: Path) -> str | None:
        text = str(node.value)
        if getattr(node, "style", None) is None and text in _NULLS:
            return None
        environment = self._environment
        if environment is None:
            return text
        return _VARIABLE.sub(lambda match: self._variable(match, path, environment), text)

    def _variable(self, match: re.Match[str], path: Path, environment: Mapping[str, str]) -> str:
        name = match.group(1)
        if name is None:
            return "$"
        if name not in environment:
            self._document.report(
                path,
                f"the environment variable {name} is not set: set it, or write $${{{name}}} for the words",
            )
            self._document.unresolved.add(path)
            return ""
        return environment[name]
