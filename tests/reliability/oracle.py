"""What an answer of the API must become, worked out anew from the contract: nothing here is the exporter's.

Plain Python over `json.loads`, row by row, with none of the exporter's types, so that a mistake in one is
no mistake in the other.
"""

import json
import math
import re
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

Samples = dict[tuple[str, frozenset[tuple[str, str]]], float]

_JSON_NUMBER = re.compile(r"-?(0|[1-9]\d*)(\.\d+)?([eE][+-]?\d+)?", re.ASCII)
_YEAR_2000 = datetime(2000, 1, 1, tzinfo=UTC).timestamp()
_YEAR_2100 = datetime(2100, 1, 1, tzinfo=UTC).timestamp()
_MAX_PERCENT = 1_000_000
_MAX_TOTAL = 10**12
_MAX_LICENCES = 10**15
_MAX_LABEL, _MAX_DATE = 1_000, 40


@dataclass(frozen=True)
class Kind:
    """One source: the JSON keys of its labels and figures, and the samples that they make."""

    labels: dict[str, str]
    percent: str
    ratio: str
    processed: str
    sold: str = ""


USAGE = Kind(
    {"workload": "workloadName", "service": "serviceName", "channel": "channel"},
    "proratedLicensesUsagePercent",
    "partnercenter_license_usage_ratio",
    "partnercenter_license_usage_processed_timestamp_seconds",
)
DEPLOYMENT = Kind(
    {"service": "serviceName", "channel": "channel"},
    "proratedDeploymentPercent",
    "partnercenter_license_deployment_ratio",
    "partnercenter_license_deployment_processed_timestamp_seconds",
    "licensesSold",
)
_SOLD = "partnercenter_licenses_sold"


class Unusable(Exception):
    """The whole answer is to fail the poll."""


class _BadRowError(Exception):
    pass


@dataclass(frozen=True)
class Expected:
    """What a good answer makes: samples, rows that count, and dropped rows by reason."""

    samples: Samples
    rows: int
    dropped: dict[str, int]


@dataclass(frozen=True)
class _Row:
    labels: tuple[str, ...]
    figures: dict[str, float]
    processed: float | None


def expected(body: bytes, kind: Kind, *, limit: int = 100_000, partner: str = "contoso") -> Expected:
    """Return what an answer must become; raises Unusable."""
    items = _items(body)
    good, bad = [], 0
    for item in items:
        try:
            good.append(_row(item, kind))
        except _BadRowError:
            bad += 1
    if items and not any(row.figures for row in good):
        raise Unusable("no row has a figure")
    newest: dict[tuple[str, ...], _Row] = {}
    for row in good:
        previous = newest.get(row.labels)
        if previous is None or (row.processed or 0) > (previous.processed or 0):
            newest[row.labels] = row
    shown = [row for _, row in sorted(newest.items()) if row.figures or row.processed is not None]
    kept = shown[:limit]
    figures = 2 if kind.sold else 1
    dropped = {
        "invalid": bad,
        "duplicate": len(good) - len(newest),
        "no_value": sum(len(row.figures) < figures for row in good),
        "limit": len(shown) - len(kept),
    }
    samples: Samples = {}
    for row in kept:
        labels = frozenset({("partner", partner), *zip(kind.labels, row.labels, strict=True)})
        samples |= {(name, labels): value for name, value in row.figures.items()}
        if row.processed is not None:
            samples[(kind.processed, labels)] = row.processed
    return Expected(samples, len(kept), dropped)


def _items(body: bytes) -> list[Any]:
    try:
        document = json.loads(
            body.decode("utf-8-sig"), parse_int=lambda text: math.inf if len(text) > 4_000 else int(text)
        )
    except (ValueError, RecursionError) as error:
        raise Unusable(str(error)) from error
    if not isinstance(document, dict):
        raise Unusable("no object")
    for key in ("items", "Value", "value"):
        if document.get(key) is not None:
            if not isinstance(document[key], list):
                raise Unusable("no list")
            _check_whole(document, len(document[key]))
            return list(document[key])
    raise Unusable("no rows")


def _check_whole(document: dict[str, Any], received: int) -> None:
    links = document.get("links")
    following = links.get("next") if isinstance(links, dict) else None
    if isinstance(following, dict) and "uri" in following:
        following = following["uri"]
    if following or any(document.get(key) for key in ("@nextLink", "nextLink", "NextLink", "@odata.nextLink")):
        raise Unusable("a next page")
    totals = (_total(document.get(key)) for key in ("totalCount", "TotalCount"))
    total = next((total for total in totals if total is not None), None)
    if total is not None and (total > received or total < -_MAX_TOTAL):
        raise Unusable("rows are missing")


def _total(value: Any) -> float | None:
    if isinstance(value, str) and _JSON_NUMBER.fullmatch(value):
        value = float(value)
    if isinstance(value, float):
        return value if value.is_integer() or math.isinf(value) else None
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def _row(item: Any, kind: Kind) -> _Row:
    if not isinstance(item, dict):
        raise _BadRowError
    labels = tuple(_label(item.get(key)) for key in kind.labels.values())
    percent = _number(item.get(kind.percent), maximum=_MAX_PERCENT)
    figures = {} if percent is None else {kind.ratio: percent / 100}
    sold = _number(item.get(kind.sold), maximum=_MAX_LICENCES) if kind.sold else None
    if sold is not None:
        figures[_SOLD] = sold
    return _Row(labels, figures, _moment(item.get("processedDateTime")))


def _label(value: Any) -> str:
    if not isinstance(value, str) or not 0 < len(value) <= _MAX_LABEL:
        raise _BadRowError
    return "".join("\ufffd" if 0xD800 <= ord(character) <= 0xDFFF else character for character in value)


def _number(value: Any, *, maximum: float) -> float | None:
    if value is None or (isinstance(value, str) and value.lower() == "null"):
        return None
    if isinstance(value, str) and _JSON_NUMBER.fullmatch(value):
        value = float(value)
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise _BadRowError
    try:
        number = float(value)
    except OverflowError as error:
        raise _BadRowError from error
    if not math.isfinite(number) or number < 0 or number > maximum:
        raise _BadRowError
    return number


def _moment(value: Any) -> float | None:
    if value is None or (isinstance(value, str) and not value.strip()):
        return None
    if len(str(value)) > _MAX_DATE:
        raise _BadRowError
    try:
        moment = datetime.fromisoformat(value)
        seconds = (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
    except OverflowError:
        return None
    except (ValueError, TypeError) as error:
        raise _BadRowError from error
    return seconds if _YEAR_2000 <= seconds < _YEAR_2100 else None
