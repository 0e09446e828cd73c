"""What Partner Insights sends, however it is spelled: pages, links, errors inside a 200, the catalogue."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

import httpx
import pytest

from exporter.errors import (
    AuthenticationError,
    Forbidden,
    MfaRequired,
    NotFound,
    PayloadError,
    PollError,
    Rejected,
    Throttled,
    Unavailable,
)
from exporter.partner_center.client import ApiPoll
from exporter.partner_center.insights import BASE, DIALECT, catalogue, folded, listing
from tests.fixtures import BOM
from tests.fixtures.api import answering, poll
from tests.fixtures.insights import OFFICE, envelope
from tests.support.upstream import MockUpstream

PATH = "/ScheduledDataset"
QUERY = {"exportQuery": "SELECT Month"}


def pages(*bodies: bytes) -> tuple[ApiPoll, list[str]]:
    """Return a poll that gets these pages in turn, the last one for ever, and the targets that it asks for."""
    asked: list[str] = []

    def answer(request: httpx.Request) -> httpx.Response:
        asked.append(request.url.raw_path.decode())
        return httpx.Response(200, content=bodies[min(len(asked), len(bodies)) - 1])

    return poll(httpx.Client(transport=MockUpstream(answer))), asked


@pytest.mark.parametrize(
    "body",
    [
        envelope([{"A": 1}]),
        BOM + envelope([{"A": 1}]),
        b'{"Value": [{" a ": 1}], "NextLink": null, "TotalCount": "1"}',
        b'{" VALUE ": [{"A": 1}], "nextlink ": "", "TOTALCOUNT": 1.0}',
        b'{"value": [{"a": 1}], "totalCount": 1}',
    ],
)
def test_names_are_the_same_in_any_case_and_with_blanks(body: bytes) -> None:
    found = listing(answering(body), PATH)
    assert (found.items, found.total, found.received) == (({"a": 1},), 1, 1)


@pytest.mark.parametrize(
    ("said", "redacted"), [(True, True), ("True", True), (" true ", True), (False, False), (None, False), (1, False)]
)
def test_withheld_values_are_noticed(said: object, redacted: bool) -> None:  # noqa: FBT001  a table's
    assert listing(answering(envelope([], dataRedacted=said)), PATH).redacted is redacted


def test_what_is_no_row_is_counted() -> None:
    found = listing(answering(envelope([{"a": 1}, None, 3, "x", [1]])), PATH)
    assert (len(found.items), found.invalid, found.received) == (1, 4, 5)


def test_a_row_with_a_number_or_text_that_json_has_not_spoils_no_other() -> None:
    found = listing(answering(b'{"value": [{"a": NaN}, {"a": "\\ud800"}, {"a": 1}]}'), PATH)
    assert found.received == 3
    assert found.items[2] == {"a": 1}


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b"", "the response is empty"),
        (BOM, "the response is empty"),
        (b" \n", "the response is empty"),
        (b"<html>", "the response is not a JSON object"),
        (b"[]", "the response is not a JSON object"),
        (b'"value"', "the response is not a JSON object"),
        (b"[" * 100_000, "the response is not a JSON object"),
        (b'{"value": ' + b"1" * 5_000 + b"}", "the response is not a JSON object"),
        ("{'value': 'ü'}".encode("latin-1"), "the response is not UTF-8"),
        (b"{}", "the response contains no list of rows"),
        (b'{"value": null}', "the response contains no list of rows"),
        (b'{"value": {"a": 1}}', "the response contains no list of rows"),
        (b'{"items": []}', "the response contains no list of rows"),
        (envelope([], totalCount=10**30), "the total is impossible"),
        (envelope([], nextLink=["x"]), "the next-page link is not a string"),
        (envelope([], nextLink="x" * 100_000), "the link to the next page is longer than"),
        (envelope([], nextLink="https://[::1"), "the link to the next page is not a valid URL"),
        (envelope([{}] * 10_001), "the response has more than 10,000 rows"),
        (b'{"value": [' + b"1," * 100_000 + b"1]}", "the response has more than 100,000 values"),
    ],
)
def test_a_response_of_another_shape_is_refused(body: bytes, message: str) -> None:
    with pytest.raises(PayloadError) as refused:
        listing(answering(body), PATH)
    assert refused.value.message.startswith(message)
    assert refused.value.remedy


@pytest.mark.parametrize(
    "link",
    [
        "ScheduledDataset?page=2",
        "/ScheduledDataset?page=2",
        "insights/v1/mpn/ScheduledDataset?page=2",
        "/insights/v1/mpn/ScheduledDataset?page=2",
        "https://api.example/insights/v1/mpn/ScheduledDataset?page=2",
        "?page=2",
    ],
)
def test_a_link_leads_to_the_next_page_however_it_is_written(link: str) -> None:
    asked_of, asked = pages(envelope([{"a": 1}], nextLink=link, totalCount=2), envelope([{"a": 2}], totalCount=2))
    found = listing(asked_of, PATH)
    assert [item["a"] for item in found.items] == [1, 2]
    assert found.total == 2
    assert asked == [f"{BASE}/ScheduledDataset", f"{BASE}/ScheduledDataset?page=2"]


@pytest.mark.parametrize(
    ("link", "error", "message"),
    [
        ("https://other.example/insights/v1/mpn/x", Rejected, "a link points to another origin: other.example"),
        ("//other.example/x", Rejected, "a link points to another origin: other.example"),
        ("http://api.example/insights/v1/mpn/x", Rejected, "a link points to another origin: api.example"),
        ("https://user:pw@api.example/x", Rejected, "a link points to another origin: api.example"),
        ("ScheduledDataset", PayloadError, "the links between pages form a loop"),
    ],
)
def test_a_link_that_leads_elsewhere_is_not_followed(link: str, error: type[PollError], message: str) -> None:
    asked_of, asked = pages(envelope([{"a": 1}], nextLink=link))
    with pytest.raises(error) as refused:
        listing(asked_of, PATH)
    assert refused.value.message == message
    assert asked == [f"{BASE}/ScheduledDataset"]


def test_pages_that_never_end_are_left_after_a_hundred() -> None:
    asked: list[str] = []

    def answer(request: httpx.Request) -> httpx.Response:
        asked.append(str(request.url))
        return httpx.Response(200, content=envelope([{}], nextLink=f"?page={len(asked)}"))

    with pytest.raises(PayloadError) as refused:
        listing(poll(httpx.Client(transport=MockUpstream(answer))), PATH)
    assert refused.value.message == "the response does not end after 100 pages"
    assert len(asked) == 100


def test_what_is_asked_is_encoded_as_a_query_once() -> None:
    asked_of, asked = pages(envelope([]))
    listing(asked_of, PATH, {"exportQuery": "SELECT A, B WHERE C = 0", "startTime": "2026-12-01T00:00:00Z"})
    assert asked == [
        f"{BASE}/ScheduledDataset?exportQuery=SELECT%20A%2C%20B%20WHERE%20C%20%3D%200&startTime=2026-12-01T00%3A00%3A00Z"
    ]


@pytest.mark.parametrize(
    ("inside", "error", "retried"),
    [
        (400, Rejected, False),
        ("400", Rejected, False),
        (401, AuthenticationError, False),
        (403, Forbidden, False),
        (404, NotFound, False),
        (429, Throttled, True),
        (500, Unavailable, True),
        (503.0, Unavailable, True),
    ],
)
@pytest.mark.parametrize("key", ["statusCode", "StatusCode", " StatusCode "])
def test_an_error_inside_a_good_status_is_that_error(
    key: str,
    inside: object,
    error: type[PollError],
    retried: bool,  # noqa: FBT001  a table's
) -> None:
    body = json.dumps({"Value": [], key: inside, "Message": "Invalid table name"}).encode()
    with pytest.raises(error) as failed:
        listing(answering(body), PATH)
    assert type(failed.value) is error
    assert failed.value.retryable is retried
    assert failed.value.exchange.status == int(float(str(inside)))
    assert failed.value.message.endswith(f"returned {int(float(str(inside)))} (Invalid table name)")


@pytest.mark.parametrize("inside", [200, 0, 399, 600, 99_999, -403, None, "no", True, [403], "4 0 3"])
def test_what_is_no_error_status_inside_changes_nothing(inside: object) -> None:
    assert listing(answering(envelope([{"a": 1}], statusCode=inside)), PATH).received == 1


def test_an_error_inside_that_speaks_of_mfa_is_that() -> None:
    with pytest.raises(MfaRequired):
        listing(answering(envelope([], statusCode=401, code="900421", message="MFA")), PATH)


def test_another_api_says_its_errors_in_its_status_only() -> None:
    body = envelope([], statusCode=403)
    assert answering(body).get("/v1/x") == body
    with pytest.raises(Forbidden):
        answering(body).get("/v1/x", DIALECT)


def test_a_request_may_take_longer_than_the_service_s_own_limit() -> None:
    timeouts: list[Mapping[str, float]] = []

    def answer(request: httpx.Request) -> httpx.Response:
        timeouts.append(request.extensions["timeout"])
        return httpx.Response(200, content=envelope([]))

    listing(poll(httpx.Client(transport=MockUpstream(answer))), PATH)
    assert [timeout["read"] for timeout in timeouts] == [120.0]


@pytest.mark.parametrize(
    ("item", "offered"),
    [
        (OFFICE, {"officeusage"}),
        ({**OFFICE, "datasetName": " OfficeUsage "}, {"officeusage"}),
        ({"DatasetName ": "OfficeUsage", " SelectableColumns": ["Month "]}, {"officeusage"}),
        ({**OFFICE, "selectableColumns": []}, set()),
        ({**OFFICE, "selectableColumns": None}, set()),
        ({**OFFICE, "selectableColumns": "Month"}, set()),
        ({**OFFICE, "selectableColumns": [1, None]}, set()),
        ({**OFFICE, "availableMetrics": None}, {"officeusage"}),
        ({**OFFICE, "datasetName": None}, set()),
        ({**OFFICE, "datasetName": 7}, set()),
        ({}, set()),
    ],
)
def test_the_catalogue_has_the_sets_with_columns(item: Mapping[str, Any], offered: set[str]) -> None:
    assert set(catalogue(answering(envelope([item])))) == offered


@pytest.mark.parametrize("columns", [["Month ", " monthLYactive"], ["MONTH", "MonthlyActive"]])
def test_the_catalogue_s_columns_are_found_in_any_case_and_keep_their_spelling(columns: Sequence[str]) -> None:
    found = catalogue(answering(envelope([{"datasetName": "A", "selectableColumns": columns}])))["a"]
    assert "Month" in found
    assert "monthlyactive" in found
    assert "Total" not in found
    assert found.names[folded("Month")] == columns[0].strip()
