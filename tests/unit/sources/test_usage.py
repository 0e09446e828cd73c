"""Licence usage from the legacy API: a row becomes one series, and what is impossible none."""

import pytest

from exporter.errors import PayloadError
from exporter.model.rows import DropReason, UsageRow, has_value
from exporter.model.values import ImpossibleValueError
from exporter.partner_center.wire import UsageItem
from exporter.sources.legacy import Legacy
from exporter.sources.usage import LEGACY, to_row
from tests.fixtures import legacy_page, published, usage_item
from tests.fixtures.api import answering

SOURCE = Legacy(LEGACY, 100)


def item(
    *,
    percent: float | None = 26.16,
    workload: str | None = "Exchange",
    service: str | None = "o365",
    channel: str | None = "reseller",
    processed: str | None = None,
) -> UsageItem:
    return UsageItem(workload, service, channel, percent, processed)


def test_it_is_the_source_usage_of_the_legacy_api() -> None:
    assert (LEGACY.row.SOURCE, SOURCE.api, LEGACY.path) == ("usage", "legacy", "/v1/analytics/licenses/usage")


def test_sharepoint_is_shown_under_both_of_its_services() -> None:
    answer = SOURCE.fetch(answering(published("usage")))
    rows = [row for row in answer.rows if isinstance(row, UsageRow) and row.workload == "SharePoint"]
    assert [(row.service, row.processed_at) for row in rows] == [("crm", 1489104000.0), ("o365", 1489017600.0)]
    assert len(answer.rows) == 5
    assert not any(answer.dropped.values())


@pytest.mark.parametrize(
    ("percent", "ratio"), [(0.0, 0.0), (0.5, 0.005), (1.0, 0.01), (26.16, 0.2616), (100.0, 1.0), (112.0, 1.12)]
)
def test_a_percentage_becomes_a_ratio_that_is_never_clamped(percent: float, ratio: float) -> None:
    assert to_row(item(percent=percent)).ratio == pytest.approx(ratio)


def test_what_the_api_did_not_give_is_none() -> None:
    row = to_row(item(percent=None, processed=None))
    assert (row.ratio, row.processed_at) == (None, None)


def test_labels_are_the_api_s_text() -> None:
    assert to_row(item(workload=" Teams\n", service="Microsoft 365", channel="CSP")).key == (
        " Teams\n",
        "Microsoft 365",
        "CSP",
    )


@pytest.mark.parametrize(
    "impossible",
    [
        item(percent=-1.0),
        item(percent=float("nan")),
        item(percent=float("inf")),
        item(percent=1e9),
        item(workload=None),
        item(workload=""),
        item(service=None),
        item(channel=None),
        item(processed="yesterday"),
    ],
)
def test_a_row_with_an_impossible_value_or_a_missing_label_is_no_row(impossible: UsageItem) -> None:
    with pytest.raises(ImpossibleValueError):
        to_row(impossible)


def test_rows_that_cannot_be_used_are_dropped_and_counted() -> None:
    answer = SOURCE.fetch(
        answering(
            legacy_page(
                usage_item(),
                usage_item(workloadName=None),
                usage_item(workloadName="Teams", proratedLicensesUsagePercent=-0.1),
                usage_item(workloadName="Yammer", proratedLicensesUsagePercent=[]),
                None,
            )
        )
    )
    assert [row.key for row in answer.rows] == [("Exchange", "o365", "reseller")]
    assert answer.dropped[DropReason.INVALID] == 4


def test_a_null_or_missing_value_drops_the_value_and_not_the_row_and_is_counted() -> None:
    lacking = usage_item(workloadName="Yammer")
    del lacking["proratedLicensesUsagePercent"]
    null = usage_item(workloadName="Teams", proratedLicensesUsagePercent=None)
    answer = SOURCE.fetch(answering(legacy_page(usage_item(), null, lacking)))
    assert [has_value(row) for row in answer.rows] == [True, False, False]
    assert {reason: count for reason, count in answer.dropped.items() if count} == {DropReason.NO_VALUE: 2}


@pytest.mark.parametrize("written", ["0001-01-01T00:00:00", "", "9999-12-31T23:59:59Z"])
def test_no_date_leaves_the_date_out_and_keeps_the_ratio(written: str) -> None:
    row = to_row(item(percent=50.0, processed=written))
    assert (row.ratio, row.processed_at) == (0.5, None)


@pytest.mark.parametrize(
    "rows",
    [
        [usage_item(proratedLicensesUsagePercent=None)],
        [usage_item(workloadName=None), usage_item(channel="")],
        [{"proratedDeploymentPercent": 1.0, "serviceName": "crm", "channel": "reseller"}],
        [None, 1, "x"],
    ],
)
def test_an_answer_none_of_whose_rows_is_usable_is_a_failure(rows: list[object]) -> None:
    with pytest.raises(PayloadError, match=f"none of the {len(rows)} rows") as failed:
        SOURCE.fetch(answering(legacy_page(*rows)))
    assert failed.value.remedy
