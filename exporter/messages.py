"""The type of everything that people read: one printable line, made here, in `redaction` or in `local_text`.

An f-string is no `Line`, so mypy refuses a message into which somebody else's text was written. Text that an upstream
had a say in becomes one through its request's `Redactor`, the operator's own through `local_text`.
"""

from collections.abc import Iterable, Mapping
from datetime import date
from enum import StrEnum
from pathlib import Path
from typing import NewType
from uuid import UUID

Line = NewType("Line", str)
Value = Line | int | float | StrEnum | Path | OSError | date | UUID
"""What a message may contain; of an OSError the system's own words for it."""

_MAX_VALUE = 1_000


def line(template: str, *values: Value, **named: Value) -> Line:
    """Return a template of this program, which must be a literal, with the values in place of its braces."""
    if not values and not named:
        return Line(template)
    return Line(template.format(*map(shown, values), **{name: shown(value) for name, value in named.items()}))


def class_name(error: BaseException) -> Line:
    """Return what kind of error it is, without its words."""
    return Line(type(error).__name__)


def joined(lines: Iterable[Line], separator: str = "\n") -> Line:
    """Return several lines as one text."""
    return Line(separator.join(lines))


def for_partner(template: Line, partner: Line) -> Line:
    """Return the line with the partner's name in place of `{partner}`."""
    return Line(template.replace("{partner}", partner))


def reworded(text: Line, words: Mapping[Line, Line]) -> Line:
    """Return the line with other words in place of some of its own."""
    for own, other in words.items():
        text = Line(text.replace(own, other))
    return text


def printable(text: str, limit: int) -> str:
    """Return text as one line without control, bidirectional and separating characters, cut to `limit`."""
    # A cut text is cut early too, so that nothing huge is looked at character by character.
    shown = " ".join("".join(c if c.isprintable() else " " for c in text[: 4 * limit]).split())
    return shown if len(shown) <= limit else shown[: limit - 1].rstrip() + "…"


def shown(value: Value) -> object:
    """Return what a value is written as in a message."""
    if isinstance(value, OSError):
        return printable(value.strerror or type(value).__name__, _MAX_VALUE)
    return printable(str(value), _MAX_VALUE) if isinstance(value, Path) else value
