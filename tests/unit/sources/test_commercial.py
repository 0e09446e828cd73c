"""Rows of the commercial API, added up."""

import base64

import pytest

from exporter.errors import NotFound, PayloadError
from exporter.model.rows import Answer, DeploymentRow, Dimension, DropReason, UsageRow, has_value
from exporter.model.totals import Names
from exporter.sources.commercial import PATH_HINT, Commercial
from exporter.sources.deployment import COMMERCIAL as DEPLOYMENT
from exporter.sources.usage import COMMERCIAL as USAGE
from tests.fixtures import commercial_deployment_item, commercial_page, commercial_usage_item
from tests.fixtures.api import answering, answering_in_turn
from tests.support.logs import LogStream

AT = 1584144000.0
BOTH = (Dimension.CUSTOMER, Dimension.PRODUCT)


def usage(*rows: object, limit: int = 100, detail: tuple[Dimension, ...] = ()) -> Answer:
    return Commercial(USAGE, max_series=limit, detail=detail).fetch(answering(commercial_page(*rows)))


def item(active: object, qualified: object, **changes: object) -> dict[str, object]:
    return commercial_usage_item(licenseActive=active, licensesQualified=qualified, **changes)


def sums(answer: Answer) -> dict[tuple[str, ...], tuple[float | None, float | None]]:
    assert answer.breakdown is not None
    return {labels: (total.part, total.whole) for labels, total in answer.breakdown.sums.items()}


def names(answer: Answer) -> dict[str, Names]:
    assert answer.breakdown is not None
    return answer.breakdown.names


def test_rows_that_share_their_labels_are_added_up(log_stream: LogStream) -> None:
    answer = usage(item(1, 10), item(3, 10, customerTenantId="B2"), item(1, 4, workloadName="Teams"))
    assert answer.rows == (
        UsageRow("Exchange", "o365", "reseller", 0.2, AT, 4.0, 20.0),
        UsageRow("Teams", "o365", "reseller", 0.25, AT, 1.0, 4.0),
    )
    assert answer.usable == 3
    (entry,) = log_stream.of("server ignored groupby, aggregating locally")
    assert (entry["level"], str(entry["rows"]), str(entry["series"])) == ("warn", "3", "2")


def test_a_server_that_groups_rows_itself_causes_no_warning(log_stream: LogStream) -> None:
    usage(item(1, 10), item(1, 4, workloadName="Teams"))
    assert log_stream.entries == []


def test_deployment_gives_deployed_of_sold() -> None:
    source = Commercial(DEPLOYMENT, max_series=10)
    page = commercial_page(commercial_deployment_item(), commercial_deployment_item(productId="P2"))
    assert source.fetch(answering(page)).rows == (DeploymentRow("o365", "reseller", 0.8, 20.0, AT, 16.0),)


@pytest.mark.parametrize("key", ["licenseActive", "licensesActive"])
@pytest.mark.parametrize("value", [5, 5.0, "5"])
def test_counts_come_in_two_spellings_and_as_numbers_or_text(key: str, value: object) -> None:
    row = commercial_usage_item()
    del row["licenseActive"]
    answer = usage({**row, key: value})
    assert [r.ratio for r in answer.rows] == [0.5]


def test_a_value_that_the_api_never_gave_is_absent_and_one_that_it_gave_counts() -> None:
    answer = usage(item(None, 10), item(2, None, customerTenantId="B2"), item(None, 4, workloadName="Teams"))
    assert [(row.active, row.qualified, row.ratio) for row in answer.rows if isinstance(row, UsageRow)] == [
        (2.0, 10.0, 0.2),
        (None, 4.0, None),
    ]


def test_if_nothing_qualifies_there_is_no_ratio() -> None:
    (row,) = usage(item(0, 0)).rows
    assert (row.ratio, has_value(row)) == (None, True)


@pytest.mark.parametrize(
    "changes",
    [
        {"licensesQualified": -1},
        {"licensesQualified": 1e300},
        {"licensesQualified": "nan"},
        {"licensesQualified": "many"},
        {"processedDateTime": "0001-01-01T00:00:00"},
        {"workloadName": None},
        {"channel": ""},
    ],
)
def test_an_impossible_value_or_a_missing_label_drops_its_row(changes: dict[str, object]) -> None:
    answer = usage(item(1, 2), commercial_usage_item(**changes))
    assert [row.key for row in answer.rows] == [("Exchange", "o365", "reseller")]
    assert (answer.usable, answer.dropped[DropReason.INVALID]) == (1, 1)


@pytest.mark.parametrize("row", [item(-1, 2), item(None, None), item(1, 2, serviceCode=None), "no row"])
def test_an_answer_of_which_nothing_is_usable_is_an_error(row: object) -> None:
    with pytest.raises(PayloadError, match="none of the 1 rows"):
        usage(row)


def test_an_answer_without_rows_is_a_good_answer() -> None:
    answer = usage()
    assert (answer.rows, answer.usable) == ((), 0)


def test_the_newest_date_counts_and_a_missing_one_is_absent() -> None:
    rows = usage(
        item(1, 2, processedDateTime="2020-03-13T00:00:00"),
        item(1, 2, customerTenantId="B2"),
        item(1, 2, workloadName="Teams", processedDateTime=None),
    ).rows
    assert [row.processed_at for row in rows] == [AT, None]


def test_with_detail_each_customer_and_product_has_its_counts_and_the_ratio_is_of_all() -> None:
    answer = usage(
        item(1, 2),
        item(2, 2, productId="P2"),
        item(1, 4, customerTenantId="B2"),
        detail=(Dimension.PRODUCT, Dimension.CUSTOMER),
    )
    assert answer.breakdown is not None
    assert answer.breakdown.labels == ("workload", "service", "channel", "customer_id", "product_id")
    base = ("Exchange", "o365", "reseller")
    assert sums(answer) == {
        (*base, "A1", "P1"): (1.0, 2.0),
        (*base, "A1", "P2"): (2.0, 2.0),
        (*base, "B2", "P1"): (1.0, 4.0),
    }
    assert [row.ratio for row in answer.rows] == [0.5]
    assert names(answer) == {
        "customer_id": {"A1": (AT, "Adatum"), "B2": (AT, "Adatum")},
        "product_id": {"P1": (AT, "Business"), "P2": (AT, "Business")},
    }


def test_the_server_is_asked_for_exactly_the_labels_that_are_shown() -> None:
    for detail, fields in (
        ((), []),
        ((Dimension.CUSTOMER,), ["customerTenantId", "customerName"]),
        ((Dimension.PRODUCT, Dimension.CUSTOMER), ["customerTenantId", "customerName", "productId", "productName"]),
    ):
        poll, asked = answering_in_turn(commercial_page())
        Commercial(USAGE, max_series=5, detail=detail).fetch(poll)
        assert asked[0].params["groupby"].split(",") == ["workloadName", "serviceCode", "channel", *fields]


def test_the_newest_name_of_a_customer_counts_whatever_the_order() -> None:
    old = item(1, 2, customerName="Adatum", processedDateTime="2020-03-13T00:00:00")
    new = item(1, 2, customerName="Adatum Corp")
    for rows in ((old, new), (new, old)):
        assert names(usage(*rows, detail=(Dimension.CUSTOMER,)))["customer_id"] == {"A1": (AT, "Adatum Corp")}


def test_a_customer_without_an_id_is_dropped_and_one_without_a_name_is_not() -> None:
    answer = usage(item(1, 2, customerTenantId=None), item(1, 2, customerName=None), detail=(Dimension.CUSTOMER,))
    assert (answer.usable, answer.dropped[DropReason.INVALID]) == (1, 1)
    assert names(answer) == {"customer_id": {}}


def test_over_the_limit_the_smallest_stay_and_the_ratio_is_still_of_all() -> None:
    rows = [item(1, 4, customerTenantId=f"C{n}") for n in (3, 1, 4, 2)]
    answer = usage(*rows, limit=2, detail=(Dimension.CUSTOMER,))
    assert [labels[-1] for labels in sums(answer)] == ["C1", "C2"]
    assert answer.dropped[DropReason.LIMIT] == 2
    assert answer.usable == 4
    assert names(answer)["customer_id"].keys() == {"C1", "C2"}
    assert isinstance(answer.rows[0], UsageRow)
    assert (answer.rows[0].ratio, answer.rows[0].qualified) == (0.25, 16.0)


def test_without_detail_the_limit_applies_too() -> None:
    answer = usage(*(item(1, 4, workloadName=name) for name in "cab"), limit=2)
    assert [row.key[0] for row in answer.rows] == ["a", "b"]
    assert answer.dropped[DropReason.LIMIT] == 1


def test_repeats_at_the_edge_of_a_page_are_dropped_and_counted() -> None:
    first = commercial_page(item(1, 2), total=2, **{"@nextLink": "?skip=1"})
    poll, _ = answering_in_turn(first, commercial_page(item(1, 2), item(1, 2, workloadName="Teams"), total=2))
    answer = Commercial(USAGE, max_series=5).fetch(poll)
    assert (len(answer.rows), answer.usable, answer.dropped[DropReason.DUPLICATE]) == (2, 2, 1)


def test_a_path_that_is_not_there_hints_at_the_other_ones() -> None:
    with pytest.raises(NotFound) as gone:
        Commercial(USAGE, max_series=5).fetch(answering(b"", status=404))
    assert gone.value.remedy == PATH_HINT


def test_the_path_can_be_set() -> None:
    poll, asked = answering_in_turn(commercial_page())
    Commercial(USAGE, max_series=5, path="/partner/v1/x").fetch(poll)
    assert asked[0].path == "/partner/v1/x"


def test_label_sets_without_end_are_an_error_and_not_held() -> None:
    rows = [item(1, 2, workloadName=f"W{number}") for number in range(40_001)]
    assert len(usage(*rows[:40_000], limit=10_000).rows) == 10_000
    with pytest.raises(PayloadError, match=r"poll\.max_series") as caught:
        usage(*rows, limit=10_000)
    assert "raise poll.max_series" in caught.value.remedy


@pytest.mark.parametrize("field", ["workloadName", "customerTenantId", "customerName"])
@pytest.mark.parametrize(("end", "count"), [("", 7_500), ("\N{GRINNING FACE}", 1_900)])
def test_labels_that_take_too_much_memory_together_are_an_error(field: str, end: str, count: int) -> None:
    rows = [item(1, 2, **{"customerTenantId": f"C{n}", field: f"{n}".zfill(900) + end}) for n in range(count)]
    with pytest.raises(PayloadError, match="longer labels"):
        usage(*rows, limit=5, detail=(Dimension.CUSTOMER,))


@pytest.mark.parametrize(
    "spelled",
    [
        "{}",
        "Bearer {}",
        "x{}y",
        base64.b64encode(b"An-Access-Token-0123456789").decode(),
        b"An-Access-Token-0123456789".hex(),
    ],
)
@pytest.mark.parametrize("field", ["workloadName", "channel", "customerTenantId"])
def test_a_row_that_repeats_the_token_in_a_label_is_dropped(field: str, spelled: str) -> None:
    token = "An-Access-Token-0123456789"
    page = commercial_page(item(1, 2), item(3, 4, **{field: spelled.format(token)}))
    source = Commercial(USAGE, max_series=9, detail=(Dimension.CUSTOMER,))
    answer = source.fetch(answering(page, token=token))
    assert answer.dropped[DropReason.INVALID] == 1
    assert [row.licences for row in answer.rows] == [(1.0, 2.0)]


def test_a_customer_s_name_that_repeats_the_token_is_not_kept() -> None:
    token = "An-Access-Token-0123456789"
    page = commercial_page(item(1, 2, customerName=f"Contoso {token}"))
    answer = Commercial(USAGE, max_series=9, detail=(Dimension.CUSTOMER,)).fetch(answering(page, token=token))
    assert names(answer) == {"customer_id": {}}
