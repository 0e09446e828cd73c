"""What both legacy sources do with rows: duplicates, the limit, empty answers, a retired path."""

import json

import pytest

from exporter.errors import Forbidden, NotFound, PayloadError, Unavailable
from exporter.model.rows import DropReason, UsageRow
from exporter.sources import deployment, usage
from exporter.sources.legacy import SUCCESSOR_HINT, Legacy, keep_newest, ratio
from tests.fixtures import deployment_item, legacy_page, usage_item
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
    assert answer.dropped == {
        DropReason.INVALID: 0,
        DropReason.DUPLICATE: 1,
        DropReason.NO_VALUE: 0,
        DropReason.LIMIT: 1,
    }


def test_items_that_make_no_row_are_left_out_and_counted() -> None:
    page = legacy_page(usage_item(channel="a"), usage_item(channel=""), "no row", usage_item(channel="b"))
    answer = Legacy(usage.LEGACY, 10).fetch(answering(page))
    assert [r.key[2] for r in answer.rows] == ["a", "b"]
    assert answer.dropped[DropReason.INVALID] == 2


def test_an_answer_without_rows_is_a_good_answer() -> None:
    answer = Legacy(usage.LEGACY, 3).fetch(answering(legacy_page()))
    assert answer.rows == ()
    assert not any(answer.dropped.values())


@pytest.mark.parametrize(
    "more",
    [
        {"totalCount": 2},
        {"totalCount": "2"},
        {"links": {"next": {"uri": "/analytics/licenses/usage?skip=1"}}},
        {"@nextLink": "usage?skip=1"},
    ],
)
@pytest.mark.parametrize("rows", [(), (usage_item(),)])
def test_an_answer_that_promises_more_than_came_is_a_failure(more: dict[str, object], rows: tuple[object, ...]) -> None:
    document = {"totalCount": len(rows), "items": rows, **more}
    with pytest.raises(PayloadError, match=r"but (the total is 2|this API has no pages)") as failed:
        Legacy(usage.LEGACY, 3).fetch(answering(json.dumps(document).encode()))
    assert "the last good data is kept" in failed.value.remedy


def test_a_total_below_what_came_hides_nothing() -> None:
    body = json.dumps({"totalCount": 0, "items": [usage_item(), "no row"]}).encode()
    assert len(Legacy(usage.LEGACY, 3).fetch(answering(body)).rows) == 1


def test_a_row_without_one_of_its_values_keeps_the_others_and_is_counted() -> None:
    rows = (
        deployment_item(),
        deployment_item(serviceName="crm", licensesSold=None),
        deployment_item(serviceName="ems", proratedDeploymentPercent=None),
        deployment_item(serviceName="none", proratedDeploymentPercent=None, licensesSold=None),
    )
    answer = Legacy(deployment.LEGACY, 10).fetch(answering(legacy_page(*rows)))
    assert [(r.key[0], r.ratio, r.licences[1]) for r in answer.rows] == [
        ("crm", 0.725, None),
        ("ems", None, 206.0),
        ("none", None, None),
        ("o365", 0.725, 206.0),
    ]
    assert (answer.usable, answer.dropped[DropReason.NO_VALUE]) == (4, 3)


def test_a_row_with_nothing_but_labels_is_dropped() -> None:
    blank = usage_item(workloadName="Teams", processedDateTime="0001-01-01T00:00:00", proratedLicensesUsagePercent=None)
    answer = Legacy(usage.LEGACY, 10).fetch(answering(legacy_page(usage_item(), blank)))
    assert [r.key[0] for r in answer.rows] == ["Exchange"]
    assert (answer.usable, answer.dropped[DropReason.NO_VALUE]) == (1, 1)


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
