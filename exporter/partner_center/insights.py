"""Partner Insights: its requests, and its responses as rows by column name, however they are spelled.

learn.microsoft.com/partner-center/insights/insights-programmatic-analytics-available-api. The published pages and
recorded responses differ in case, stray blanks and types, so names are compared without case and blanks around them.
"""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from http import HTTPStatus
from typing import Any
from urllib.parse import quote, urlencode, urljoin, urlsplit

from exporter.errors import PayloadError, PollError, Rejected, Unavailable
from exporter.messages import Line, line
from exporter.partner_center.client import ApiPoll, Dialect
from exporter.partner_center.paging import MAX_LINK
from exporter.partner_center.wire import content_of, contradiction, is_not, unusable, whole_number
from exporter.redaction import Redactor
from exporter.upstream.transport import HttpReply

BASE = "/insights/v1/mpn"
# A query may take 100 s there, which this must outlast.
_TIMEOUT_SECONDS = 120.0
# A catalogue of fifty data sets has 2,000 values, a hundred rows of sixteen sums as many.
_MAX_VALUES = 100_000
_MAX_ROWS = 10_000
_MAX_PAGES = 100
_MAX_SHOWN = 1_000
_MAX_INTERVAL_HOURS = 2_160
_NO_STATUS = 600
_DRIFTED = ("Incorrect column name", "Invalid table name")
_DRIFT_REMEDY = line(
    "Microsoft has changed the data set: look for a newer version of this exporter, or report it; until then, take the "
    "set out of `datasets`"
)
_BAD_REQUEST = "Internal error encountered while creating report"

Item = Mapping[str, Any]
"""An object of a response, by its keys as `folded` writes them."""


@dataclass(frozen=True, slots=True)
class Listing:
    """A whole response: its items, those that are none, how many it claims to have, and whether values are withheld."""

    items: tuple[Item, ...]
    invalid: int = 0
    total: int | None = None
    redacted: bool = False

    @property
    def received(self) -> int:
        """How many rows came, whatever is in them."""
        return len(self.items) + self.invalid


def folded(name: str) -> str:
    """Return a name as names are compared here."""
    return name.strip().casefold()


def as_meant(reply: HttpReply) -> HttpReply:
    """Return the response with the status that its body says: an error may come as a success."""
    if not HTTPStatus.OK <= reply.status < HTTPStatus.MULTIPLE_CHOICES:
        return reply
    body = reply.json_object() or {}
    values = (value for key, value in body.items() if folded(key) == "statuscode")
    statuses = (whole_number(value.strip() if isinstance(value, str) else value) for value in values)
    inside = next((status for status in statuses if status is not None), 0)
    return replace(reply, status=inside) if HTTPStatus.BAD_REQUEST <= inside < _NO_STATUS else reply


def explained(error: PollError) -> PollError:
    """Return the error as it is meant: a malformed time is answered with 500, which no retry mends.

    Names that the catalogue lists and a query can't use are no fault of the configuration.
    """
    if isinstance(error, Unavailable) and _BAD_REQUEST in error.message:
        return Rejected(**error.arguments())
    if isinstance(error, Rejected) and any(words in error.message for words in _DRIFTED):
        return error.replace(remedy=_DRIFT_REMEDY)
    return error


DIALECT = Dialect(_TIMEOUT_SECONDS, as_meant, explained)


def listing(poll: ApiPoll, path: str, options: Mapping[str, str] | None = None) -> Listing:
    """Return everything at a path below `BASE`, from all pages; raises PollError, PayloadError."""
    whole = Listing(())
    for page in _pages(poll, path, options or {}):
        whole = Listing(
            whole.items + page.items,
            whole.invalid + page.invalid,
            whole.total if page.total is None else page.total,
            whole.redacted or page.redacted,
        )
        if whole.received > _MAX_ROWS:
            raise unusable(line("the response has more than {:,} rows", _MAX_ROWS))
    return whole


def _pages(poll: ApiPoll, path: str, options: Mapping[str, str]) -> Iterator[Listing]:
    target = BASE + path + ("?" + urlencode(options, quote_via=quote) if options else "")
    requested = set()
    for _ in range(_MAX_PAGES):
        if target in requested:
            raise contradiction(line("the links between pages form a loop"))
        requested.add(target)
        envelope = _envelope(poll.get(target, DIALECT), poll.redactor)
        yield _page(envelope, poll.redactor)
        link = envelope.get("nextlink") or ""
        link = link.strip() if isinstance(link, str) else link
        if not link:
            return
        target = _following(target, link)
    raise contradiction(line("the response does not end after {:,} pages", _MAX_PAGES))


def items_of(body: bytes, redactor: Redactor) -> tuple[Item, ...]:
    """Return the items of one response; raises PayloadError."""
    return _page(_envelope(body, redactor), redactor).items


def _envelope(body: bytes, redactor: Redactor) -> Item:
    content = content_of(body, redactor, max_values=_MAX_VALUES)
    try:
        # Reads NaN and half a character, which spoil one row only.
        envelope = json.loads(content)
    except (ValueError, RecursionError) as error:
        if not content.strip():
            raise unusable(line("the response is empty")) from error
        raise is_not(line("a JSON object"), content, redactor) from error
    if not isinstance(envelope, dict):
        raise is_not(line("a JSON object"), content, redactor)
    return _by_name(envelope)


def _page(envelope: Item, redactor: Redactor) -> Listing:
    values = envelope.get("value")
    if not isinstance(values, list):
        raise unusable(line("the response contains no list of rows: {!r}", redactor.quote(str(envelope)[:_MAX_SHOWN])))
    items = tuple(_by_name(value) for value in values if isinstance(value, dict))
    redacted = str(envelope.get("dataredacted")).strip().lower() == "true"
    return Listing(items, len(values) - len(items), whole_number(envelope.get("totalcount")), redacted)


def _by_name(fields: Mapping[str, Any]) -> Item:
    return {folded(name): value for name, value in fields.items()}


def _following(target: str, link: object) -> str:
    """Return where a next link leads: absolute, below the origin, or relative to `BASE`; the client refuses others."""
    if not isinstance(link, str):
        raise unusable(line("the next-page link is not a string"))
    if len(link) > MAX_LINK:
        raise contradiction(line("the link to the next page is longer than {:,} characters", MAX_LINK))
    try:
        parts = urlsplit(link)
        if parts.scheme or parts.netloc:
            return link
        if not parts.path:
            return urljoin(target, link)
    except ValueError as error:
        raise contradiction(line("the link to the next page is not a valid URL")) from error
    path = link.lstrip("/")
    prefix = BASE.lstrip("/") + "/"
    return "/" + path if path.startswith(prefix) else f"{BASE}/{path}"


@dataclass(frozen=True, slots=True)
class Columns:
    """What a data set offers: columns and metrics as the catalogue spells them, and ranges of time.

    Two runs of its reports are at least `interval_hours` apart.
    """

    names: Mapping[str, str]
    ranges: tuple[str, ...]
    interval_hours: int = 0

    def __contains__(self, name: str) -> bool:
        return folded(name) in self.names


def catalogue(poll: ApiPoll) -> Mapping[str, Columns]:
    """Return the data sets that this account can query, by folded name; raises PollError, PayloadError.

    insights-programmatic-analytics-api-get-all-datasets. One without columns can't be queried, and is left out.
    """
    found = {}
    for item in listing(poll, "/ScheduledDataset").items:
        name, columns = item.get("datasetname"), _texts(item.get("selectablecolumns"))
        if isinstance(name, str) and columns:
            offered = {folded(column): column.strip() for column in (*columns, *_texts(item.get("availablemetrics")))}
            ranges = tuple(text.strip() for text in _texts(item.get("availabledateranges")))
            hours = whole_number(item.get("minimumrecurrenceinterval")) or 0
            found[folded(name)] = Columns(offered, ranges, min(hours, _MAX_INTERVAL_HOURS))
    return found


def _texts(value: object) -> list[str]:
    return [text for text in value if isinstance(text, str)] if isinstance(value, list) else []


def missing_column(data_set: Line, column: str) -> PayloadError:
    """Return the error of a column that is needed and gone."""
    return PayloadError(
        line("the data set {} has no column {}, which is needed", data_set, Redactor().quote(column)),
        remedy=line("Microsoft has changed the data set: look for a newer version of this exporter, or report it"),
    )
