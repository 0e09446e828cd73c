"""Partner Insights against answers that a test gives: blank months, renamed columns, odd files, incomplete lists."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import httpx
import pytest

from exporter.config import Sources
from exporter.errors import Forbidden, PayloadError, PollError
from exporter.model.rows import Answer, DropReason, SourceName, UsageRow
from exporter.model.totals import Sums
from exporter.partner_center.client import ApiPoll
from exporter.sources.insights import Insights
from exporter.sources.reports import KnownReport
from tests.fixtures.api import poll
from tests.support.clock import FakeClock
from tests.support.upstream import MockUpstream

OLDER, NEWEST = "2026-11-01", "2026-12-01"
METRICS = ["TotalMonthlyActiveUsers", "TotalPaidAvailableUnits"]
COLUMNS = [
    "Month",
    "WorkloadName",
    "PartnerAttributionType",
    "IsDuplicateRowForPGA",
    "CustomerTenantId",
    "CustomerName",
]
HEADER = "Month,WorkloadName,PartnerAttributionType,CustomerTenantId,CustomerName," + ",".join(METRICS)
FILE = f"{HEADER}\r\n{OLDER},Teams,DPOR,c1,Fabrikam,3,4\r\n"
SIGNATURE = "c2lnbmF0dXJlLW9mLWEtbGluay1mb3ItdGVzdHMtb25seQ=="
LINK = f"https://files.example/reports/1.csv?sp=r&sig={SIGNATURE}"
DAY = 86_400.0


class Memory:
    """Remembers reports."""

    def __init__(self) -> None:
        self.known: dict[str, KnownReport] = {}

    def load(self, data_set: str) -> KnownReport | None:
        return self.known.get(data_set)

    def save(self, data_set: str, known: KnownReport) -> None:
        self.known[data_set] = known

    def shown(self) -> str:
        return ""


def row(month: str | None = OLDER, workload: str | None = "Teams", **changes: Any) -> dict[str, Any]:
    counts = {"TotalMonthlyActiveUsers": 3, "TotalPaidAvailableUnits": 4}
    return {"Month": month, "WorkloadName": workload, "PartnerAttributionType": "DPOR", **counts, **changes}


def blank(**changes: Any) -> dict[str, Any]:
    return row(NEWEST, **dict.fromkeys(METRICS), **changes)


@dataclass
class Upstream:
    """What Partner Insights and its file storage answer; `listed` is what lists have, `executions` what has run."""

    rows: Sequence[object] = ()
    file: bytes = FILE.encode()
    link: str = LINK
    listed: list[dict[str, Any]] = field(default_factory=list)
    executions: Sequence[dict[str, Any]] = ()
    status: Mapping[str, int] = field(default_factory=dict)
    created: list[dict[str, Any]] = field(default_factory=list)
    clock: FakeClock = field(default_factory=FakeClock)

    def answer(self, request: httpx.Request) -> httpx.Response:
        if request.url.host == "files.example":
            return httpx.Response(200, content=self.file)
        last = request.url.path.removeprefix("/insights/v1/mpn/")
        if status := next((status for path, status in self.status.items() if last.startswith(path)), 0):
            return httpx.Response(status, content=b"{}")
        return httpx.Response(200, content=json.dumps({"value": self._items(request, last)}).encode())

    def _items(self, request: httpx.Request, path: str) -> Sequence[object]:
        if request.method == "POST":
            number = f"id-{len(self.created)}"
            self.created.append(json.loads(request.content) | {"queryId": number, "reportId": number})
            return self.created[-1:]
        if path == "ScheduledDataset":
            return [self.catalogue()]
        if path.endswith("testQueryResult"):
            return self.rows
        if "/execution/" in path:
            return self.executions
        wanted = {key.lower(): value for key, value in request.url.params.items()}
        return [item for item in self.listed if all(item.get(key) == value for key, value in wanted.items())]

    @staticmethod
    def catalogue() -> dict[str, Any]:
        """Return what the catalogue says of the one data set."""
        return {"datasetName": "OfficeUsage", "selectableColumns": COLUMNS, "availableMetrics": METRICS}

    def poll(self) -> ApiPoll:
        """Return a poll that gets these answers, on this clock."""
        made = poll(httpx.Client(transport=MockUpstream(self.answer)))
        return ApiPoll(replace(made.client, clock=self.clock), made.source, stop=made.stop, log=made.log)


def source(memory: Memory | None = None) -> Insights:
    keys = {"api": "insights", "reports": True, "detail": ["customer"], "insights_file_hosts": ["files.example"]}
    sources = Sources.model_validate({"usage": keys if memory else {"api": "insights"}})
    made = sources.keys_of(SourceName.USAGE).source(9)
    assert isinstance(made, Insights)
    return replace(made, memory=memory)


def active(answer: Answer) -> dict[str, float | None]:
    return {found.workload: found.active for found in answer.rows if isinstance(found, UsageRow)}


def executed(**changes: Any) -> dict[str, Any]:
    link = {"reportAccessSecureLink": LINK, "reportGeneratedTime": "2027-01-15T00:00:00Z"}
    return {"executionId": "run-1", "executionStatus": "Completed", **link, **changes}


def detail(upstream: Upstream, memory: Memory) -> Answer:
    upstream.rows = upstream.rows or [row()]
    return source(memory).fetch(upstream.poll())


@pytest.mark.parametrize(
    "newest",
    [
        [blank()],
        [blank(WorkloadName=None, PartnerAttributionType=None)],
        [blank(WorkloadName="", PartnerAttributionType="")],
        [blank(), row(None)],
        [blank(), None],
    ],
    ids=["no counts", "nothing at all", "empty texts", "beside a row of no month", "beside what is no row"],
)
def test_a_blank_newest_month_does_not_hide_the_one_before(newest: list[object]) -> None:
    answer = source().fetch(Upstream([row(), *newest]).poll())
    assert active(answer) == {"Teams": 3}
    assert answer.dropped[DropReason.INVALID] == len(newest) - 1


@pytest.mark.parametrize("column", ["WorkloadName", "PartnerAttributionType", *METRICS])
def test_an_answer_without_a_column_that_was_asked_for_fails_the_poll(column: str) -> None:
    renamed = [{("Other" if name == column else name): value for name, value in row().items()}]
    with pytest.raises(PayloadError, match=f"OfficeUsage has no column {column}"):
        source().fetch(Upstream(renamed).poll())


def test_counts_by_customer_come_from_the_file() -> None:
    answer = detail(Upstream(executions=[executed()]), Memory())
    assert answer.breakdown
    assert list(answer.breakdown.sums) == [("Teams", "o365", "DPOR", "c1")]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (FILE.replace("\r\n", "\r"), "not CSV, or not whole"),
        ("x" * 200_000 + FILE, "not CSV, or not whole"),
        (f'"{FILE}', "not CSV, or not whole"),
        (FILE.replace(METRICS[0], "Other"), f"has no column {METRICS[0]}"),
        (FILE.replace("CustomerTenantId", "TenantId"), "has no column CustomerTenantId"),
        (FILE.replace("CustomerName", "Month"), "has no column Month"),
        (FILE.replace(",", ";"), "has no column Month"),
        ("<html>sign in</html>", "has no column Month"),
        (HEADER[:20], "has no column PartnerAttributionType"),
        (f"{HEADER}\r\n", "the report's file of OfficeUsage has no counts"),
        (f"{HEADER}\r\n{OLDER},Teams,DPOR,c1,Fabrikam,,\r\n", "the report's file of OfficeUsage has no counts"),
    ],
)
def test_a_file_that_is_not_what_was_asked_for_shows_nothing(content: str, message: str) -> None:
    with pytest.raises(PayloadError, match=message):
        detail(Upstream(file=content.encode(), executions=[executed()]), Memory())


@pytest.mark.parametrize(
    ("link", "message"),
    [
        ("https://xn--lcalhost-eta.example/1.csv", "not a valid URL"),
        (f"https://{SIGNATURE.rstrip('=')}.example/1.csv?sig={SIGNATURE}", r"\[withheld: it repeats a secret\]"),
    ],
)
def test_a_link_that_leads_elsewhere_is_refused_without_its_secrets(link: str, message: str) -> None:
    with pytest.raises(PollError, match=message):
        detail(Upstream(executions=[executed(reportAccessSecureLink=link)]), Memory())


def test_a_file_can_not_repeat_the_signature_of_its_link() -> None:
    repeated = FILE + f"{OLDER},{SIGNATURE},DPOR,c2,sig={SIGNATURE},1,1\r\n{OLDER},Teams,DPOR,c3,{SIGNATURE},1,1\r\n"
    answer = detail(Upstream(file=repeated.encode(), executions=[executed()]), Memory())
    assert answer.breakdown
    sums: Sums = answer.breakdown.sums
    assert {labels[-1] for labels in sums} == {"c1", "c3"}
    assert SIGNATURE not in str(answer.breakdown)


def test_a_run_without_an_id_is_not_taken_for_one_that_is_shown() -> None:
    answer = detail(Upstream(executions=[executed(executionId=None)]), Memory())
    assert not answer.keeps_breakdown
    assert "come with the first run" in answer.notes[0]


def test_a_role_that_is_missing_for_reports_only_is_named_too() -> None:
    with pytest.raises(Forbidden) as refused:
        detail(Upstream(status={"ScheduledReport": 403}), Memory())
    assert "Executive report viewer" in refused.value.remedy


@pytest.mark.parametrize(
    "query", ["", "SELECT other FROM OfficeUsage", None], ids=["without its query", "of another text", "as created"]
)
def test_a_report_of_ours_is_found_again_by_its_id(query: str | None) -> None:
    upstream, memory = Upstream(), Memory()
    detail(upstream, memory)
    asked, daily = upstream.created[:2]
    upstream.listed = [
        {
            "reportId": daily["reportId"],
            "reportid": daily["reportId"],
            "reportName": daily["ReportName"],
            "reportname": daily["ReportName"],
            "query": asked["Query"] if query is None else query,
            "reportStatus": "Active",
        }
    ]
    upstream.clock.advance(DAY + 1)
    detail(upstream, memory)
    assert len(upstream.created) == 3


def test_where_lists_lack_what_was_created_it_is_created_ever_more_rarely() -> None:
    upstream, memory = Upstream(), Memory()
    for _ in range(60):
        detail(upstream, memory)
        upstream.clock.advance(DAY + 1)
    reports = [item for item in upstream.created if "ReportName" in item]
    assert len(reports) == 2 * 6  # on days 0, 1, 3, 7, 15 and 31


@pytest.mark.parametrize("status", [200, 202])
@pytest.mark.parametrize("inside", [403, "403", " 403 "])
def test_an_error_inside_a_success_is_that_error(status: int, inside: object) -> None:
    body = json.dumps({"value": [], " StatusCode": inside}).encode()
    transport = MockUpstream(lambda _request: httpx.Response(status, content=body))
    with pytest.raises(Forbidden):
        source().fetch(poll(httpx.Client(transport=transport)))


def test_a_link_to_the_next_page_may_have_blanks_around_it() -> None:
    def answer(request: httpx.Request) -> httpx.Response:
        pages = {"ScheduledDataset": [Upstream().catalogue()], "testQueryResult": [row()], "next": [row(OLDER, "Word")]}
        last = request.url.path.rpartition("/")[2]
        link = {"testQueryResult": " ScheduledQueries/next ", "next": " "}.get(last)
        return httpx.Response(200, content=json.dumps({"value": pages[last], "nextLink": link}).encode())

    answered = source().fetch(poll(httpx.Client(transport=MockUpstream(answer))))
    assert active(answered) == {"Teams": 3, "Word": 3}
