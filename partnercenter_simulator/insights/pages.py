"""A page of Partner Insights: a method and path with the function that answers it, and what most functions need."""

import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from partnercenter_simulator.exchange import Call, Reply
from partnercenter_simulator.insights.envelope import InsightsError, page
from partnercenter_simulator.insights.quirks import InsightsQuirks

Answer = Callable[[Call, str], Reply]
"""Answers a call; the text is the id in its path, or empty. Raises InsightsError."""


@dataclass(frozen=True, slots=True)
class Page:
    """A method and path, the endpoint's name in the fault plan and request log, and the function.

    `{id}` in the path stands for any id.
    """

    method: str
    path: str
    endpoint: str
    answer: Answer

    def target(self, path: str) -> str | None:
        """Return the id in a path, empty if the page has none; None if this is not the page's path."""
        match = re.fullmatch(self.path.replace("{id}", "(?P<id>[^/]+)"), path)
        return match and match.groupdict().get("id", "")


class Fields:
    """The fields of a request's JSON object; like the service, it compares names regardless of case."""

    def __init__(self, values: Mapping[str, object]) -> None:
        self.values = {name.lower(): value for name, value in values.items() if value is not None}

    @classmethod
    def of(cls, call: Call) -> "Fields":
        """Read the body of a call. Raises InsightsError (400)."""
        try:
            document: object = json.loads(call.body)
        except (ValueError, RecursionError):
            document = None
        if not isinstance(document, dict):
            raise InsightsError(400, "Null or missing value: the body.")
        return cls(document)

    def over(self, other: "Fields") -> "Fields":
        """Return these fields, and those of another object that are not among them."""
        return Fields({**other.values, **self.values})

    def text(self, name: str) -> str:
        """Return a text, empty if there is none. Raises InsightsError (400)."""
        value = self.values.get(name.lower(), "")
        if not isinstance(value, str):
            raise InsightsError(400, f"Invalid report parameters: {name}.")
        return value

    def required(self, name: str) -> str:
        """Return a text that there must be. Raises InsightsError (400)."""
        if not self.text(name).strip():
            raise InsightsError(400, f"Null or missing value: {name}.")
        return self.text(name)

    def number(self, name: str) -> int | None:
        """Return a whole number, None if there is none. Raises InsightsError (400)."""
        value = self.values.get(name.lower())
        if value is not None and (not isinstance(value, int) or isinstance(value, bool)):
            raise InsightsError(400, f"Invalid report parameters: {name}.")
        return value

    def flag(self, name: str) -> bool:
        """Return whether a field is true. Raises InsightsError (400)."""
        value = self.values.get(name.lower(), False)
        if not isinstance(value, bool):
            raise InsightsError(400, f"Invalid report parameters: {name}.")
        return value


def listing(call: Call, items: Sequence[Mapping[str, Any]], message: str, quirks: InsightsQuirks) -> Reply:
    """Return items; where there are none it is an error, unless the quirks say otherwise. Raises InsightsError."""
    if not items and quirks.empty_list_is_404:
        raise InsightsError(404, "No item found with given filters.")
    return page(call, items, message, quirks)


def moment(seconds: float) -> datetime:
    """Return a time given in seconds since 1970."""
    return datetime.fromtimestamp(seconds, UTC)


def spelled(moment: datetime) -> str:
    """Return a time as the service writes it."""
    return f"{moment.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}"
