"""Which past days may still change, and when Microsoft should be done with them."""

from datetime import date, timedelta

import httpx
import pytest

from exporter.commands.history import Feed, complete_before, done_on, is_recent
from exporter.sources import usage
from exporter.sources.commercial import Commercial
from exporter.sources.insights import Insights
from tests.fixtures.api import poll
from tests.fixtures.insights import Query, insights_server, office_row

CLIENT = poll(httpx.Client()).client
DAYS = Feed(CLIENT, Commercial(usage.COMMERCIAL, max_series=10))
MONTHS = Feed(CLIENT, Insights(usage.INSIGHTS, data_sets=("OfficeUsage",), max_series=10))


@pytest.mark.parametrize(
    ("today", "first"),
    [
        # A month is complete on the 20th of the next, of which the day itself may be too early.
        (date(2026, 11, 1), date(2026, 10, 1)),
        (date(2026, 11, 20), date(2026, 10, 1)),
        (date(2026, 11, 21), date(2026, 11, 1)),
        (date(2026, 1, 5), date(2025, 12, 1)),
        (date(2026, 1, 21), date(2026, 1, 1)),
    ],
)
def test_the_months_of_insights_that_may_change_begin_with(today: date, first: date) -> None:
    assert is_recent(first, [MONTHS], today)
    assert not is_recent(first - timedelta(days=1), [MONTHS], today)
    assert complete_before([MONTHS], today) == first


def test_of_several_sources_the_later_one_decides() -> None:
    today = date(2026, 11, 10)
    assert not is_recent(date(2026, 10, 31), [DAYS], today)
    assert is_recent(date(2026, 10, 31), [DAYS, MONTHS], today)
    assert is_recent(date(2026, 11, 21), [DAYS, MONTHS], date(2026, 11, 30))


@pytest.mark.parametrize(
    ("day", "feeds", "lag", "done"),
    [
        (date(2026, 10, 1), [MONTHS], 40, date(2026, 11, 21)),
        (date(2026, 10, 31), [MONTHS], 40, date(2026, 11, 21)),
        (date(2026, 11, 1), [MONTHS], 9, date(2026, 12, 21)),
        (date(2026, 12, 24), [MONTHS], 9, date(2027, 1, 21)),
        (date(2026, 11, 8), [DAYS], 3, date(2026, 11, 12)),
        (date(2026, 11, 8), [DAYS, MONTHS], 3, date(2026, 12, 21)),
    ],
)
def test_a_day_is_done_when_every_source_should_be_done_with_it(
    day: date, feeds: list[Feed], lag: int, done: date
) -> None:
    assert done_on(day, feeds, timedelta(days=lag)) == done


def test_a_month_is_asked_for_once_for_all_of_its_days() -> None:
    def answer(query: Query) -> object:
        return [office_row(Month=query.start)]

    polled, server = insights_server(answer)
    feed = Feed(polled.client, MONTHS.source)
    days = [date(2026, 10, 30) + timedelta(days=number) for number in range(35)]
    dates = [{row.processed_at for row in feed.fetch(day).rows} for day in days]
    assert [query.month for query in server.queries] == ["2026-10", "2026-11", "2026-12"]
    assert dates[:2] == [{1_790_812_800.0}] * 2
    assert dates[2:32] == [{1_793_491_200.0}] * 30
