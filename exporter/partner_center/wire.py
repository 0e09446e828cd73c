"""Response bodies as typed rows despite byte-order marks, spellings and odd types; unusable rows are dropped.

Resources: learn.microsoft.com/partner-center/developer/partner-center-analytics-resources. A page is
decoded in one go; only where that fails is it read and converted row by row.
"""

import codecs
import math
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Generic, TypedDict, TypeVar

import msgspec

from exporter.errors import PayloadError
from exporter.messages import Line, line
from exporter.partner_center.json_rows import read_object
from exporter.redaction import Redactor

T = TypeVar("T")

# Five times as many rows as are asked for, and more values than these have: what is more is no licence data, and
# decoding it would hold up every scrape.
_MAX_ROWS = 50_000
_MAX_VALUES = 1_000_000
_MAX_TOTAL = 10**12
_PIECE_BYTES = 256 * 1024
# Both APIs' spellings of what is around the rows.
_ROWS = ("items", "Value", "value")
_TOTALS = ("totalCount", "TotalCount")
_SEPARATORS = (b",", b"[", b"{")
_NEXT_LINKS = ("@nextLink", "nextLink", "NextLink", "@odata.nextLink")
_LINKS = "links"


class UsageItem(msgspec.Struct, rename="camel"):
    """A row of the legacy usage response. `proratedLicensesUsagePercent` is 0 to 100."""

    workload_name: str | None = None
    service_name: str | None = None
    channel: str | None = None
    prorated_licenses_usage_percent: float | None = None
    processed_date_time: str | None = None


class DeploymentItem(msgspec.Struct, rename="camel"):
    """A row of the legacy deployment response. `proratedDeploymentPercent` is 0 to 100."""

    service_name: str | None = None
    channel: str | None = None
    prorated_deployment_percent: float | None = None
    licenses_sold: float | None = None
    processed_date_time: str | None = None


class CommercialItem(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """What rows of both commercial responses have; a million of them pass through, none is kept."""

    service_code: str | None = msgspec.field(default=None, name="serviceCode")
    channel: str | None = None
    customer_id: str | None = msgspec.field(default=None, name="customerTenantId")
    customer_name: str | None = msgspec.field(default=None, name="customerName")
    product_id: str | None = msgspec.field(default=None, name="productId")
    product_name: str | None = msgspec.field(default=None, name="productName")
    processed_date_time: str | None = msgspec.field(default=None, name="processedDateTime")


class CommercialUsageItem(CommercialItem, frozen=True, gc=False, kw_only=True):
    """A row of the commercial usage response: the published table and its example differ in spelling."""

    workload_name: str | None = msgspec.field(default=None, name="workloadName")
    active: float | None = msgspec.field(default=None, name="licensesActive")
    active_misspelt: float | None = msgspec.field(default=None, name="licenseActive")
    qualified: float | None = msgspec.field(default=None, name="licensesQualified")
    qualified_misspelt: float | None = msgspec.field(default=None, name="licenseQualified")


class CommercialDeploymentItem(CommercialItem, frozen=True, gc=False, kw_only=True):
    """A row of the commercial deployment response."""

    deployed: float | None = msgspec.field(default=None, name="licensesDeployed")
    deployed_misspelt: float | None = msgspec.field(default=None, name="licenseDeployed")
    sold: float | None = msgspec.field(default=None, name="licensesSold")
    sold_misspelt: float | None = msgspec.field(default=None, name="licenseSold")


@dataclass(frozen=True, slots=True)
class Page(Generic[T]):
    """One decoded response: its rows, how many could not be read, and the total that it claims."""

    items: tuple[T, ...]
    invalid: int
    total: int | None
    next_link: str = ""  # on the last page
    repeated: int = 0  # rows left out because the previous page had them


class PageDecoder(Generic[T]):
    """Decodes pages of one kind of row."""

    def __init__(self, item: type[T]) -> None:
        self._item = item
        kinds = {_ROWS: list[item] | None, _TOTALS: int | None, _NEXT_LINKS: str | None, (_LINKS,): Any}  # type: ignore[valid-type]  # known at run time only
        fields = {name: kind for names, kind in kinds.items() for name in names}
        envelope = TypedDict("envelope", fields, total=False)  # type: ignore[misc]  # likewise
        self._envelope: msgspec.json.Decoder[Any] = msgspec.json.Decoder(envelope, strict=False)

    def decode(self, body: bytes, redactor: Redactor) -> Page[T]:
        """Return the page's rows; raises PayloadError unless it is a JSON object with a list of rows."""
        content = content_of(body, redactor)
        try:
            envelope: dict[str, Any] = self._envelope.decode(content)
            typed = True
        except (msgspec.MsgspecError, ValueError, RecursionError):
            envelope, typed = _read_leniently(content, redactor), False
        rows = next((envelope[name] for name in _ROWS if envelope.get(name) is not None), None)
        total = next((total for name in _TOTALS if (total := whole_number(envelope.get(name))) is not None), None)
        link = _next_link(envelope)
        if not isinstance(rows, list):
            raise unusable(line("the response contains no list of rows: {!r}", redactor.quote(body)))
        if not isinstance(link, str):
            raise unusable(line("the next-page link is not a string"))
        if len(rows) > _MAX_ROWS:
            raise unusable(line("a page has more than {:,} rows", _MAX_ROWS))
        items = rows if typed else [item for row in rows if (item := self._convert(row)) is not None]
        return Page(tuple(items), len(rows) - len(items), total, link)

    def _convert(self, row: Any) -> T | None:
        try:
            return msgspec.convert(row, self._item, strict=False)
        except (msgspec.ValidationError, ValueError, OverflowError):
            return None


def content_of(body: bytes, redactor: Redactor, *, max_values: int = _MAX_VALUES) -> bytes:
    """Return the JSON of a body, without a byte-order mark; raises PayloadError for too much, or no UTF-8."""
    if sum(map(body.count, _SEPARATORS)) > max_values:
        raise unusable(line("the response has more than {:,} values", max_values))
    try:
        _check_encoding(body)
    except UnicodeDecodeError as error:
        raise is_not(line("UTF-8"), body, redactor) from error
    return body.removeprefix(codecs.BOM_UTF8)


def _check_encoding(body: bytes) -> None:
    """Raise UnicodeDecodeError unless it is UTF-8: the decoder doesn't look at what it skips.

    In pieces: as text, one character can make each of them take four bytes.
    """
    decoder = codecs.getincrementaldecoder("utf-8")()
    for start in range(0, len(body), _PIECE_BYTES):
        decoder.decode(body[start : start + _PIECE_BYTES])
    decoder.decode(b"", final=True)


def whole_number(value: Any) -> int | None:
    """Return a total, which may come as a text; None for what is no whole number. Raises PayloadError."""
    if isinstance(value, str):
        # UnicodeEncodeError: JSON's escapes can write half a character.
        with suppress(msgspec.ValidationError, UnicodeEncodeError):
            value = msgspec.convert(value, int, strict=False)
    is_whole = type(value) is int or (isinstance(value, float) and (value.is_integer() or math.isinf(value)))
    if is_whole and not -_MAX_TOTAL <= value <= _MAX_TOTAL:
        raise unusable(line("the total is impossible"))
    return int(value) if is_whole else None


def _next_link(envelope: dict[str, Any]) -> Any:
    """Return the link to the next page, or what stands in its place; nothing on the last page.

    Partner Center's collections have it as `links.next.uri`:
    learn.microsoft.com/partner-center/developer/utility-resources (StandardResourceLinks).
    """
    link = next((envelope[name] for name in _NEXT_LINKS if envelope.get(name)), "")
    links = envelope.get(_LINKS)
    following = links.get("next") if isinstance(links, dict) else None
    if isinstance(following, dict):
        following = following.get("uri", following)
    return link or following or ""


def _read_leniently(content: bytes, redactor: Redactor) -> dict[str, Any]:
    text = content.decode()
    try:
        return read_object(text, row_keys=_ROWS, max_rows=_MAX_ROWS)
    except (ValueError, RecursionError) as error:
        if not text.strip():
            raise unusable(line("the response is empty")) from error
        raise is_not(line("a JSON object"), content, redactor) from error


def is_not(expected: Line, body: bytes, redactor: Redactor) -> PayloadError:
    """Return the error of a body that is something else."""
    return unusable(line("the response is not {}: {!r}", expected, redactor.quote(body)))


def unusable(message: Line) -> PayloadError:
    """Return the error of a response that is not of the expected shape."""
    remedy = line("check which server answers at api_url: this may be a proxy's page, or the API has changed")
    return PayloadError(message, remedy=remedy)


def contradiction(message: Line) -> PayloadError:
    """Return the error of a response that contradicts itself: it isn't whole, or is of two halves."""
    remedy = line("wait: the next poll tries again, and the last good data is kept; if it persists, report it")
    return PayloadError(message, remedy=remedy)


def no_usable_rows(received: int) -> PayloadError:
    """Return the error of a response that has rows, none of which can be used."""
    return PayloadError(
        line("none of the {} rows is usable: labels or values are missing or impossible", received),
        remedy=line("the API has changed, or this is another kind of data: please report it"),
    )
