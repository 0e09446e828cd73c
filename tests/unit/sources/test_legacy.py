"""What both legacy sources do with rows: duplicates, the limit, empty answers, a retired path."""

import pytest

from exporter.errors import Forbidden, NotFound, PayloadError, Unavailable
from exporter.model.rows import DropReason, UsageRow
from exporter.sources import usage
from exporter.sources.legacy import SUCCESSOR_HINT, Legacy, keep_newest, ratio
from tests.fixtures import legacy_page, usage_item
from tests.fixtures.api import answering

OLD, NEW = "2017-03-09T00:00:00Z", "2017-03-10T00:00:00Z"


def row(ratio: float | None, processed_at: float | None, workload: str = "Exchange") -> UsageRow:
    return UsageRow(workload, "o365", "reseller", ratio, processed_at)


@pytest.mark.parametrize("dates", [(OLD, NEW), (NEW, OLD), (None, NEW), (NEW, None)])
def test_of_rows_that_share_their_labels_the_one_processed_last_wins(dates: tuple[str | None, ...]) -> None:
    rows = [
        usage_item(processedDateTime=date, proratedLicensesUsagePercent=80 if date == NEW else 20) for date in dates
    ]
    answer = Legacy(usage.LEGACY, 10).fetch(answering(legacy_page(*rows)))
    assert [r.ratio for r in answer.rows] == [0.8]
    assert answer.dropped[DropReason.DUPLICATE] == 1


def test_of_rows_processed_at_the_same_time_the_first_wins() -> None:
    assert keep_newest([row(0.1, 5.0), row(0.2, 5.0), row(0.3, None)]) == [row(0.1, 5.0)]
    assert keep_newest([row(0.1, None), row(0.2, None)]) == [row(0.1, None)]


def test_a_newest_row_without_a_value_hides_an_older_value() -> None:
    assert keep_newest([row(0.1, 5.0), row(None, 6.0)]) == [row(None, 6.0)]


def test_rows_with_other_labels_stay() -> None:
    rows = [row(0.1, 5.0), row(0.2, 5.0, "Teams")]
    assert keep_newest(rows) == rows


def test_what_is_over_the_limit_is_dropped_and_counted() -> None:
    page = legacy_page(*(usage_item(workloadName=name) for name in ("d", "b", "a", "c", "a")))
    answer = Legacy(usage.LEGACY, 3).fetch(answering(page))
    assert [r.key[0] for r in answer.rows] == ["a", "b", "c"]
    assert answer.dropped == {DropReason.INVALID: 0, DropReason.DUPLICATE: 1, DropReason.LIMIT: 1}


def test_items_that_make_no_row_are_left_out_and_counted() -> None:
    page = legacy_page(usage_item(channel="a"), usage_item(channel=""), "no row", usage_item(channel="b"))
    answer = Legacy(usage.LEGACY, 10).fetch(answering(page))
    assert [r.key[2] for r in answer.rows] == ["a", "b"]
    assert answer.dropped[DropReason.INVALID] == 2


def test_an_answer_without_rows_is_a_good_answer() -> None:
    answer = Legacy(usage.LEGACY, 3).fetch(answering(legacy_page()))
    assert answer.rows == ()
    assert not any(answer.dropped.values())


def test_a_path_that_is_gone_hints_at_the_successor() -> None:
    for status in (404, 410):
        with pytest.raises(NotFound) as gone:
            Legacy(usage.LEGACY, 3).fetch(answering(b"", status=status))
        assert gone.value.remedy == SUCCESSOR_HINT


@pytest.mark.parametrize(("status", "kind"), [(200, PayloadError), (403, Forbidden), (503, Unavailable)])
def test_other_failures_stay_what_they_are(status: int, kind: type[Exception]) -> None:
    with pytest.raises(kind):
        Legacy(usage.LEGACY, 3).fetch(answering(b"", status=status))


def test_no_percentage_is_no_ratio() -> None:
    assert ratio(None) is None
