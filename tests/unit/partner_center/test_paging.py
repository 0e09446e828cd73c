"""Pages of a commercial answer: all of it, once, or an error."""

from collections.abc import Mapping
from typing import Any

import pytest

from exporter.errors import PayloadError, Rejected
from exporter.partner_center.paging import pages
from exporter.partner_center.wire import CommercialUsageItem, PageDecoder
from tests.fixtures import commercial_page, commercial_usage_item
from tests.fixtures.api import answering_each, answering_in_turn

PATH = "/v1/analytics/commercial/usage/license/"
OPTIONS = {"groupby": "workloadName,serviceCode"}
DECODER = PageDecoder(CommercialUsageItem)


def row(name: str, **changes: object) -> dict[str, object]:
    return commercial_usage_item(workloadName=name, **changes)


def endless(name: str, number: int) -> bytes:
    """Return a page that gives no total and always leads on."""
    changes: dict[str, Any] = {"TotalCount": None, "@nextLink": f"?skip={number}"}
    return commercial_page(row(name), **changes)


def read(*bodies: bytes, options: Mapping[str, str] = OPTIONS) -> tuple[list[str | None], list[str], int]:
    """Return the workloads of all rows, what was asked behind the host, and how many rows were repeated."""
    poll, asked = answering_in_turn(*bodies)
    got = list(pages(poll, DECODER, path=PATH, options=options))
    names = [item.workload_name for page in got for item in page.items]
    return names, [str(url.raw_path, "ascii") for url in asked], sum(page.repeated for page in got)


def test_one_page_is_asked_for_with_the_groups_and_the_filter() -> None:
    options = {"groupby": "workloadName,channel", "filter": "channel eq 'reseller'", "processedDateTime": ""}
    names, asked, _ = read(commercial_page(row("a")), options=options)
    assert names == ["a"]
    assert asked == [f"{PATH}?groupby=workloadName,channel&filter=channel%20eq%20%27reseller%27&top=10000&skip=0"]


@pytest.mark.parametrize("key", ["@nextLink", "nextLink", "NextLink"])
@pytest.mark.parametrize(
    ("link", "path"),
    [
        ("?skip=1", f"{PATH}?skip=1"),
        ("license?skip=1", "/v1/analytics/commercial/usage/license?skip=1"),
        ("license/?skip=1", f"{PATH}?skip=1"),
        (f"{PATH}?skip=1", f"{PATH}?skip=1"),
        (f"https://api.example{PATH}?skip=1", f"{PATH}?skip=1"),
    ],
)
def test_next_links_are_followed_in_every_form(key: str, link: str, path: str) -> None:
    first = commercial_page(row("a"), total=2, **{key: link})
    names, asked, _ = read(first, commercial_page(row("b"), total=2))
    assert names == ["a", "b"]
    assert asked[1] == path


def test_without_a_link_pages_are_requested_until_the_total_is_reached() -> None:
    names, asked, _ = read(commercial_page(row("a"), row("b"), total=3), commercial_page(row("c"), total=3))
    assert names == ["a", "b", "c"]
    assert asked[1].endswith("&top=10000&skip=2")


@pytest.mark.parametrize(
    "link", ["https://elsewhere.example/v1/x", "//elsewhere.example/v1/x", "http://api.example/v1/x"]
)
def test_a_link_to_another_origin_is_not_followed(link: str) -> None:
    with pytest.raises(Rejected):
        read(commercial_page(row("a"), total=2, **{"@nextLink": link}))


def test_a_link_that_is_not_text_is_an_error() -> None:
    with pytest.raises(PayloadError, match="not a string"):
        read(commercial_page(row("a"), total=2, **{"@nextLink": 5}))


def test_a_link_may_be_long_but_not_endless() -> None:
    def last(link: str) -> bytes:
        changes: dict[str, Any] = {"TotalCount": None, "@nextLink": link}
        return commercial_page(row("a"), **changes)

    link = "?skip=1&token=".ljust(8_192, "x")
    names, asked, _ = read(last(link), commercial_page(row("b"), total=2))
    assert (names, asked[1]) == (["a", "b"], PATH + link)
    for end in ("x", "\N{GRINNING FACE}", "x" * 4_000_000):
        with pytest.raises(PayloadError, match="longer than 8,192 characters"):
            read(last(link + end))


def test_links_in_a_circle_are_an_error() -> None:
    bodies = [
        commercial_page(row(name), total=None, TotalCount=None, **{"@nextLink": "?skip=1"}) for name in ("a", "b", "c")
    ]
    with pytest.raises(PayloadError, match="form a loop"):
        read(*bodies)


def test_a_page_without_rows_that_promises_more_is_an_error() -> None:
    with pytest.raises(PayloadError, match="no new rows"):
        read(commercial_page(total=5))


def test_the_same_page_over_and_over_is_an_error() -> None:
    numbers = iter(range(10_000))
    poll = answering_each(lambda _: endless("a", next(numbers)))
    with pytest.raises(PayloadError, match="no new rows"):
        list(pages(poll, DECODER, path=PATH, options=OPTIONS))


def test_paging_without_end_is_cut_off() -> None:
    bodies = (endless(f"w{number}", number) for number in range(10_000))
    poll = answering_each(lambda _: next(bodies))
    with pytest.raises(PayloadError, match="5,000 pages"):
        list(pages(poll, DECODER, path=PATH, options=OPTIONS))


def test_rows_that_stand_on_both_sides_of_a_pages_edge_count_once() -> None:
    names, _, repeated = read(
        commercial_page(row("a"), row("b"), total=3, **{"@nextLink": "?skip=2"}),
        commercial_page(row("b"), row("c"), total=3),
    )
    assert (names, repeated) == (["a", "b", "c"], 1)


def test_rows_that_differ_in_their_customer_only_are_no_repeats() -> None:
    names, _, repeated = read(
        commercial_page(row("a"), total=2, **{"@nextLink": "?skip=1"}),
        commercial_page(row("a", customerTenantId="B2"), total=2),
    )
    assert (names, repeated) == (["a", "a"], 0)


@pytest.mark.parametrize("total", [0, 1, 3])
def test_a_total_that_does_not_match_what_came_is_an_error(total: int) -> None:
    with pytest.raises(PayloadError, match=r"but the total is|no new rows"):
        read(commercial_page(row("a"), row("b"), total=total), commercial_page(total=total))


def test_the_newest_total_counts() -> None:
    names, _, _ = read(
        commercial_page(row("a"), total=3, **{"@nextLink": "?skip=1"}), commercial_page(row("b"), total=2)
    )
    assert names == ["a", "b"]


def test_an_answer_without_a_total_is_taken_as_it_is() -> None:
    assert read(commercial_page(row("a"), TotalCount=None))[0] == ["a"]


def test_rows_that_cannot_be_read_count_towards_the_total() -> None:
    assert read(commercial_page(row("a"), 7, total=2))[0] == ["a"]
