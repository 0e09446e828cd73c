"""The simulated Partner Insights: its catalogue, the try-query, and the ways in which both can surprise."""

import json
from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime
from typing import Any
from urllib.parse import urljoin

import httpx
import pytest

from partnercenter_simulator import Fault, InsightsQuirks, Simulator

BASE = "/insights/v1/mpn/"
TRY = f"{BASE}ScheduledQueries/testQueryResult"
USAGE = (
    "SELECT Month, WorkloadName, PartnerAttributionType, TotalPaidAvailableUnits, TotalMonthlyActiveUsers "
    "FROM OfficeUsage WHERE IsDuplicateRowForPGA = 0 TIMESPAN LAST_3_MONTHS"
)
SEATS = (
    "SELECT Product, SalesChannel, AvailableSeatsEOP, TotalAssignedSeats FROM SeatsSubscriptionsAndRevenue "
    "WHERE IsDuplicateRowForPGA = 0 TIMESPAN LAST_MONTH"
)

Get = Callable[..., httpx.Response]


@pytest.fixture
def now() -> list[float]:
    """Return the simulator's time, which a test may change: late in a month, when the last one is complete."""
    return [datetime(2026, 5, 25, 12, tzinfo=UTC).timestamp()]


@pytest.fixture
def simulator(now: list[float]) -> Iterator[Simulator]:
    with Simulator(seed=7, now=lambda: now[0]) as running:
        yield running


@pytest.fixture
def get(client: httpx.Client, redeem: Get) -> Get:
    token = redeem().json()["access_token"]

    def ask(path: str = TRY, *, headers: dict[str, str] | None = None, **query: str) -> httpx.Response:
        return client.get(path, params=query or None, headers={"Authorization": f"Bearer {token}"} | (headers or {}))

    return ask


def rows(answer: httpx.Response) -> list[dict[str, Any]]:
    assert answer.status_code == 200, answer.text
    found: list[dict[str, Any]] = answer.json()["value"]
    return found


def months(answer: httpx.Response) -> set[str]:
    return {row["Month"][:10] for row in rows(answer)}


def test_the_catalogue_has_the_columns_of_every_set(get: Get) -> None:
    document = get(f"{BASE}ScheduledDataset").json()
    assert document.keys() == {"value", "nextLink", "totalCount", "message", "statusCode", "dataRedacted"}
    sets = {item["datasetName"]: item for item in document["value"]}
    assert document["totalCount"] == len(sets) == 8
    assert {item["minimumRecurrenceInterval"] for item in sets.values()} == {24}
    for name, column, metric in (
        ("OfficeUsage", "WorkloadName", "TotalPaidAvailableUnits"),
        ("DynamicsUsage", "SalesModel", "TotalSoldSeats"),
        ("PowerBIUsage", "PartnerHierarchy", "TotalAvailableSeats"),
        ("EMSUsage", "IntunePaidAvailableUnits", "TotalIntuneMonthlyActiveUsers"),
        ("SeatsSubscriptionsAndRevenue", "SalesChannel", "AvailableSeatsEOP"),
    ):
        assert column in sets[name]["selectableColumns"]
        assert metric in sets[name]["availableMetrics"]
    one = rows(get(f"{BASE}ScheduledDataset", datasetName="EMSUsage"))
    assert one == [sets["EMSUsage"]]


def test_every_column_and_metric_of_the_catalogue_can_be_selected(get: Get) -> None:
    for item in rows(get(f"{BASE}ScheduledDataset")):
        names = item["selectableColumns"] + item["availableMetrics"]
        found = rows(get(exportQuery=f"SELECT {', '.join(names)} FROM {item['datasetName']} LIMIT 2"))
        assert [list(row) for row in found] == [list(dict.fromkeys(names))] * 2


@pytest.mark.parametrize(
    ("query", "data_set", "by", "sums"),
    [
        (
            USAGE.replace("Month, ", "").replace("3_MONTHS", "MONTH"),
            "OfficeUsage",
            ("WorkloadName", "PartnerAttributionType"),
            ("PaidAvailableUnits", "MonthlyActiveUsers"),
        ),
        (
            SEATS,
            "SeatsSubscriptionsAndRevenue",
            ("Product", "SalesChannel"),
            ("AvailableSeatsEOP", "TotalAssignedSeats"),
        ),
        (
            "SELECT SalesModel, TotalSoldSeats, TotalActiveSeats FROM DynamicsUsage TIMESPAN LAST_MONTH",
            "DynamicsUsage",
            ("SalesModel",),
            ("TotalSoldSeats", "TotalActiveSeats"),
        ),
        (
            "SELECT EOU, TotalMDEPaidAvailableUnits FROM EMSUsage WHERE IsDuplicateRowForPGA = 0 TIMESPAN LAST_MONTH",
            "EMSUsage",
            ("EOU",),
            ("MDEPaidAvailableUnits",),
        ),
    ],
)
def test_a_metric_comes_to_what_the_simulator_expects(
    simulator: Simulator, get: Get, query: str, data_set: str, by: tuple[str, ...], sums: tuple[str, ...]
) -> None:
    found = [tuple(row.values()) for row in rows(get(exportQuery=query))]
    expected = simulator.insights.reporting.expected(data_set, by=by, sums=sums)
    assert {row[: len(by)]: row[len(by) :] for row in found} == expected
    assert len(found) == len(expected) > 0


def test_the_licences_are_those_of_the_other_apis_at_the_end_of_the_month(simulator: Simulator, get: Get) -> None:
    figures = simulator.dataset.usage(datetime(2026, 5, 25, tzinfo=UTC), processed_on=date(2026, 4, 30))
    qualified = sum(figure.qualified for figure in figures if figure.workload == "Exchange")
    query = "SELECT WorkloadName, TotalPaidAvailableUnits FROM OfficeUsage WHERE IsDuplicateRowForPGA = 0 "
    found = {
        row["WorkloadName"]: row["TotalPaidAvailableUnits"]
        for row in rows(get(exportQuery=f"{query}TIMESPAN LAST_MONTH"))
    }
    assert found["Exchange Online"] == qualified


def test_the_rows_have_what_real_exports_have(get: Get) -> None:
    def sums(columns: str, data_set: str, where: str = "") -> list[tuple[Any, ...]]:
        query = f"SELECT {columns} FROM {data_set} {where} TIMESPAN LAST_MONTH"
        return [tuple(row.values()) for row in rows(get(exportQuery=query))]

    once = sums("TotalPaidAvailableUnits", "OfficeUsage", "WHERE IsDuplicateRowForPGA = 0")[0][0]
    assert sums("TotalPaidAvailableUnits", "OfficeUsage")[0][0] > once
    names = "WorkloadName, PartnerAttributionType, TotalPaidAvailableUnits, TotalMonthlyActiveUsers"
    usage = sums(names, "OfficeUsage", "WHERE IsDuplicateRowForPGA = 0")
    assert any(active > paid > 0 for _, _, paid, active in usage)
    assert any(paid == 0 < active for _, _, paid, active in usage)
    assert len({attribution for _, attribution, _, _ in usage}) > 3
    states = "SubscriptionState, AvailableSeatsEOP, AvailableSeats, SubscriptionCount"
    seats = {row[0]: row[1:] for row in sums(states, "SeatsSubscriptionsAndRevenue")}
    assert seats.keys() == {"Active", "Churned", "Disabled"}
    assert seats["Churned"][:2] == (0, seats["Churned"][1])
    assert seats["Churned"][1] < 0
    assert seats["Disabled"][0] < 0
    customers = {name for (name,) in sums("DISTINCT CustomerName", "OfficeUsage")}
    for part in ('"', ",", "\r\n", "*****"):
        assert any(part in name for name in customers)


def test_months_move_with_simulated_time(now: list[float], get: Get, redeem: Get, client: httpx.Client) -> None:
    assert "2026-04-01" in months(get(exportQuery=USAGE))
    now[0] += 31 * 86400
    token = {"Authorization": f"Bearer {redeem().json()['access_token']}"}
    assert months(client.get(TRY, params={"exportQuery": USAGE}, headers=token)) == {
        "2026-05-01", "2026-04-01", "2026-03-01",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("timespan", "start", "end", "number"),
    [
        ("TIMESPAN LAST_MONTH", "", "", 1),
        ("TIMESPAN LAST_3_MONTHS", "", "", 3),
        ("", "", "", 6),
        ("TIMESPAN LAST_1_YEAR", "", "", 12),
        ("TIMESPAN LAST_MONTH", "2024-01-01T00:00:00Z", "2026-12-31T00:00:00Z", 13),
        ("", "2026-03-01T00:00:00Z", "2026-03-31T23:59:59Z", 1),
        ("", "2026-03-02T00:00:00Z", "", 1),
        ("", "2026-02-01", "2026-04-01", 3),
        ("", "2027-02-01", "", 0),
    ],
)
def test_a_query_covers_the_months_of_its_time_span(get: Get, timespan: str, start: str, end: str, number: int) -> None:
    times = {name: value for name, value in (("startTime", start), ("endTime", end)) if value}
    assert len(months(get(exportQuery=f"SELECT DISTINCT Month FROM OfficeUsage {timespan}", **times))) == number


@pytest.mark.parametrize("limit", [10, 100])
def test_a_try_query_is_cut_at_the_row_limit_without_a_word(simulator: Simulator, get: Get, limit: int) -> None:
    simulator.insights.quirks = InsightsQuirks(row_limit=limit)
    document = get(exportQuery="SELECT Month, WorkloadName, CustomerTenantId FROM OfficeUsage").json()
    assert (len(document["value"]), document["totalCount"], document["nextLink"]) == (limit, limit, None)


def shown(simulator: Simulator, get: Get, **quirks: Any) -> dict[str, Any]:
    simulator.insights.quirks = InsightsQuirks(**quirks)
    document: dict[str, Any] = json.loads(get(exportQuery=f"{USAGE}").content.decode("utf-8-sig"))
    return document


def test_the_envelope_can_be_spelled_otherwise(simulator: Simulator, get: Get) -> None:
    assert {"Value", "NextLink", "StatusCode"} <= shown(simulator, get, spelling="pascal").keys()
    document = shown(simulator, get, spelling="blanks")
    assert {"Value ", " NextLink", "TotalCount "} <= document.keys()
    simulator.insights.quirks = InsightsQuirks(bom=True)
    assert get(exportQuery=USAGE).content.startswith(b"\xef\xbb\xbf{")


def test_values_can_be_spelled_otherwise(simulator: Simulator, get: Get) -> None:
    assert isinstance(shown(simulator, get)["value"][0]["TotalPaidAvailableUnits"], int)
    row = shown(simulator, get, numbers_as_text=True)["value"][0]
    assert row["TotalPaidAvailableUnits"].isdigit()
    for spelling, month in (
        ("date", "2026-04-01"),
        ("date-time", "2026-04-01T00:00:00"),
        ("us", "4/1/2026"),
        ("us-time", "4/1/2026 12:00:00 AM"),
    ):
        assert shown(simulator, get, month_format=spelling)["value"][0]["Month"] == month
    simulator.insights.quirks = InsightsQuirks(data_redacted=True)
    document = get(exportQuery="SELECT DISTINCT CustomerName FROM OfficeUsage").json()
    assert document["dataRedacted"] is True
    assert {row["CustomerName"] for row in document["value"]} == {""}


@pytest.mark.parametrize("links", ["relative", "path", "absolute"])
def test_pages_join_to_the_whole(simulator: Simulator, get: Get, links: str) -> None:
    whole = rows(get(exportQuery=USAGE))
    simulator.insights.quirks = InsightsQuirks(page_rows=25, links=links)
    document = get(exportQuery=USAGE).json()
    found = document["value"]
    while link := document["nextLink"]:
        assert link.startswith({"relative": "Scheduled", "path": "/insights/", "absolute": "https://127"}[links])
        document = get(urljoin(f"{simulator.base_url}{BASE}", link)).json()
        found += document["value"]
    assert found == whole
    assert document["totalCount"] == len(whole) > 25


def test_links_can_lead_elsewhere_or_nowhere(simulator: Simulator, get: Get) -> None:
    assert "elsewhere.example" in shown(simulator, get, page_rows=25, links="foreign")["nextLink"]
    assert "skip=0" in shown(simulator, get, page_rows=25, links="loop")["nextLink"]


def test_the_catalogue_drifts(simulator: Simulator, get: Get) -> None:
    simulator.insights.quirks = InsightsQuirks(
        missing_sets=["PowerBIUsage"],
        sets_without_columns=["EMSUsage"],
        sets_without_rows=["DynamicsUsage"],
        renamed_columns={"OfficeUsage.WorkloadName": "Workload", "PartnerAttributionType": ""},
        date_ranges=["LAST_MONTH"],
    )
    sets = {item["datasetName"]: item for item in rows(get(f"{BASE}ScheduledDataset"))}
    assert "PowerBIUsage" not in sets
    assert sets["EMSUsage"]["selectableColumns"] == sets["EMSUsage"]["availableMetrics"] == []
    assert sets["OfficeUsage"]["availableDateRanges"] == ["LAST_MONTH"]
    assert "Workload" in sets["OfficeUsage"]["selectableColumns"]
    assert "WorkloadName" in sets["CPORM365Usage"]["selectableColumns"]
    assert not any("PartnerAttributionType" in item["selectableColumns"] for item in sets.values())
    assert rows(get(exportQuery="SELECT Month FROM DynamicsUsage")) == []
    assert len(rows(get(exportQuery="SELECT DISTINCT Workload FROM OfficeUsage"))) == 7
    for query, text in (
        ("SELECT Month FROM PowerBIUsage", "Invalid table name"),
        ("SELECT Month FROM EMSUsage", "Incorrect column name"),
        ("SELECT WorkloadName FROM OfficeUsage", "Incorrect column name"),
        ("SELECT Month FROM OfficeUsage TIMESPAN LAST_3_MONTHS", "Requested value 'LAST_3_MONTHS'"),
    ):
        answer = get(exportQuery=query)
        assert (answer.status_code, answer.json()["statusCode"]) == (400, 400)
        assert answer.json()["message"].startswith(text)


@pytest.mark.parametrize(("role", "status"), [("viewer", 403), ("viewer-inside", 200)])
def test_a_report_viewer_is_refused(simulator: Simulator, get: Get, role: str, status: int) -> None:
    simulator.insights.quirks = InsightsQuirks(role=role)
    answer = get(exportQuery=USAGE)
    assert (answer.status_code, answer.json()["statusCode"], answer.json()["value"]) == (status, 403, [])


def test_only_a_signed_in_user_is_answered(simulator: Simulator, client: httpx.Client, get: Get) -> None:
    assert client.get(f"{BASE}ScheduledDataset").status_code == 401
    app = simulator.entra.access_tokens.for_app(simulator.base_url, simulator.base_url)
    answer = get(headers={"Authorization": f"Bearer {app['access_token']}"})
    assert (answer.status_code, answer.json()["code"]) == (403, "900329")


def test_the_rate_limit_is_announced_and_then_enforced(simulator: Simulator, now: list[float], get: Get) -> None:
    assert "x-ratelimit-limit" not in get(exportQuery=USAGE).headers
    simulator.insights.quirks = InsightsQuirks(rate_limit=2)
    answers = [get(f"{BASE}ScheduledDataset") for _ in range(3)]
    assert [answer.headers["x-ratelimit-remaining"] for answer in answers] == ["1", "0", "0"]
    assert [answer.status_code for answer in answers] == [200, 200, 429]
    assert answers[-1].headers["retry-after"] == "60"
    now[0] += 60
    assert get(f"{BASE}ScheduledDataset").status_code == 200


@pytest.mark.parametrize("path", ["ScheduledDatasets", "ScheduledDataset/x", "", "ScheduledDataset?datasetName=Moon"])
def test_other_paths_and_sets_are_not_found(get: Get, path: str) -> None:
    assert get(f"{BASE}{path}").status_code == 404


@pytest.mark.parametrize("query", [{"startTime": "yesterday"}, {"skip": "many"}, {"queryId": "moon"}])
def test_an_invalid_parameter_is_refused(get: Get, query: dict[str, str]) -> None:
    answer = get(**{"exportQuery": USAGE, **query})
    assert (answer.status_code, answer.json()["statusCode"]) == (400, 400)


def test_other_methods_are_not_allowed(client: httpx.Client, redeem: Get) -> None:
    token = {"Authorization": f"Bearer {redeem().json()['access_token']}"}
    assert client.post(f"{BASE}ScheduledDataset", headers=token).status_code == 405


def test_faults_find_each_endpoint_and_all_of_them(simulator: Simulator, get: Get) -> None:
    simulator.faults.add(Fault(kind="status", endpoint="insights_catalogue", times=1))
    assert get(exportQuery=USAGE).status_code == 200
    assert get(f"{BASE}ScheduledDataset").status_code == 503
    simulator.faults.add(Fault(kind="mfa_required", endpoint="insights", every=3))
    assert [get(exportQuery=USAGE).status_code for _ in range(6)] == [200, 200, 401, 200, 200, 401]
    assert get("/v1/analytics/licenses/usage").status_code == 200


@pytest.mark.parametrize("status", [400, 401, 403, 429, 500])
def test_an_error_can_hide_inside_a_200(simulator: Simulator, get: Get, status: int) -> None:
    simulator.faults.add(Fault(kind="error_inside", endpoint="insights", status=status, text="No."))
    answer = get(exportQuery=USAGE)
    assert (answer.status_code, answer.json()["statusCode"], answer.json()["message"]) == (200, status, "No.")


def test_rows_can_be_replaced(simulator: Simulator, get: Get) -> None:
    simulator.faults.add(Fault(kind="rows", endpoint="insights_try_query", rows=[{"Month": None}]))
    assert rows(get(exportQuery=USAGE)) == [{"Month": None}]


@pytest.mark.parametrize("path", ["/v1/analytics/licenses/usage", f"{BASE}ScheduledDataset"])
def test_mfa_is_confirmed_to_who_asks(simulator: Simulator, get: Get, redeem: Get, path: str) -> None:
    asks = {"ValidateMfa": "true"}
    assert "ismfacompliant" not in get(path).headers
    assert get(path, headers=asks).headers["ismfacompliant"] == "true"
    weak = redeem(refresh_token=simulator.entra.issue_refresh_token(mfa=False)).json()["access_token"]
    refused = get(path, headers=asks | {"Authorization": f"Bearer {weak}"})
    assert (refused.status_code, refused.headers["ismfacompliant"]) == (401, "false")
    for text in ("False", ""):
        simulator.faults.add(Fault(kind="mfa_header", text=text, times=1))
        assert get(path, headers=asks).headers.get("ismfacompliant", "") == text


def test_the_quirks_can_be_changed_over_http(client: httpx.Client, get: Get) -> None:
    changed = client.post("/_simulator/insights", json={"row_limit": 10, "renamed_columns": {"Month": "MonthKey"}})
    assert changed.json()["row_limit"] == 10
    assert len(rows(get(exportQuery="SELECT MonthKey FROM OfficeUsage"))) == 10
    client.post("/_simulator/insights", json={"slow_seconds": 0.01})
    assert client.get("/_simulator/insights").json()["row_limit"] == 10
    for wrong in (
        {"moon": 1},
        {"row_limit": 0},
        {"spelling": "snake"},
        {"missing_sets": "EMSUsage"},
        {"missing_sets": ["EMS"]},
        {"renamed_columns": {"Mnth": ""}},
        {"renamed_columns": {"Month": 1}},
        {"link_seconds": -1},
        {"file_content": "cut-gzip", "file_coding": "plain"},
    ):
        assert client.post("/_simulator/insights", json=wrong).status_code == 400, wrong
