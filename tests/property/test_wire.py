"""Whatever the API answers, it becomes a page or a PayloadError, and no good row is lost."""

import json
import math
from contextlib import suppress

from hypothesis import example, given
from hypothesis import strategies as st

from exporter.errors import PayloadError
from exporter.model.rows import DropReason
from exporter.model.values import ImpossibleValueError, label, quantity, timestamp
from exporter.partner_center.wire import PageDecoder, UsageItem
from exporter.redaction import Redactor
from exporter.sources import usage
from exporter.sources.legacy import Legacy
from tests.fixtures import BOM, legacy_page, usage_item
from tests.fixtures.api import answering
from tests.property.strategies import json_values, torn_text

DECODER = PageDecoder(UsageItem)
SOURCE = Legacy(usage.LEGACY, max_series=100)

KEYS = st.sampled_from(
    ["workloadName", "serviceName", "channel", "proratedLicensesUsagePercent", "processedDateTime", "attributes"]
)
ENVELOPE = ["totalCount", "TotalCount", "Value", "value", "@nextLink", "nextLink", "links", "attributes"]
ODD_ROWS = st.dictionaries(KEYS, json_values) | json_values


@given(st.binary() | st.binary().map(BOM.__add__) | json_values.map(lambda value: json.dumps(value).encode()))
def test_any_bytes_are_a_page_or_a_payload_error(body: bytes) -> None:
    try:
        page = DECODER.decode(body, Redactor())
    except PayloadError as error:
        refused = error
    else:
        assert page.invalid >= 0
        return
    assert refused.remedy
    assert refused.message.isprintable()


@given(st.sampled_from(ENVELOPE), json_values)
@example("totalCount", "\ud800")
@example("TotalCount", "1" * 5_000)
def test_any_value_around_the_rows_leaves_a_page_or_is_a_payload_error(key: str, value: object) -> None:
    body = json.dumps({"items": [usage_item()], key: value}).encode()
    with suppress(PayloadError):
        page = DECODER.decode(body, Redactor())
        assert page.total is None or isinstance(page.total, int)
        assert isinstance(page.next_link, str)


@given(st.lists(ODD_ROWS, max_size=8), st.integers(0, 8))
def test_invalid_rows_never_drop_a_valid_one(odd: list[object], place: int) -> None:
    rows = [*odd[:place], usage_item(workloadName="the good one"), *odd[place:]]
    page = DECODER.decode(legacy_page(*rows), Redactor())
    assert len(page.items) + page.invalid == len(rows)
    answer = SOURCE.fetch(answering(legacy_page(*rows)))
    assert ("the good one", "o365", "reseller") in [row.key for row in answer.rows]
    counted = {reason: count for reason, count in answer.dropped.items() if reason is not DropReason.NO_VALUE}
    blank = len(rows) - len(answer.rows) - sum(counted.values())
    assert 0 <= blank <= answer.dropped[DropReason.NO_VALUE]


@given(st.lists(ODD_ROWS, max_size=8))
def test_a_row_that_is_used_has_no_impossible_value(odd: list[object]) -> None:
    try:
        rows = SOURCE.fetch(answering(legacy_page(*odd))).rows
    except PayloadError:
        return
    for row in rows:
        assert all(row.key)
        assert all(text.encode() for text in row.key)
        for value in (row.ratio, row.processed_at):
            assert value is None or (math.isfinite(value) and value >= 0)


@given(torn_text.filter(bool))
def test_a_label_can_be_written_and_differs_only_where_it_could_not(text: str) -> None:
    shown = label(text)
    assert shown.encode()
    try:
        text.encode()
    except UnicodeEncodeError:
        assert "\N{REPLACEMENT CHARACTER}" in shown or len(shown) < len(text)
    else:
        assert shown == text
    assert label(shown) == shown


@given(st.floats() | st.none(), st.floats(0, allow_infinity=False))
def test_a_quantity_is_what_it_was_or_refused(value: float | None, maximum: float) -> None:
    try:
        assert quantity(value, maximum=maximum) == value
    except ImpossibleValueError:
        assert value is not None
        assert not 0 <= value <= maximum


@given(torn_text | st.datetimes().map(str) | st.datetimes(timezones=st.timezones()).map(lambda d: d.isoformat()))
def test_any_date_is_a_time_of_this_century_or_none_or_refused(written: str) -> None:
    try:
        seconds = timestamp(written)
    except ImpossibleValueError:
        return
    assert seconds is None or 946_684_800 <= seconds < 4_102_444_800
