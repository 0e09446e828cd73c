"""What the API's bodies become, whatever they hold."""

import json
import math
import os
import time
import tracemalloc
from collections.abc import Callable

import pytest

from exporter.errors import PayloadError
from exporter.messages import line
from exporter.model.values import ImpossibleValueError, label, quantity, timestamp
from exporter.partner_center.wire import DeploymentItem, Page, PageDecoder, UsageItem, contradiction, no_usable_rows
from exporter.redaction import Redactor
from tests.fixtures import BOM, deployment_item, legacy_page, published, usage_item


def usage(body: str | bytes) -> Page[UsageItem]:
    return PageDecoder(UsageItem).decode(body.encode() if isinstance(body, str) else body, Redactor())


def deployment(body: bytes) -> Page[DeploymentItem]:
    return PageDecoder(DeploymentItem).decode(body, Redactor())


def percent_of(literal: str) -> Page[UsageItem]:
    """Decode a page whose only row has this JSON literal as its percentage."""
    return usage(f'{{"items": [{{"proratedLicensesUsagePercent": {literal}}}]}}')


def test_one_long_character_does_not_make_a_page_take_four_times_its_size() -> None:
    page = legacy_page(usage_item(note="x" * 4_000_000 + "\N{GRINNING FACE}"))
    body = json.dumps(json.loads(page), ensure_ascii=False).encode()
    tracemalloc.start()
    try:
        assert len(usage(body).items) == 1
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 2 * len(body)


def test_text_that_is_no_utf_8_is_an_error_wherever_it_is_cut() -> None:
    for size in (256 * 1024 - 1, 256 * 1024, 256 * 1024 + 1):
        start = b'{"note": "' + b"x" * (size - 12)
        for wrong in (b"\xf0\x9f\x98", b"\xff", b"\xed\xa0\x80"):
            with pytest.raises(PayloadError, match="not UTF-8"):
                usage(start + wrong + b'", "items": []}')
        assert usage(start + "\N{GRINNING FACE}".encode() + b'", "items": []}').items == ()
    with pytest.raises(PayloadError, match="not UTF-8"):
        usage(b'{"items": []} \xf0\x9f')


def test_the_published_answer_gives_its_five_rows() -> None:
    page = usage(published("usage"))
    assert [(item.workload_name, item.service_name) for item in page.items] == [
        ("Microsoft Dynamics CRM", "crm"),
        ("SharePoint", "crm"),
        ("Exchange", "o365"),
        ("SharePoint", "o365"),
        ("Skype For Business", "o365"),
    ]
    assert {(item.channel, item.prorated_licenses_usage_percent) for item in page.items} == {("reseller", 0.0)}
    assert (page.invalid, page.total) == (0, 5)


def test_the_published_deployment_answer_gives_its_two_rows() -> None:
    page = deployment(published("deployment"))
    assert [(i.service_name, i.prorated_deployment_percent, i.licenses_sold) for i in page.items] == [
        ("crm", 0.0, 343.0),
        ("o365", 1.0, 4464.0),
    ]


@pytest.mark.parametrize("row", [usage_item(), {**usage_item(), "workloadName": 5}])
def test_a_byte_order_mark_changes_nothing(row: dict[str, object]) -> None:
    body = legacy_page(row)
    assert body.startswith(BOM)
    assert usage(body) == usage(body.removeprefix(BOM))


@pytest.mark.parametrize("rows", ["items", "Value", "value"])
@pytest.mark.parametrize("total", ["totalCount", "TotalCount"])
@pytest.mark.parametrize("broken", [(), ("no row",)])
def test_every_spelling_of_rows_and_total_is_read(rows: str, total: str, broken: tuple[str, ...]) -> None:
    page = usage(json.dumps({rows: [usage_item(), *broken], total: 7}))
    assert (len(page.items), page.invalid, page.total) == (1, len(broken), 7)


@pytest.mark.parametrize(
    ("literal", "value"),
    [("5", 5.0), ("5.0", 5.0), ("26.16", 26.16), ('"63"', 63.0), ('"26.16"', 26.16), ("1e2", 100.0)],
)
def test_numbers_come_as_integers_floats_and_strings(literal: str, value: float) -> None:
    assert [item.prorated_licenses_usage_percent for item in percent_of(literal).items] == [value]


@pytest.mark.parametrize("literal", ["true", "[]", "{}", '"many"', '""', '"5 licences"', '"0x10"', f'"{"9" * 5_000}"'])
def test_a_row_whose_number_is_none_counts_as_invalid(literal: str) -> None:
    page = percent_of(literal)
    assert (page.items, page.invalid) == ((), 1)


@pytest.mark.parametrize(
    "literal",
    ["NaN", "Infinity", "-Infinity", "1e400", "9" * 400, "9" * 5_000, '"nan"', '"Infinity"'],
    ids=lambda literal: literal[:12],
)
def test_a_number_that_is_not_finite_never_becomes_a_quantity(literal: str) -> None:
    good = json.dumps(usage_item())
    page = usage(f'{{"items": [{good}, {{"proratedLicensesUsagePercent": {literal}}}]}}')
    assert len(page.items) == 2
    for item in page.items[1:]:
        with pytest.raises(ImpossibleValueError):
            quantity(item.prorated_licenses_usage_percent)


@pytest.mark.parametrize(
    "bad",
    [
        '{"workloadName": 5}',
        '{"channel": ["reseller"]}',
        '{"proratedLicensesUsagePercent": true}',
        '{"processedDateTime": 20170310}',
        '{"proratedLicensesUsagePercent": "many"}',
        "null",
        "3",
        '"row"',
        "[]",
    ],
)
def test_one_bad_row_drops_that_row_only(bad: str) -> None:
    good = json.dumps(usage_item())
    page = usage(f'{{"items": [{good}, {bad}, {good}], "totalCount": 3}}')
    assert (len(page.items), page.invalid, page.total) == (2, 1, 3)


def test_a_lone_surrogate_drops_no_row() -> None:
    good = json.dumps(usage_item())
    page = usage(f'{{"items": [{good}, {{"workloadName": "a\\ud800b"}}]}}')
    assert page.invalid == 0
    assert label(page.items[1].workload_name) == "a\N{REPLACEMENT CHARACTER}b"


def test_unknown_keys_are_ignored_in_rows_and_around_them() -> None:
    row = usage_item(serviceCode="o365", usagePercent="none", nested={"deep": [1, {"er": None}]})
    page = usage(json.dumps({"items": [row], "links": {"self": {"uri": "/x"}}, "@nextLink": None}))
    assert (len(page.items), page.invalid) == (1, 0)


@pytest.mark.parametrize("row", ["{}", '{"channel": null, "proratedLicensesUsagePercent": null}'])
def test_what_a_row_lacks_is_none(row: str) -> None:
    assert usage(f'{{"items": [{row}]}}').items == (UsageItem(),)


@pytest.mark.parametrize(
    "body", ['{"items": []}', '{"items": [], "totalCount": 0}', '{"Value": [], "TotalCount": "0"}']
)
def test_an_answer_without_rows_is_an_answer(body: str) -> None:
    page = usage(body)
    assert (page.items, page.invalid) == ((), 0)


@pytest.mark.parametrize("total", [10**12, -(10**12), "1000000000000", 1e12])
def test_a_total_may_be_anything_up_to_a_million_millions(total: object) -> None:
    assert abs(usage(json.dumps({"items": [], "totalCount": total})).total or 0) == 10**12


def test_a_contradiction_says_that_the_old_data_stays() -> None:
    error = contradiction(line("the totals differ"))
    assert error.message == "the totals differ"
    assert "the last good data is kept" in error.remedy


@pytest.mark.parametrize(
    "text", ["", "  ", "0000-00-00T00:00:00", "1999-13-01", "2100-13-01", "10000-01-01", "-1-01-01"]
)
def test_a_date_that_no_calendar_has_is_none_if_it_is_empty_or_of_a_year_beyond_reason(text: str) -> None:
    assert timestamp(text) is None


def test_no_date_is_recognised_without_a_cache_too() -> None:
    number = os.getpid()  # a mutant is tested in a copy of a process that knows the dates above
    blank = "".join(" \t"[int(digit)] for digit in f"{number:b}")
    for text in (blank, f"0000-13-{number}", f"1999-13-{number}", f"2100-13-{number}"):
        assert timestamp(text) is None


@pytest.mark.parametrize("text", ["2000-13-01", "2099-13-01", "2026-02-30", "no date", "x2100-01-01"])
def test_any_other_date_that_no_calendar_has_is_impossible(text: str) -> None:
    with pytest.raises(ImpossibleValueError):
        timestamp(text)


@pytest.mark.parametrize("total", ['"many"', "null", "true", "[]", "1.5"])
def test_a_null_total_does_not_drop_the_rows(total: str) -> None:
    page = usage(f'{{"items": [{json.dumps(usage_item())}], "totalCount": {total}}}')
    assert (len(page.items), page.total) == (1, None)


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (b"", "empty"),
        (BOM, "empty"),
        (b"null", "not a JSON object"),
        (b"[]", "not a JSON object"),
        (b'"items"', "not a JSON object"),
        (b"{}", "no list of rows"),
        (b'{"items": {}}', "no list of rows"),
        (b'{"items": "none"}', "no list of rows"),
        (b'{"items": null}', "no list of rows"),
        (b'{"items": null, "totalCount": 3}', "no list of rows"),
        (b'{"items": null, "totalCount": 0}', "no list of rows"),
        (b'{"items": null, "totalCount": "0"}', "no list of rows"),
        (b'{"totalCount": 0}', "no list of rows"),
        (b'{"items": [], "totalCount": 1e400}', "total is impossible"),
        (b'{"items": [], "totalCount": -1000000000001}', "total is impossible"),
        (b'{"totalCount": false}', "no list of rows"),
        (published("usage")[:600], "not a JSON object"),
        (published("usage") + b"}", "not a JSON object"),
        (BOM + published("usage"), "not a JSON object"),
        (b"<!DOCTYPE html><html><body>Sign in to the proxy</body></html>", "Sign in to the proxy"),
        (published("usage").decode("utf-8-sig").encode("utf-16"), "not UTF-8"),
        (b'{"items": [{"workloadName": "Z\xfcrich"}]}', "not UTF-8"),
        (b'{"items": [], "region": "Z\xfcrich"}', "not UTF-8"),
        (b"[" * 100_000, "not a JSON object"),
        (b'{"items": [{"nested": ' + b"[" * 100_000, "not a JSON object"),
        (b'{"items": [' + b'{"a":' * 100_000, "not a JSON object"),
    ],
    ids=lambda value: repr(value)[:40],
)
def test_an_invalid_page_is_refused_with_an_explanation(body: bytes, words: str) -> None:
    with pytest.raises(PayloadError, match=words) as refused:
        usage(body)
    assert refused.value.remedy
    assert len(str(refused.value)) < 300


def test_a_refusal_never_shows_what_looks_like_a_token() -> None:
    token = "eyJ0eXAiOiJKV1QiLCJhbGciOiJSUzI1NiIsIng1dCI6ImtXYmth"
    with pytest.raises(PayloadError) as refused:
        usage(f'{{"access_token": "{token}"}}'.encode())
    assert token not in str(refused.value)


@pytest.mark.parametrize("decode", [usage, deployment])
def test_a_long_page_keeps_the_order_of_its_rows(decode: Callable[[bytes], Page[UsageItem | DeploymentItem]]) -> None:
    page = decode(legacy_page(*({"channel": str(number)} for number in range(10_000))))
    assert [item.channel for item in page.items] == [str(number) for number in range(10_000)]


@pytest.mark.parametrize(
    ("written", "seconds"),
    [
        ("2017-03-10T00:00:00+00:00", 1489104000.0),
        ("2017-03-10T00:00:00Z", 1489104000.0),
        ("2017-03-10T00:00:00", 1489104000.0),
        ("2017-03-10T01:30:00+01:30", 1489104000.0),
        ("2017-03-14T03:25:16.36+00:00", 1489461916.36),
        ("2017-03-14T03:25:16.36Z", 1489461916.36),
        ("2017-03-14T03:25:16.3612345Z", 1489461916.361234),
        ("2017-03-14T03:25:16.3612345", 1489461916.361234),
        ("2000-01-01T00:00:00Z", 946684800.0),
    ],
)
def test_every_form_of_date_on_record_is_read(written: str, seconds: float) -> None:
    assert timestamp(written) == pytest.approx(seconds, abs=1e-6)


def test_a_date_without_an_offset_is_utc_whatever_the_local_time_zone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TZ", "America/New_York")
    time.tzset()
    try:
        assert timestamp("2017-03-10T06:00:00") == 1489125600.0
    finally:
        monkeypatch.undo()
        time.tzset()


@pytest.mark.parametrize(
    "written",
    ["yesterday", "1489104000", "2026-13-01T00:00:00Z", "\ud800", "2" * 41, "01/31/2026", "/Date(1489104000000)/"],
)
def test_what_is_no_date_is_refused(written: str) -> None:
    with pytest.raises(ImpossibleValueError):
        timestamp(written)


@pytest.mark.parametrize(
    "written",
    [
        "",
        " ",
        "0001-01-01T00:00:00",
        "0001-01-01T00:00:00Z",
        "0001-01-01T00:00:00+23:59",
        "0000-00-00T00:00:00",
        "1999-12-31T23:59:59Z",
        "2100-01-01T00:00:00Z",
        "9999-12-31T23:59:59.9999999",
        "9999-12-31T23:59:59-23:59",
        "12026-01-01T00:00:00Z",
        "01/01/0001 00:00:00",
        "1/1/0001 12:00:00 AM",
        "01.01.0001",
        "12/31/9999 11:59:59 PM",
        "/Date(-62135596800000)/",
        "/Date(-62135596800000+0000)/",
        "/Date(253402300799999)/",
    ],
)
def test_no_date_and_one_beyond_reason_are_none(written: str) -> None:
    assert timestamp(written) is None


def test_a_missing_date_is_none() -> None:
    assert timestamp(None) is None


@pytest.mark.parametrize("value", [None, "", "x" * 1_001])
def test_a_missing_or_endless_label_is_refused(value: str | None) -> None:
    with pytest.raises(ImpossibleValueError):
        label(value)


@pytest.mark.parametrize("value", ["o365", " ", "a\nb", "a\0b", 'a"b\\', "概要", "\U0001f600", "x" * 1_000])
def test_a_label_is_the_api_s_text_unchanged(value: str) -> None:
    assert label(value) == value


@pytest.mark.parametrize(
    ("value", "shown"),
    [("\ud800", "�"), ("\udc00x", "�x"), ("a\ud800", "a�"), ("\udc00\ud800", "��"), ("\ud83d\ude00", "\U0001f600")],
)
def test_lone_surrogates_become_replacement_characters(value: str, shown: str) -> None:
    assert label(value) == shown


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf, -0.001, 100.1])
def test_an_impossible_quantity_is_refused(value: float) -> None:
    with pytest.raises(ImpossibleValueError):
        quantity(value, maximum=100.0)


@pytest.mark.parametrize("value", [0.0, 0.5, 100.0, None])
def test_a_possible_quantity_stays_what_it_is(value: float | None) -> None:
    assert quantity(value, maximum=100.0) == value


def test_deployment_counts_come_as_integers_floats_and_strings() -> None:
    page = deployment(legacy_page(*(deployment_item(licensesSold=n) for n in (343, 206.0, "63"))))
    assert [item.licenses_sold for item in page.items] == [343.0, 206.0, 63.0]


@pytest.mark.parametrize("name", ["@nextLink", "nextLink", "NextLink"])
@pytest.mark.parametrize("broken", [(), ("no row",)])
def test_every_spelling_of_the_link_to_the_next_page_is_read(name: str, broken: tuple[str, ...]) -> None:
    assert usage(json.dumps({"items": [usage_item(), *broken], name: "/v1/next"})).next_link == "/v1/next"


@pytest.mark.parametrize("broken", [(), ("no row",)])
def test_without_a_link_the_page_is_the_last(broken: tuple[str, ...]) -> None:
    for link in ({}, {"nextLink": None}, {"nextLink": ""}):
        assert usage(json.dumps({"items": [usage_item(), *broken], **link})).next_link == ""


@pytest.mark.parametrize(
    "link", [{"nextLink": {"uri": "/v1/next"}}, {"links": {"next": {"href": "/v1/next"}}}, {"links": {"next": 1}}]
)
def test_a_link_that_is_not_text_makes_the_page_unusable(link: dict[str, object]) -> None:
    with pytest.raises(PayloadError, match="link") as refused:
        usage(json.dumps({"items": [usage_item()], **link}))
    assert "api_url" in refused.value.remedy


@pytest.mark.parametrize("link", [{"uri": "/v1/next", "method": "GET", "headers": []}, "/v1/next"])
@pytest.mark.parametrize("broken", [(), ("no row",)])
def test_a_link_of_partner_center_s_collections_is_read(link: object, broken: tuple[str, ...]) -> None:
    page = usage(json.dumps({"items": [usage_item(), *broken], "links": {"self": {"uri": "/x"}, "next": link}}))
    assert page.next_link == "/v1/next"


@pytest.mark.parametrize("links", [None, [], {}, {"self": {"uri": "/x"}}, {"next": None}, {"next": {"uri": None}}])
def test_a_collection_whose_links_have_no_next_one_is_the_last(links: object) -> None:
    assert usage(json.dumps({"items": [usage_item()], "links": links})).next_link == ""


@pytest.mark.parametrize("written", ['"7"', "7.0", "7"])
@pytest.mark.parametrize("broken", [(), ("no row",)])
def test_a_total_is_the_same_number_whatever_its_type_and_the_rows_are(written: str, broken: tuple[str, ...]) -> None:
    assert usage(f'{{"items": {json.dumps([usage_item(), *broken])}, "totalCount": {written}}}').total == 7


def test_of_several_places_for_rows_and_total_the_first_that_is_given_counts() -> None:
    first, second = usage_item(channel="first"), usage_item(channel="second")
    for broken in ((), ("no row",)):
        page = usage(json.dumps({"Value": [first, *broken], "value": [second], "totalCount": 1, "TotalCount": 2}))
        assert ([item.channel for item in page.items], page.total) == (["first"], 1)


def test_numbers_in_a_page_with_a_bad_row_come_as_strings_too() -> None:
    rows = [usage_item(proratedLicensesUsagePercent=value) for value in ("63", 26)]
    page = usage(json.dumps({"items": [*rows, "no row"]}))
    assert [item.prorated_licenses_usage_percent for item in page.items] == [63.0, 26.0]


def test_a_page_without_a_usable_row_names_how_many_it_has_and_asks_for_a_report() -> None:
    error = no_usable_rows(17)
    assert "17 rows" in error.message
    assert "report" in error.remedy
