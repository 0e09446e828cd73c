"""Rows of the commercial API, added up."""

import base64
from collections.abc import Sequence

import pytest

from exporter.errors import NotFound, PayloadError
from exporter.model.rows import Answer, DeploymentRow, Dimension, DropReason, UsageRow, has_value
from exporter.model.totals import Names
from exporter.sources.commercial import PATH_HINT, Commercial
from exporter.sources.deployment import COMMERCIAL as DEPLOYMENT
from exporter.sources.usage import COMMERCIAL as USAGE
from tests.fixtures import commercial_deployment_item, commercial_page, commercial_usage_item
from tests.fixtures.api import answering, answering_in_turn
from tests.support.cases import combinations
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
        {"processedDateTime": "yesterday"},
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


@pytest.mark.parametrize("identifier", [None, "", "x" * 1_001])
@pytest.mark.parametrize("others", [1, 3])
def test_a_row_without_an_id_is_in_the_ratio_and_not_in_the_detail(identifier: str | None, others: int) -> None:
    without = [item(1, 2, customerTenantId=identifier) for _ in range(others)]
    answer = usage(*without, item(1, 4, customerName=None), detail=(Dimension.CUSTOMER,))
    assert isinstance(answer.rows[0], UsageRow)
    assert (answer.rows[0].active, answer.rows[0].qualified) == (others + 1, 2 * others + 4)
    assert sums(answer) == {("Exchange", "o365", "reseller", "A1"): (1.0, 4.0)}
    assert (answer.usable, answer.dropped[DropReason.INVALID]) == (others + 1, others)
    assert names(answer) == {"customer_id": {}}


def test_an_answer_without_any_id_still_has_its_ratio() -> None:
    answer = usage(item(1, 2, customerTenantId=None), detail=BOTH)
    assert ([row.ratio for row in answer.rows], sums(answer)) == ([0.5], {})
    assert names(answer) == {"customer_id": {}, "product_id": {}}


def test_a_row_without_a_label_is_in_nothing_whatever_its_ids_are() -> None:
    answer = usage(item(1, 2), item(1, 2, channel=None, customerTenantId=None), detail=(Dimension.CUSTOMER,))
    assert (answer.usable, answer.dropped[DropReason.INVALID]) == (1, 1)


def test_a_row_without_a_count_is_counted_once_and_keeps_the_other() -> None:
    answer = usage(item(None, 2), item(1, None), item(None, None), item(3, 4))
    assert isinstance(answer.rows[0], UsageRow)
    assert (answer.rows[0].active, answer.rows[0].qualified) == (4.0, 6.0)
    assert (answer.usable, answer.dropped[DropReason.NO_VALUE]) == (4, 3)


def test_a_row_with_nothing_but_labels_is_not_shown() -> None:
    answer = usage(item(1, 2), item(None, None, workloadName="Teams", processedDateTime=""))
    assert [row.key[0] for row in answer.rows] == ["Exchange"]


OLDER = "2020-03-13T23:59:59"


@pytest.mark.parametrize("detail", [(), (Dimension.CUSTOMER,)])
def test_of_several_days_only_the_newest_counts(detail: tuple[Dimension, ...], log_stream: LogStream) -> None:
    rows = [
        item(1, 2),
        item(4, 8, processedDateTime=OLDER),
        item(1, 2, customerTenantId="B2", processedDateTime="2020-03-14T23:59:59Z"),
        item(4, 8, customerTenantId="C3", customerName="Contoso", processedDateTime=OLDER),
        item(4, 8, workloadName="Gone", processedDateTime="2020-03-01"),
        item(1, 2, customerTenantId="D4", processedDateTime="0001-01-01T00:00:00"),
    ]
    for order in (rows, rows[::-1]):
        answer = usage(*order, detail=detail)
        assert [(row.key[0], row.licences) for row in answer.rows] == [("Exchange", (3.0, 6.0))]
        assert (answer.usable, answer.dropped[DropReason.DUPLICATE]) == (3, 3)
        if detail:
            assert {labels[-1] for labels in sums(answer)} == names(answer)["customer_id"].keys() == {"A1", "B2", "D4"}
    assert [entry["dropped"] for entry in log_stream.of("response has several days, using the newest")] == [3, 3]


def test_a_day_without_a_usable_row_hides_no_other() -> None:
    answer = usage(item(1, 2), item(-1, 2, processedDateTime="2020-03-15"), item(1, 2, processedDateTime="2099-13-01"))
    assert (answer.usable, answer.dropped[DropReason.INVALID], answer.dropped[DropReason.DUPLICATE]) == (1, 2, 0)


def in_pages(*pages: Sequence[object]) -> Answer:
    total = sum(map(len, pages))
    poll, _ = answering_in_turn(*(commercial_page(*page, total=total) for page in pages))
    return Commercial(USAGE, max_series=100).fetch(poll)


@pytest.mark.parametrize("days", [(OLDER, None), (None, OLDER), (OLDER, "", None)])
def test_pages_of_one_day_each_that_differ_in_it_are_halves_of_two_answers(days: tuple[str | None, ...]) -> None:
    changes = [{} if day is None else {"processedDateTime": day} for day in days]
    pages = [[item(1, 2, workloadName=f"W{n}", **change)] for n, change in enumerate(changes)]
    with pytest.raises(PayloadError, match="different days") as failed:
        in_pages(*pages)
    assert "the last good data is kept" in failed.value.remedy


def test_services_are_processed_apart_and_each_has_its_own_newest_day() -> None:
    crm = item(1, 2, workloadName="CRM", serviceCode="crm", processedDateTime=OLDER)
    for answer in (usage(item(1, 2), crm), in_pages([item(1, 2)], [crm])):
        assert [(row.key[0], row.processed_at) for row in answer.rows] == [("CRM", AT - 1), ("Exchange", AT)]
        assert not any(answer.dropped.values())


def test_pages_of_one_day_each_that_repeat_the_rows_are_no_halves() -> None:
    names = ("Exchange", "Teams", "Yammer")
    older = [item(1, 9, workloadName=name, processedDateTime=OLDER) for name in names]
    newer = [item(2, 9, workloadName=name) for name in names]
    for pages in ((older, newer), (newer, older)):
        answer = in_pages(*pages)
        assert [row.licences for row in answer.rows] == [(2.0, 9.0)] * 3
        assert (answer.usable, answer.dropped[DropReason.DUPLICATE]) == (3, 3)


def test_pages_of_rows_that_share_their_labels_are_halves_whatever_repeats() -> None:
    older = [item(1, 9, customerTenantId=name, processedDateTime=OLDER) for name in "AB"]
    newer = [item(1, 9, customerTenantId=name) for name in "CD"]
    with pytest.raises(PayloadError, match="different days"):
        in_pages(older, newer)


def test_rows_without_any_date_count() -> None:
    answer = in_pages([item(1, 9, processedDateTime=None)], [item(1, 9, customerTenantId="B2", processedDateTime="")])
    assert [(row.licences, row.processed_at) for row in answer.rows] == [((2.0, 18.0), None)]


def test_pages_that_all_have_several_days_give_the_newest_of_them() -> None:
    pages = [[item(n, 9, workloadName=f"W{n}", processedDateTime=day) for day in (OLDER, "2020-03-14")] for n in (1, 2)]
    answer = in_pages(*pages)
    assert [row.licences for row in answer.rows] == [(1.0, 9.0), (2.0, 9.0)]
    assert answer.dropped[DropReason.DUPLICATE] == 2


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


@pytest.mark.parametrize(
    ("field", "labels"),
    combinations(["workloadName", "customerTenantId", "customerName"], [("", 7_500), ("\N{GRINNING FACE}", 1_900)]),
)
def test_labels_that_take_too_much_memory_together_are_an_error(field: str, labels: tuple[str, int]) -> None:
    end, count = labels
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
    assert token not in repr(answer)
    # Without a customer that can be shown, it is missing from the detail only.
    assert [row.licences for row in answer.rows] == [(4.0, 6.0) if field == "customerTenantId" else (1.0, 2.0)]
    assert list(sums(answer).values()) == [(1.0, 2.0)]


def test_a_customer_s_name_that_repeats_the_token_is_not_kept() -> None:
    token = "An-Access-Token-0123456789"
    page = commercial_page(item(1, 2, customerName=f"Contoso {token}"))
    answer = Commercial(USAGE, max_series=9, detail=(Dimension.CUSTOMER,)).fetch(answering(page, token=token))
    assert names(answer) == {"customer_id": {}}
