"""Whatever Partner Insights answers, a poll gives rows or one explained failure."""

import json
from collections import Counter
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from exporter.errors import PayloadError, PollError
from exporter.model.rows import Answer, DropReason
from exporter.partner_center.insights import listing
from exporter.sources.insights import Insights
from exporter.sources.usage import INSIGHTS
from tests.fixtures.api import answering
from tests.fixtures.insights import MONTH, OFFICE, Query, answering_insights, envelope, office_row
from tests.property.strategies import json_values

KEYS = st.sampled_from(
    ["value", "Value", " VALUE ", "nextLink", "NextLink ", "totalCount", "statusCode", "StatusCode", "dataRedacted"]
)
ENVELOPES = st.dictionaries(KEYS, json_values, max_size=5)
BODIES = st.binary() | (json_values | ENVELOPES).map(lambda document: json.dumps(document).encode())
MONTHS = st.sampled_from([MONTH, "2026-11-01", "1/1/2027", "2026-13-01"])
ROWS = st.builds(office_row, active=json_values, paid=json_values) | st.builds(
    office_row, Month=MONTHS | json_values, WorkloadName=json_values, PartnerAttributionType=json_values
)
# What is said of the catalogue, as it comes or with something else in it.
ITEMS = st.fixed_dictionaries({key: st.just(value) | json_values for key, value in OFFICE.items()})


def fetch(query_body: Any, catalogue: Any = (OFFICE,)) -> Answer | PollError:
    """Return what a poll gives; any other exception is a bug."""
    source = Insights(INSIGHTS, data_sets=("OfficeUsage",), max_series=100)
    try:
        return source.fetch(answering_insights(lambda _query: query_body, catalogue=catalogue))
    except PollError as error:
        return error


@given(BODIES)
def test_any_body_is_rows_or_one_failure_with_a_remedy(body: bytes) -> None:
    for outcome in (fetch(body), fetch([], body)):
        assert isinstance(outcome, Answer) or (outcome.message and outcome.remedy)


@given(ENVELOPES)
def test_any_envelope_is_a_listing_or_a_failure(document: dict[str, object]) -> None:
    try:
        found = listing(answering(json.dumps(document).encode()), "/ScheduledDataset")
    except PollError:
        return
    assert found.received <= 10_000


@given(st.lists(ITEMS | json_values, max_size=3))
def test_any_catalogue_is_rows_or_one_failure(catalogue: list[object]) -> None:
    assert isinstance(fetch([office_row()], catalogue), Answer | PollError)


@given(st.lists(ROWS | json_values, max_size=9))
def test_every_row_of_the_newest_month_is_shown_or_counted(rows: list[Any]) -> None:
    outcome = fetch(rows)
    if isinstance(outcome, PollError):
        assert isinstance(outcome, PayloadError)
    else:
        assert outcome.usable + outcome.dropped[DropReason.INVALID] <= len(rows)
        assert len(outcome.rows) <= outcome.usable
        assert all(row.ratio is None or row.ratio >= 0 for row in outcome.rows)


@given(st.integers(0, 250), st.sampled_from([10, 100]), st.integers(1, 12))
def test_parts_are_never_shown(rows: int, limit: int, channels: int) -> None:
    """A server that cuts answers off without a word."""

    def answer(query: Query) -> object:
        whole = [
            office_row(1, 2, WorkloadName=f"W{n // channels}", PartnerAttributionType=f"C{n % channels}")
            for n in range(rows)
        ]
        if "PartnerAttributionType" not in query.selected:
            sizes = Counter(str(row["WorkloadName"]) for row in whole)
            whole = [office_row(size, 2 * size, WorkloadName=name) for name, size in sizes.items()]
        kept = whole if query.month in ("", "2026-12") else []
        return envelope(kept[:limit], totalCount=None)

    source = Insights(INSIGHTS, data_sets=("OfficeUsage",), max_series=1_000)
    try:
        shown = source.fetch(answering_insights(answer)).rows
    except PayloadError as error:
        refused = error.message
    else:
        assert sum(row.licences[0] or 0 for row in shown) == rows
        return
    assert "cut off" in refused
