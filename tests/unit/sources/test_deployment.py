"""Licence deployment from the legacy API."""

import pytest

from exporter.errors import PayloadError
from exporter.model.rows import DeploymentRow, DropReason, has_value
from exporter.model.values import ImpossibleValueError
from exporter.partner_center.wire import DeploymentItem
from exporter.sources.deployment import LEGACY, to_row
from exporter.sources.legacy import Legacy
from tests.fixtures import deployment_item, legacy_page, published
from tests.fixtures.api import answering

SOURCE = Legacy(LEGACY, 100)


def test_it_is_the_source_deployment_of_the_legacy_api() -> None:
    assert (LEGACY.row.SOURCE, SOURCE.api, LEGACY.path) == ("deployment", "legacy", "/v1/analytics/licenses/deployment")


def test_the_published_answer_gives_ratios_and_counts() -> None:
    answer = SOURCE.fetch(answering(published("deployment")))
    assert answer.rows == (
        DeploymentRow("crm", "reseller", 0.0, 343.0, 1489104000.0),
        DeploymentRow("o365", "reseller", 0.01, 4464.0, 1489461916.36),
    )


@pytest.mark.parametrize(
    ("percent", "sold", "measured"), [(1.0, None, True), (None, 343.0, True), (None, None, False), (0.0, 0.0, True)]
)
def test_a_row_measures_something_as_long_as_one_value_is_there(
    percent: float | None, sold: float | None, *, measured: bool
) -> None:
    row = to_row(DeploymentItem("crm", "reseller", percent, sold))
    assert has_value(row) is measured
    assert row.sold == sold


@pytest.mark.parametrize(
    "impossible",
    [
        DeploymentItem("crm", "reseller", 1.0, -1.0),
        DeploymentItem("crm", "reseller", -1.0, 1.0),
        DeploymentItem("crm", "reseller", 1.0, float("inf")),
        DeploymentItem("crm", "reseller", 1.0, 1.1e15),
        DeploymentItem("crm", None, 1.0, 1.0),
        DeploymentItem("", "reseller", 1.0, 1.0),
        DeploymentItem("crm", "reseller", 1.0, 1.0, "never"),
    ],
)
def test_a_row_with_an_impossible_value_or_a_missing_label_is_no_row(impossible: DeploymentItem) -> None:
    with pytest.raises(ImpossibleValueError):
        to_row(impossible)


def test_a_bad_row_is_dropped_and_counted_and_the_rest_is_kept() -> None:
    page = legacy_page(deployment_item(), deployment_item(serviceName="crm", licensesSold="none"))
    answer = SOURCE.fetch(answering(page))
    assert [row.key for row in answer.rows] == [("o365", "reseller")]
    assert answer.dropped[DropReason.INVALID] == 1


def test_usage_rows_in_a_deployment_answer_are_a_failure_and_no_deployment() -> None:
    with pytest.raises(PayloadError, match="none of the 5 rows"):
        SOURCE.fetch(answering(published("usage")))
