"""Sums by month of Partner Insights: the newest month with data, never parts of it, and never two months as one."""

from collections.abc import Mapping, Sequence
from datetime import date
from typing import Any

import pytest

from exporter.errors import AuthenticationError, Forbidden, MfaRequired, NotFound, PayloadError, PollError
from exporter.model.rows import Answer, DeploymentRow, DropReason, UsageRow
from exporter.sources.data_sets import DATA_SETS
from exporter.sources.deployment import INSIGHTS as DEPLOYMENT
from exporter.sources.insights import Insights, InsightsEndpoint
from exporter.sources.usage import INSIGHTS as USAGE
from tests.fixtures.insights import (
    OFFICE,
    OFFICE_COLUMNS,
    Query,
    answering_insights,
    catalogue_item,
    envelope,
    insights_server,
    office_row,
    sums_row,
)

DECEMBER, NOVEMBER = 1_796_083_200.0, 1_793_491_200.0
BEFORE = "2026-11-01T00:00:00"
DYNAMICS = catalogue_item(
    "DynamicsUsage", "RevSumCategoryName", "SalesModel", "TotalActiveSeats", "TotalSoldSeats", "TotalAssignedSeats"
)
SEATS = catalogue_item(
    "SeatsSubscriptionsAndRevenue",
    *("Product", "SalesChannel", "IsDuplicateRowForPGA", "AvailableSeatsEOP", "AvailableSeats", "TotalAssignedSeats"),
)
EMS_COLUMNS = ("SalesModel", "IsDuplicateRowForPGA")


def source(*names: str, limit: int = 1_000, endpoint: InsightsEndpoint = USAGE) -> Insights:
    return Insights(endpoint, data_sets=names or endpoint.data_sets[:1], max_series=limit)


def usage(*rows: Mapping[str, object], limit: int = 1_000) -> Answer:
    return source(limit=limit).fetch(answering_insights(rows))


def rows_of(count: int, **columns: object) -> list[dict[str, object]]:
    """Return this many rows, each of its own workload."""
    return [office_row(WorkloadName=f"W{number}", **columns) for number in range(count)]


def counts(answer: Answer) -> dict[tuple[str, ...], tuple[float | None, ...]]:
    return {row.key: row.licences for row in answer.rows}


def test_usage_is_the_sums_of_the_newest_month_with_data() -> None:
    answer = usage(
        office_row(5, 10, Month=BEFORE),
        office_row(3, 4),
        office_row(12, 10, WorkloadName="Exchange Online"),
        office_row(0, 0, PartnerAttributionType="PAL"),
    )
    assert answer.rows == (
        UsageRow("Exchange Online", "o365", "CSP Tier 1", 1.2, DECEMBER, 12.0, 10.0),
        UsageRow("Teams", "o365", "CSP Tier 1", 0.75, DECEMBER, 3.0, 4.0),
        UsageRow("Teams", "o365", "PAL", None, DECEMBER, 0.0, 0.0),
    )
    assert (answer.usable, answer.notes, answer.breakdown) == (3, (), None)


def test_deployment_is_assigned_of_all_seats_at_the_end_of_the_month() -> None:
    seats = {"Product": "M365 E3", "SalesChannel": "CSP", "TotalAssignedSeats": 6, "AvailableSeatsEOP": 8}
    polled, server = insights_server([sums_row(**seats)], catalogue=[SEATS])
    answer = source(endpoint=DEPLOYMENT).fetch(polled)
    assert answer.rows == (DeploymentRow("M365 E3", "CSP", 0.75, 8.0, DECEMBER, 6.0),)
    assert "AvailableSeats" not in server.queries[0].selected


def test_rows_that_share_their_labels_are_added_up() -> None:
    answer = usage(office_row(1, 4), office_row(2, 4, Month="12/1/2026"), office_row(3, 4, Month="2026-12"))
    assert counts(answer) == {("Teams", "o365", "CSP Tier 1"): (6.0, 12.0)}
    assert answer.usable == 3


def test_what_is_asked_is_one_query_of_sums_without_duplicates_or_customers() -> None:
    polled, server = insights_server([office_row()])
    source().fetch(polled)
    (query,) = server.queries
    assert (query.start, query.end) == ("", "")
    assert query.text == (
        "SELECT Month, WorkloadName, PartnerAttributionType, TotalMonthlyActiveUsers, TotalPaidAvailableUnits "
        "FROM OfficeUsage WHERE IsDuplicateRowForPGA = 0 TIMESPAN LAST_3_MONTHS"
    )


def test_columns_are_asked_for_as_the_catalogue_spells_them() -> None:
    polled, server = insights_server([], catalogue=[catalogue_item("OFFICEUSAGE", *map(str.upper, OFFICE_COLUMNS))])
    source().fetch(polled)
    assert "WORKLOADNAME, PARTNERATTRIBUTIONTYPE, TOTALMONTHLYACTIVEUSERS" in server.queries[0].text
    assert "WHERE ISDUPLICATEROWFORPGA = 0" in server.queries[0].text


@pytest.mark.parametrize(
    ("ranges", "chosen"),
    [
        (["LAST_MONTH", "LAST_3_MONTHS", "LAST_1_YEAR"], "LAST_3_MONTHS"),
        (["last_6_months ", "LAST_1_YEAR"], "LAST_6_MONTHS"),
        (["LAST_MONTH", "LAST_1_YEAR"], "LAST_1_YEAR"),
        (["LAST_MONTH"], "LAST_3_MONTHS"),
        ([], "LAST_3_MONTHS"),
    ],
)
def test_the_shortest_range_that_covers_three_months_is_asked_for(ranges: Sequence[str], chosen: str) -> None:
    polled, server = insights_server([], catalogue=[{**OFFICE, "availableDateRanges": ranges}])
    source().fetch(polled)
    assert server.queries[0].text.endswith(f" TIMESPAN {chosen}")


@pytest.mark.parametrize("newest", [[], [office_row(None, None)], [office_row("", " ")]])
def test_of_a_blank_newest_month_the_one_before_counts(newest: list[dict[str, object]]) -> None:
    answer = usage(*newest, office_row(5, 10, Month=BEFORE))
    assert answer.rows == (UsageRow("Teams", "o365", "CSP Tier 1", 0.5, NOVEMBER, 5.0, 10.0),)


def test_each_data_set_has_its_own_newest_month() -> None:
    old = sums_row(RevSumCategoryName="Sales", SalesModel="CSP", TotalActiveSeats=1, TotalSoldSeats=2, Month=BEFORE)

    def answer(query: Query) -> object:
        return [old] if "DynamicsUsage" in query.text else [office_row()]

    polled, server = insights_server(answer, catalogue=[OFFICE, DYNAMICS])
    rows = source("OfficeUsage", "DynamicsUsage").fetch(polled).rows
    assert {(row.key, row.processed_at) for row in rows} == {
        (("Teams", "o365", "CSP Tier 1"), DECEMBER),
        (("Sales", "crm", "CSP"), NOVEMBER),
    }
    assert ["WHERE" in query.text for query in server.queries] == [True, False]


@pytest.mark.parametrize(
    ("rows", "is_cut"), [(1, False), (9, False), (10, True), (11, False), (99, False), (100, True)]
)
def test_an_answer_of_ten_or_a_hundred_rows_is_never_trusted(rows: int, is_cut: bool) -> None:  # noqa: FBT001  a table's
    polled, server = insights_server(lambda query: rows_of(rows - bool(query.month)))
    assert len(source().fetch(polled).rows) == rows - is_cut
    assert [query.month for query in server.queries] == ["", *["2027-01"] * is_cut, *["2026-12"] * is_cut]


@pytest.mark.parametrize("total", [3, "3", 3.0, 1_000])
def test_an_answer_of_fewer_rows_than_it_says_there_are_is_never_trusted(total: object) -> None:
    polled, server = insights_server(
        lambda query: rows_of(2) if query.month == "2026-12" else envelope(rows_of(1), totalCount=total)
    )
    with pytest.raises(PayloadError):  # that of January too
        source().fetch(polled)
    assert [query.month for query in server.queries] == ["", "2027-01", "2027-01"]


@pytest.mark.parametrize("total", [1, 0, None, "many", -5])
def test_a_total_that_is_no_more_than_the_rows_changes_nothing(total: object) -> None:
    polled, server = insights_server(lambda _query: envelope([office_row()], totalCount=total))
    assert len(source().fetch(polled).rows) == 1
    assert len(server.queries) == 1


def test_months_are_asked_for_newest_first_until_one_has_data() -> None:
    def answer(query: Query) -> object:
        if not query.month:
            return rows_of(10)
        return rows_of(3, Month=query.start) if query.month == "2026-11" else []

    polled, server = insights_server(answer)
    answered = source().fetch(polled)
    assert {row.processed_at for row in answered.rows} == {NOVEMBER}
    assert [(query.start, query.end) for query in server.queries[1:]] == [
        ("2027-01-01T00:00:00Z", "2027-01-31T23:59:59Z"),
        ("2026-12-01T00:00:00Z", "2026-12-31T23:59:59Z"),
        ("2026-11-01T00:00:00Z", "2026-11-30T23:59:59Z"),
    ]
    assert answered.notes == ()


def test_no_month_is_asked_for_before_the_last_three_and_this_one() -> None:
    polled, server = insights_server(lambda query: [] if query.month else rows_of(10))
    with pytest.raises(PayloadError):  # the first answer said there was something
        source().fetch(polled)
    assert [query.month for query in server.queries] == ["", "2027-01", "2026-12", "2026-11", "2026-10"]


def test_a_server_that_ignores_the_times_gives_no_other_month_s_rows() -> None:
    polled, _ = insights_server(lambda query: rows_of(9 if query.month else 10))
    answer = source().fetch(polled)
    assert {row.processed_at for row in answer.rows} == {DECEMBER}
    assert len(answer.rows) == 9


def test_a_month_that_is_cut_off_alone_is_asked_for_without_the_channel() -> None:
    def answer(query: Query) -> object:
        if not query.month or query.month == "2027-01":
            return rows_of(0 if query.month else 10)
        without = {key: value for key, value in office_row().items() if key != "PartnerAttributionType"}
        return rows_of(10) if "PartnerAttributionType" in query.selected else [without]

    polled, server = insights_server(answer)
    answered = source().fetch(polled)
    assert counts(answered) == {("Teams", "o365", "all"): (5.0, 10.0)}
    assert answered.notes == ("OfficeUsage has too many rows by channel for one answer: channel is all",)
    assert server.queries[-1].selected == (
        "Month",
        "WorkloadName",
        "TotalMonthlyActiveUsers",
        "TotalPaidAvailableUnits",
    )


@pytest.mark.parametrize("rows", [10, 100])
def test_a_month_that_is_still_cut_off_without_the_channel_fails_the_poll(rows: int) -> None:
    with pytest.raises(PayloadError) as failed:
        source().fetch(answering_insights(rows_of(rows)))
    assert failed.value.message == f"the sums of OfficeUsage for one month are cut off at {rows} rows"
    assert "take OfficeUsage out of `datasets`" in failed.value.remedy


@pytest.mark.parametrize(
    ("value", "count"),
    [(5, 5.0), (5.0, 5.0), ("5", 5.0), (" 5 ", 5.0), ("5.0", 5.0), (0, 0.0), (None, None), ("", None), (" ", None)],
)
def test_a_count_may_be_a_number_or_a_text_or_missing(value: object, count: float | None) -> None:
    answer = usage(office_row(value, 10))
    assert counts(answer) == {("Teams", "o365", "CSP Tier 1"): (count, 10.0)}
    assert answer.dropped[DropReason.NO_VALUE] == (count is None)


@pytest.mark.parametrize(
    "value",
    [
        True,
        False,
        -1,
        "-1",
        1e16,
        10**400,
        "9" * 5_000,
        float("nan"),
        float("inf"),
        "nan",
        "Infinity",
        "1,234",
        "1 234",
        "1_234",
        "12%",
        "0x10",
        "five",
        "\ud800",
        [5],
        {"value": 5},
    ],
)
def test_a_row_with_an_impossible_count_is_dropped_and_counted(value: object) -> None:
    for bad in (office_row(value, 10), office_row(5, value)):
        answer = usage(bad, office_row(1, 2, WorkloadName="Exchange"))
        assert counts(answer) == {("Exchange", "o365", "CSP Tier 1"): (1.0, 2.0)}
        assert answer.dropped[DropReason.INVALID] == 1


@pytest.mark.parametrize(
    ("value", "shown"), [("Teams", "Teams"), (7, "7"), (1.5, "1.5"), ("\ud800x", "\ufffdx"), ("A, B", "A, B")]
)
def test_a_label_is_shown_as_it_came(value: object, shown: str) -> None:
    assert [row.key[0] for row in usage(office_row(WorkloadName=value)).rows] == [shown]


@pytest.mark.parametrize("column", ["WorkloadName", "PartnerAttributionType"])
@pytest.mark.parametrize(
    "value", [None, "", "x" * 1_001, True, ["Teams"], {"a": "b"}, 10**1_500], ids=lambda v: str(v)[:9]
)
def test_a_row_without_a_label_that_can_be_shown_is_dropped_and_counted(column: str, value: object) -> None:
    answer = usage(office_row(**{column: value}), office_row(WorkloadName="Exchange"))
    assert [row.key[0] for row in answer.rows] == ["Exchange"]
    assert answer.dropped[DropReason.INVALID] == 1


def test_a_row_that_repeats_the_access_token_is_dropped_and_counted() -> None:
    token = "0123456789abcdef" * 4
    rows = [office_row(WorkloadName=f"Teams {token}"), office_row(WorkloadName="Exchange")]
    answer = source().fetch(insights_server(rows, token=token)[0])
    assert [row.key[0] for row in answer.rows] == ["Exchange"]
    assert answer.dropped[DropReason.INVALID] == 1


@pytest.mark.parametrize("month", [None, "", "May", "5/2/2026", 7])
def test_a_row_without_a_month_is_dropped_and_counted(month: object) -> None:
    answer = usage(office_row(Month=month), office_row())
    assert (len(answer.rows), answer.dropped[DropReason.INVALID]) == (1, 1)


@pytest.mark.parametrize(
    "rows", [[office_row(Month="soon")], [office_row(active=-1)], [office_row(WorkloadName=None)], [1, None]]
)
def test_an_answer_of_which_no_row_is_usable_fails_the_poll(rows: list[Any]) -> None:
    with pytest.raises(PayloadError) as failed:
        source().fetch(answering_insights(lambda _query: rows))
    assert "usable" in failed.value.message


def test_at_most_so_many_label_sets_are_shown() -> None:
    answer = usage(*rows_of(5), limit=3)
    assert [row.key[0] for row in answer.rows] == ["W0", "W1", "W2"]
    assert answer.dropped[DropReason.LIMIT] == 2


def test_no_rows_are_an_answer_that_names_the_role() -> None:
    answer = usage()
    assert (answer.rows, answer.usable) == ((), 0)
    (note,) = answer.notes
    assert note.startswith("OfficeUsage has no data of the last three months: give the account the role Executive")


def test_withheld_values_are_said_once() -> None:
    def answer(query: Query) -> object:
        return envelope(rows_of(10 if not query.month else 2), dataRedacted=True)

    (note,) = source().fetch(answering_insights(answer)).notes
    assert note.startswith("Microsoft withholds some values of OfficeUsage from this account: give")


@pytest.mark.parametrize("gone", OFFICE_COLUMNS)
def test_a_column_that_is_needed_and_gone_fails_the_poll_before_any_query(gone: str) -> None:
    columns = [column for column in OFFICE_COLUMNS if column != gone]
    item = catalogue_item("OfficeUsage", *columns)
    item["selectableColumns"] = [column for column in item["selectableColumns"] if column in columns]
    polled, server = insights_server([office_row()], catalogue=[item])
    with pytest.raises(PayloadError) as failed:
        source().fetch(polled)
    assert failed.value.message == f"the data set OfficeUsage has no column {gone}, which is needed"
    assert server.queries == []


def test_of_a_wide_data_set_each_pair_of_metrics_is_a_workload_and_absent_pairs_are_said() -> None:
    pairs = [
        f"Total{name}{kind}" for name in ("Intune", "MDE") for kind in ("MonthlyActiveUsers", "PaidAvailableUnits")
    ]
    item = catalogue_item("EMSUsage", *EMS_COLUMNS, *pairs)
    row = sums_row(SalesModel="CSP", **dict(zip(pairs, (1, 2, 3, None), strict=True)))
    answer = source("EMSUsage").fetch(answering_insights([row], catalogue=[item]))
    assert counts(answer) == {("Intune", "ems", "CSP"): (1.0, 2.0), ("MDE", "ems", "CSP"): (3.0, None)}
    assert "EMSUsage does not count AADP, which is left out" in answer.notes
    assert len(answer.notes) == 6


def test_a_wide_data_set_without_any_pair_fails_the_poll() -> None:
    polled = answering_insights([], catalogue=[catalogue_item("EMSUsage", *EMS_COLUMNS)])
    with pytest.raises(PayloadError) as failed:
        source("EMSUsage").fetch(polled)
    assert "EMSUsage has no column TotalAADPMonthlyActiveUsers" in failed.value.message


def test_an_absent_data_set_is_left_out_and_said() -> None:
    answer = source("DynamicsUsage", "OfficeUsage").fetch(answering_insights([office_row()]))
    assert len(answer.rows) == 1
    assert answer.notes == ("Partner Insights does not offer this account DynamicsUsage, which is left out",)


def test_without_any_data_set_the_poll_fails_and_names_the_role() -> None:
    with pytest.raises(NotFound) as failed:
        source("OfficeUsage", "DynamicsUsage").fetch(answering_insights([], catalogue=[SEATS]))
    assert failed.value.message == "Partner Insights does not offer this account OfficeUsage, DynamicsUsage"
    assert "Executive report viewer" in failed.value.remedy


@pytest.mark.parametrize(
    ("inside", "error", "remedy"),
    [
        (403, Forbidden, "give the account the role Executive report viewer in the tenant of the partner programme"),
        (401, AuthenticationError, "give the account the role Executive report viewer"),
        (404, NotFound, "check api_url and cloud: Partner Insights is documented for the global cloud only"),
    ],
)
@pytest.mark.parametrize("where", ["catalogue", "query", "probe"])
def test_a_refusal_names_its_likely_cause(where: str, inside: int, error: type[PollError], remedy: str) -> None:
    refused = envelope([], statusCode=inside)
    polled = answering_insights(lambda _query: refused, catalogue=(OFFICE,) if where == "query" else refused)
    with pytest.raises(error) as failed:
        source().probe(polled) if where == "probe" else source().fetch(polled)
    assert failed.value.remedy.startswith(remedy)


def test_a_demand_for_mfa_keeps_its_own_remedy() -> None:
    refused = envelope([], statusCode=401, code=900421)
    with pytest.raises(MfaRequired) as failed:
        source().fetch(answering_insights([], catalogue=refused))
    assert "require MFA" in failed.value.remedy
    assert "Executive" not in failed.value.remedy


def test_a_past_month_is_asked_for_by_its_times_alone() -> None:
    polled, server = insights_server([office_row(Month=BEFORE), office_row()])
    answer = source().on(date(2026, 11, 17)).fetch(polled)
    assert {row.processed_at for row in answer.rows} == {NOVEMBER}
    assert [(query.start, query.end) for query in server.queries] == [("2026-11-01T00:00:00Z", "2026-11-30T23:59:59Z")]


def test_a_past_month_without_data_is_an_answer_without_rows() -> None:
    answer = source().on(date(2026, 11, 17)).fetch(answering_insights([]))
    assert (answer.rows, answer.usable) == ((), 0)


def test_a_source_that_asks_for_other_data_has_another_query() -> None:
    queries = {source(*names, limit=limit).query for names in (("A",), ("A", "B"), ("B", "A")) for limit in (1, 2)}
    assert len(queries) == 6
    assert source("A").query == source("A").query


def test_every_data_set_belongs_to_one_source_and_has_the_labels_of_its_rows() -> None:
    assert [*USAGE.data_sets, *DEPLOYMENT.data_sets] == list(DATA_SETS)
    for data_set in DATA_SETS.values():
        for pair in data_set.counts:
            assert {*data_set.labels, *pair.labels} == set(data_set.row.LABELS)
