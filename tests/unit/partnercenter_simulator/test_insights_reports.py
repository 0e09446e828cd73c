"""Scheduled queries and reports of the simulated Partner Insights: their life, their quotas and their files."""

import csv
import gzip
import io
import ssl
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest

from partnercenter_simulator import Fault, InsightsQuirks, Simulator
from partnercenter_simulator.insights.queries import OFFICE_QUERY

BASE = "/insights/v1/mpn/"
HOUR, DAY = 3600, 86400
NAMES = ("CustomerName", "WorkloadName", "PaidAvailableUnits")
QUERY = f"SELECT {', '.join(NAMES)} FROM OfficeUsage WHERE IsDuplicateRowForPGA = 0 TIMESPAN LAST_MONTH"
DAILY = {"ReportName": "Daily", "QueryId": OFFICE_QUERY, "RecurrenceInterval": 24}
NOW = {"ReportName": "Once", "QueryId": OFFICE_QUERY, "ExecuteNow": True}
UTF_8_BOM = b"\xef\xbb\xbf"

Call = Callable[..., httpx.Response]


@pytest.fixture
def now() -> list[float]:
    """Return the simulator's time, which a test may change."""
    return [datetime(2026, 5, 25, 12, tzinfo=UTC).timestamp()]


@pytest.fixture
def simulator(now: list[float]) -> Iterator[Simulator]:
    with Simulator(seed=7, now=lambda: now[0]) as running:
        running.entra.token_lifetime_seconds = 1000 * DAY
        yield running


@pytest.fixture
def call(client: httpx.Client, redeem: Call) -> Call:
    token = redeem().json()["access_token"]

    def send(method: str, path: str, body: object = None, **query: str) -> httpx.Response:
        headers = {"Authorization": f"Bearer {token}"}
        return client.request(method, f"{BASE}{path}", params=query or None, json=body, headers=headers)

    return send


@pytest.fixture
def download(tls: ssl.SSLContext) -> Iterator[Callable[..., httpx.Response]]:
    with httpx.Client(verify=tls) as anonymous:
        yield anonymous.get


Download = Callable[..., httpx.Response]


def one(answer: httpx.Response) -> dict[str, Any]:
    assert answer.status_code == 200, answer.text
    (item,) = answer.json()["value"]
    assert isinstance(item, dict)
    return item


def error(answer: httpx.Response) -> tuple[int, str]:
    document = answer.json()
    assert document["statusCode"] == answer.status_code
    return answer.status_code, document["message"]


def later(now: list[float], hours: float) -> str:
    return f"{datetime.fromtimestamp(now[0] + hours * HOUR, UTC):%Y-%m-%dT%H:%M:%SZ}"


def executions(call: Call, report_id: str, **query: str) -> list[tuple[str, bool]]:
    """Return the status of each execution, and whether it has a link."""
    found = call("GET", f"ScheduledReport/execution/{report_id}", **query)
    if found.status_code == 404:
        assert found.json()["message"].startswith("There are no executions")
        return []
    return [(item["executionStatus"], item["reportAccessSecureLink"] is not None) for item in found.json()["value"]]


EVERY = {"getLatestExecution": "false", "executionStatus": "Pending;Running;Paused;Completed"}


def test_a_query_is_created_found_tried_and_deleted(simulator: Simulator, call: Call) -> None:
    query = one(call("POST", "ScheduledQueries", {"Name": "My query 1", "Query": QUERY, "Description": "Mine"}))
    assert (query["name"], query["type"], query["user"]) == ("My query 1", "userDefined", simulator.user)
    assert one(call("GET", "ScheduledQueries", queryName="My query 1")) == query
    assert one(call("GET", "ScheduledQueries", queryId=query["queryId"])) == query
    listed = call("GET", "ScheduledQueries").json()["value"]
    assert [item["type"] for item in listed] == ["system"] * 7 + ["userDefined"]
    assert len(call("GET", "ScheduledQueries", includeOnlySystemQueries="true").json()["value"]) == 7
    assert one(call("GET", "ScheduledQueries", includeSystemQueries="false")) == query
    tried = call("GET", "ScheduledQueries/testQueryResult", queryId=query["queryId"]).json()
    assert tried == call("GET", "ScheduledQueries/testQueryResult", exportQuery=QUERY).json()
    assert one(call("DELETE", f"ScheduledQueries/{query['queryId']}")) == query
    assert error(call("DELETE", f"ScheduledQueries/{query['queryId']}"))[0] == 404
    assert error(call("GET", "ScheduledQueries", queryName="My query 1")) == (404, "No item found with given filters.")


def test_a_system_query_can_name_a_column_that_is_gone(call: Call) -> None:
    found = call("GET", "ScheduledQueries").json()["value"]
    broken = next(item for item in found if item["name"] == "SeatsSubscriptionsAndRevenue")
    assert error(call("GET", "ScheduledQueries/testQueryResult", queryId=broken["queryId"])) == (
        400,
        "Incorrect column name: PartnerLocationID.",
    )


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ({"Query": QUERY}, "Null or missing value"),
        ({"Name": "Mine"}, "Null or missing value"),
        ([], "Null or missing value"),
        ({"Name": "My-query", "Query": QUERY}, "Invalid query name"),
        ({"Name": "Mine", "Query": "SELECT Moon FROM OfficeUsage"}, "Incorrect column name"),
    ],
)
def test_an_invalid_query_is_refused(call: Call, body: object, message: str) -> None:
    status, text = error(call("POST", "ScheduledQueries", body))
    assert (status, text[: len(message)]) == (400, message)


def test_a_report_runs_daily_until_its_count_is_used_up(now: list[float], call: Call) -> None:
    body = {**DAILY, "StartTime": later(now, 5), "RecurrenceCount": 2}
    report = one(call("POST", "ScheduledReport", body))
    assert report["reportStatus"] == "Active"
    assert (report["recurrenceInterval"], report["recurrenceCount"], report["format"]) == (24, 2, "csv")
    identity = report["reportId"]
    assert executions(call, identity, **EVERY) == []
    now[0] += 5 * HOUR
    assert executions(call, identity) == []
    assert executions(call, identity, **EVERY) == [("Pending", False)]
    now[0] += 60
    assert executions(call, identity, executionStatus="Running") == [("Running", False)]
    now[0] += 300
    assert executions(call, identity) == [("Completed", True)]
    now[0] += DAY
    assert executions(call, identity, **EVERY) == [("Completed", True)] * 2
    assert one(call("GET", "ScheduledReport", reportName="Daily"))["reportStatus"] == "Inactive"
    now[0] += DAY
    assert len(executions(call, identity, **EVERY)) == 2
    now[0] += 89 * DAY
    assert executions(call, identity, **EVERY) == []


def test_a_report_that_executes_now_runs_once(now: list[float], call: Call) -> None:
    report = one(call("POST", "ScheduledReport", {**NOW, "StartTime": "whenever", "RecurrenceInterval": 1}))
    assert executions(call, report["reportId"], **EVERY) == [("Pending", False)]
    assert one(call("GET", "ScheduledReport"))["reportStatus"] == "Active"
    now[0] += 30 * DAY
    assert executions(call, report["reportId"], **EVERY) == [("Completed", True)]
    assert one(call("GET", "ScheduledReport"))["reportStatus"] == "Inactive"


def test_a_paused_report_leaves_out_what_is_due(now: list[float], call: Call) -> None:
    identity = one(call("POST", "ScheduledReport", {**DAILY, "StartTime": later(now, 4)}))["reportId"]
    now[0] += 4 * HOUR
    assert one(call("PUT", f"ScheduledReport/pause/{identity}"))["reportStatus"] == "Paused"
    assert executions(call, identity, **EVERY) == [("Paused", False)]
    now[0] += 2 * DAY
    assert one(call("PUT", f"ScheduledReport/resume/{identity}"))["reportStatus"] == "Active"
    assert executions(call, identity, **EVERY) == [("Completed", True)]
    now[0] += DAY + HOUR
    assert executions(call, identity, **EVERY) == [("Completed", True)] * 2


def test_a_report_can_be_changed_and_deleted(now: list[float], call: Call) -> None:
    report = one(call("POST", "ScheduledReport", {**DAILY, "StartTime": later(now, 4)}))
    path = f"ScheduledReport/{report['reportId']}"
    changes = {"ReportName": "Weekly", "StartTime": later(now, 8), "RecurrenceInterval": 168}
    changed = one(call("PUT", path, changes))
    assert changed == {
        **report, "reportName": "Weekly", "startTime": changes["StartTime"], "recurrenceInterval": 168,
    }  # fmt: skip
    assert error(call("PUT", path, {"ReportName": "Weekly"}))[0] == 400
    assert one(call("DELETE", path)) == changed
    assert error(call("DELETE", path)) == (404, "No item found with given filters.")
    assert executions(call, report["reportId"], **EVERY) == []


@pytest.mark.parametrize(
    ("changes", "status", "message"),
    [
        ({"ReportName": None}, 400, "Null or missing value: ReportName"),
        ({"QueryId": None}, 400, "Null or missing value: QueryId"),
        ({"StartTime": None}, 400, "Null or missing value: StartTime"),
        ({"RecurrenceInterval": None}, 400, "Null or missing value: RecurrenceInterval"),
        ({"ReportName": "a;b"}, 400, "Invalid report parameters"),
        ({"ReportName": "a" * 257}, 400, "Invalid report parameters"),
        ({"QueryId": "moon"}, 400, "Invalid QueryId"),
        ({"RecurrenceInterval": 3}, 400, "Recurrence Interval must be between 4 and 2160"),
        ({"RecurrenceInterval": 2161}, 400, "Recurrence Interval must be between 4 and 2160"),
        ({"RecurrenceInterval": 23}, 400, "Invalid report parameters"),
        ({"RecurrenceInterval": "24"}, 400, "Invalid report parameters"),
        ({"RecurrenceCount": 0}, 400, "Invalid report parameters"),
        ({"ExecuteNow": "true"}, 400, "Invalid report parameters"),
        ({"ReportName": 5}, 400, "Invalid report parameters"),
        ({"Format": "XML"}, 400, "Requested value 'xml' not found"),
        ({"StartTime": "2026-05-25T15:59:59Z"}, 400, "Invalid report parameters for creation - Start time of report"),
        ({"StartTime": "2026-05-26"}, 500, "Internal error encountered while creating report. Correlation ID <"),
    ],
)
def test_an_invalid_report_is_refused(
    now: list[float], call: Call, changes: dict[str, object], status: int, message: str
) -> None:
    found, text = error(call("POST", "ScheduledReport", {**DAILY, "StartTime": later(now, 5), **changes}))
    assert (found, text[: len(message)]) == (status, message)


def test_the_quotas_are_a_users(client: httpx.Client, now: list[float], call: Call) -> None:
    created = client.post("/_simulator/insights/others", json={"queries": 100, "reports": 50})
    assert created.status_code == 200
    status, text = error(call("POST", "ScheduledQueries", {"Name": "One more", "Query": QUERY}))
    assert (status, text[:27]) == (400, "Number of queries exceeded.")
    body = {**DAILY, "StartTime": later(now, 5)}
    quota = "User has exceeded its report creation quota of 50 active reports."
    assert error(call("POST", "ScheduledReport", body)) == (400, quota)
    first = call("GET", "ScheduledReport", reportName="Other report 1").json()["value"][0]["reportId"]
    call("PUT", f"ScheduledReport/pause/{first}")
    assert call("POST", "ScheduledReport", body).status_code == 200
    assert client.post("/_simulator/insights/others", json={"reports": 1}).status_code == 400
    with Simulator(seed=7) as fresh:
        fresh.insights.add_others(reports=2)
        assert len(fresh.insights.queries.own) == 0


def test_five_reports_an_hour_execute_now(now: list[float], call: Call) -> None:
    answers = [call("POST", "ScheduledReport", NOW) for _ in range(6)]
    assert [answer.status_code for answer in answers] == [200] * 5 + [400]
    assert error(answers[5])[1] == "User has exceeded its ExecuteNow report creation quota of 5 reports/60 mins."
    now[0] += HOUR
    assert call("POST", "ScheduledReport", NOW).status_code == 200


def test_an_execution_can_stick_and_be_shown_in_place_of_404(
    simulator: Simulator, now: list[float], call: Call
) -> None:
    identity = one(call("POST", "ScheduledReport", NOW))["reportId"]
    simulator.insights.quirks = InsightsQuirks(shows_pending=True)
    assert executions(call, identity) == [("Pending", False)]
    for stuck in ("Pending", "Running"):
        simulator.insights.quirks = InsightsQuirks(stuck_status=stuck)
        now[0] += DAY
        assert executions(call, identity) == []
        assert executions(call, identity, **EVERY) == [(stuck, False)]
    simulator.insights.quirks = InsightsQuirks()
    assert executions(call, identity) == [("Completed", True)]


def test_an_empty_list_can_be_an_answer(simulator: Simulator, call: Call) -> None:
    assert error(call("GET", "ScheduledReport")) == (404, "No item found with given filters.")
    simulator.insights.quirks = InsightsQuirks(empty_list_is_404=False)
    assert call("GET", "ScheduledReport").json()["value"] == []


@pytest.fixture
def link(now: list[float], call: Call) -> str:
    """Return a link to the file of a completed execution."""
    query = one(call("POST", "ScheduledQueries", {"Name": "Names", "Query": QUERY}))["queryId"]
    report = one(call("POST", "ScheduledReport", {**NOW, "QueryId": query}))["reportId"]
    now[0] += HOUR
    return str(one(call("GET", f"ScheduledReport/execution/{report}"))["reportAccessSecureLink"])


def table(text: str, delimiter: str = ",") -> list[list[str]]:
    return list(csv.reader(io.StringIO(text, newline=""), delimiter=delimiter))


def test_a_file_has_the_rows_of_its_query(simulator: Simulator, link: str, download: Download) -> None:
    assert link.startswith(f"{simulator.files_url}/insights/")
    assert simulator.files_port != simulator.port
    answer = download(link)
    assert (answer.status_code, answer.headers["content-encoding"]) == (200, "gzip")
    header, *rows = table(answer.text)
    assert header == list(NAMES)
    by_workload: dict[tuple[str, ...], tuple[int, ...]] = {}
    for _, workload, units in rows:
        by_workload[(workload,)] = (by_workload.get((workload,), (0,))[0] + int(units),)
    expected = simulator.insights.reporting.expected("OfficeUsage", by=["WorkloadName"], sums=["PaidAvailableUnits"])
    assert by_workload == expected
    assert any("\r\n" in name for name, _, _ in rows)
    assert simulator.requests.of("files")[0].status == 200


@pytest.mark.parametrize(
    ("quirks", "unpack", "shape"),
    [
        ({"file_coding": "plain"}, bytes, (281, 3)),
        ({"file_coding": "raw-gzip"}, gzip.decompress, (281, 3)),
        ({"file_coding": "plain", "file_bom": True}, lambda data: data.removeprefix(UTF_8_BOM), (281, 3)),
        ({"file_coding": "plain", "file_content": "header-only"}, bytes, (1, 3)),
        ({"file_coding": "plain", "file_content": "cut-row"}, bytes, (281, 1)),
    ],
)
def test_a_file_can_be_encoded_and_cut_otherwise(
    simulator: Simulator,
    link: str,
    download: Download,
    quirks: dict[str, Any],
    unpack: Callable[[bytes], bytes],
    shape: tuple[int, int],
) -> None:
    simulator.insights.quirks = InsightsQuirks(**quirks)
    answer = download(link)
    assert "content-encoding" not in answer.headers
    assert answer.content.startswith(UTF_8_BOM) == quirks.get("file_bom", False)
    found = table(unpack(answer.content).decode())
    assert (len(found), len(found[-1])) == shape


def test_a_file_can_be_empty_or_lack_its_end(simulator: Simulator, link: str, download: Download) -> None:
    simulator.insights.quirks = InsightsQuirks(file_content="empty")
    assert download(link).content == b""
    simulator.insights.quirks = InsightsQuirks(file_content="cut-gzip", file_coding="raw-gzip")
    with pytest.raises(EOFError):
        gzip.decompress(download(link).content)


def test_a_file_can_be_tab_separated(now: list[float], call: Call, download: Download) -> None:
    report = one(call("POST", "ScheduledReport", {**NOW, "Format": "TSV"}))
    assert report["format"] == "tsv"
    now[0] += HOUR
    link = one(call("GET", f"ScheduledReport/execution/{report['reportId']}"))["reportAccessSecureLink"]
    assert urlsplit(link).path.endswith(".tsv")
    header, *rows = table(download(link).text, "\t")
    assert "CustomerTenantId" in header
    assert {len(row) for row in rows} == {len(header)}


def test_a_report_covers_its_own_times(now: list[float], call: Call, download: Download) -> None:
    times = {"QueryStartTime": "2026-02-01T00:00:00Z", "QueryEndTime": "2026-02-28T00:00:00Z"}
    report = one(call("POST", "ScheduledReport", {**NOW, **times}))
    now[0] += HOUR
    link = one(call("GET", f"ScheduledReport/execution/{report['reportId']}"))["reportAccessSecureLink"]
    header, *rows = table(download(link).text)
    assert {row[header.index("Month")] for row in rows} == {"2026-02-01T00:00:00"}


def test_a_link_is_refused_with_a_token_after_its_time_or_changed(
    simulator: Simulator, now: list[float], link: str, download: Download
) -> None:
    def refused(answer: httpx.Response) -> tuple[int, str]:
        assert answer.headers["content-type"] == "application/xml"
        assert answer.content.startswith(UTF_8_BOM + b"<?xml")
        return answer.status_code, answer.headers["x-ms-error-code"]

    assert refused(download(link, headers={"Authorization": "Bearer x"})) == (403, "AuthenticationFailed")
    assert refused(download(link.replace("sig=", "sig=x"))) == (403, "AuthenticationFailed")
    assert refused(download(link.partition("?")[0])) == (403, "AuthenticationFailed")
    assert refused(download(f"{simulator.files_url}/_simulator/")) == (403, "AuthenticationFailed")
    gone = simulator.insights.files.link(simulator.base_url, "moon.csv")
    assert refused(download(gone)) == (404, "BlobNotFound")
    assert download(link).status_code == 200
    now[0] += HOUR
    assert refused(download(link)) == (403, "AuthenticationFailed")


def test_faults_reach_the_files_alone(simulator: Simulator, link: str, tls: ssl.SSLContext, call: Call) -> None:
    simulator.faults.add(Fault(kind="tls_untrusted", endpoint="files", times=1))
    with pytest.raises(httpx.ConnectError):
        httpx.get(link, verify=tls)
    simulator.faults.add(Fault(kind="status", endpoint="files", status=503, times=1))
    assert call("GET", "ScheduledReport").status_code == 200
    assert httpx.get(link, verify=tls).status_code == 503
    assert httpx.post(link, verify=tls).status_code == 405


def test_a_report_whose_column_is_gone_has_no_file(simulator: Simulator, link: str, download: Download) -> None:
    simulator.insights.quirks = InsightsQuirks(renamed_columns={"WorkloadName": ""})
    assert download(link).headers["x-ms-error-code"] == "BlobNotFound"
