"""JSON that the typed decoder refuses, read element by element: Python's own decoder is more lenient.

One call for a whole page would hold the interpreter's lock, and so up every scrape, for as long as it takes.
"""

import json
import math
import re
from collections.abc import Container, Iterator
from typing import Any

# A row of licence data has less than a thousand characters, and what is around the rows has less still; what is
# longer than this is not read. (The first is tried first, as an element is copied with what follows it.)
_ELEMENT_SIZES = (16 * 1024, 1024 * 1024)
_MAX_DIGITS = 400
_SPACE = re.compile(r"[ \t\n\r]*")


def read_object(text: str, *, row_keys: Container[str], max_rows: int) -> dict[str, Any]:
    """Return a JSON object; a list at one of `row_keys` is read up to `max_rows` + 1 elements, then nothing more.

    Raises ValueError for what is not JSON, is not an object or has an element of more than 1 MiB;
    RecursionError if it is nested too deeply.
    """
    found: dict[str, Any] = {}
    reader = _Reader(text)
    for _ in reader.elements("{", "}"):
        key = reader.value()
        reader.take(":")
        if key in row_keys and reader.next_sign() == "[":
            rows = found[key] = []
            for _ in reader.elements("[", "]"):
                rows.append(reader.value())
                if len(rows) > max_rows:
                    return found
        elif isinstance(key, str):
            found[key] = reader.value()
        else:
            raise ValueError("a key is not a string")
    if reader.next_sign():
        raise ValueError("something follows the object")
    return found


def _integer(digits: str) -> float:
    """Return a JSON integer, or infinity for an absurdly long one: Python refuses thousands of digits."""
    return int(digits) if len(digits) < _MAX_DIGITS else math.inf


_decode = json.JSONDecoder(parse_int=_integer).raw_decode


class _Reader:
    """Steps through a text."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._at = 0

    def next_sign(self) -> str:
        """Return the next character that is no white space, or nothing at the end."""
        space = _SPACE.match(self._text, self._at)
        self._at = space.end() if space else self._at
        return self._text[self._at : self._at + 1]

    def take(self, sign: str) -> None:
        if self.next_sign() != sign:
            raise ValueError(f"expected {sign}")
        self._at += 1

    def value(self) -> Any:
        self.next_sign()
        small, large = _ELEMENT_SIZES
        try:
            return self._value_within(small)
        except ValueError:
            return self._value_within(large)

    def _value_within(self, size: int) -> Any:
        value, length = _decode(self._text[self._at : self._at + size])
        if length == size:  # a number may go on
            raise ValueError("too long")
        self._at += length
        return value

    def elements(self, opening: str, closing: str) -> Iterator[None]:
        """Stop before each element of a list or object, which the caller reads."""
        self.take(opening)
        if self.next_sign() != closing:
            yield
            while self.next_sign() != closing:
                self.take(",")
                yield
        self.take(closing)
