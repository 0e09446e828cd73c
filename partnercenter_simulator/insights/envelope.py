"""The envelope of every response of Partner Insights, and the error that refuses a request."""

from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import urlencode

from partnercenter_simulator.exchange import Call, Reply
from partnercenter_simulator.insights.quirks import InsightsQuirks
from partnercenter_simulator.wire import BOM, Json, dump

BASE = "/insights/v1/mpn"
_OFFSET = "skip"
_FOREIGN = "https://elsewhere.example"


class InsightsError(Exception):
    """A refusal: the HTTP status, which the envelope repeats, and the message."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.message = message


def page(call: Call, items: Sequence[Mapping[str, Any]], message: str, quirks: InsightsQuirks) -> Reply:
    """Return the items, or the page of them that the request's link names."""
    offset = call.query.get(_OFFSET, "0")
    if not (offset.isascii() and offset.isdigit()):
        raise InsightsError(400, "Null or missing value: skip.")
    first, total = int(offset), len(items)
    last = first + (quirks.page_rows or total)
    link = _link(call, first if quirks.links == "loop" else last, quirks) if last < total else None
    shown = [_respelled(item, quirks) for item in items[first:last]]
    return _reply({"value": shown, "nextLink": link, "totalCount": total, "message": message}, 200, quirks)


def refusal(error: InsightsError, quirks: InsightsQuirks, *, status: int | None = None) -> Reply:
    """Return an error; `status` is that of HTTP, where it differs from the one inside."""
    document: dict[str, Json] = {"value": [], "nextLink": None, "totalCount": 0, "message": error.message}
    reply = _reply(document, error.status, quirks)
    return Reply(status or error.status, reply.body, reply.content_type)


def _reply(document: Mapping[str, Json], status: int, quirks: InsightsQuirks) -> Reply:
    whole = {**document, "statusCode": status, "dataRedacted": quirks.data_redacted}
    return Reply(body=(BOM if quirks.bom else b"") + dump(_respelled(whole, quirks)))


def _respelled(item: Mapping[str, Json], quirks: InsightsQuirks) -> dict[str, Json]:
    return {_spelled(name, quirks.spelling, number): value for number, (name, value) in enumerate(item.items())}


def _spelled(name: str, spelling: str, number: int) -> str:
    if spelling == "camel":
        return name
    pascal = name[:1].upper() + name[1:]
    if spelling == "pascal":
        return pascal
    return f" {pascal}" if number % 2 else f"{pascal} "


def _link(call: Call, offset: int, quirks: InsightsQuirks) -> str:
    target = f"{call.path}?{urlencode({**call.query, _OFFSET: str(offset)})}"
    if quirks.links == "relative":
        return target.removeprefix(f"{BASE}/")
    return {"absolute": call.origin, "foreign": _FOREIGN}.get(quirks.links, "") + target
