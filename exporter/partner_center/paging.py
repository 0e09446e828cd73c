"""The pages of one commercial response, in order, and whether all of them were received.

learn.microsoft.com/partner-center/developer/get-licenses-usage-information: `top` (at most 10,000), `skip`,
`filter`, `groupby`; the response's `@nextLink` leads to the next page, and `TotalCount` counts all rows.
Related APIs return relative links, and what paging does while the data changes is not documented: so the rows
must add up.
"""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import TypeVar
from urllib.parse import quote, urlencode, urljoin, urlsplit

from exporter.messages import line
from exporter.partner_center.client import ApiPoll
from exporter.partner_center.wire import Page, PageDecoder, contradiction

T = TypeVar("T")

MAX_ROWS_PER_PAGE = 10_000
# A million rows in pages of two hundred; anything longer never ends.
MAX_PAGES = 5_000
MAX_LINK = 8_192


def pages(poll: ApiPoll, decoder: PageDecoder[T], *, path: str, options: Mapping[str, str]) -> Iterator[Page[T]]:
    """Yield every page once, decoded; raises PollError, PayloadError if rows are missing.

    The last page is checked before it is yielded; if it fails, the caller must discard the earlier ones.
    """
    previous: set[T] = set()
    requested: set[int] = set()  # hashes, as links may be long
    target, received, total = _page(path, options, 0), 0, None
    for _ in range(MAX_PAGES):
        if hash(target) in requested:
            raise contradiction(line("the links between pages form a loop"))
        requested.add(hash(target))
        page = decoder.decode(poll.get(target), poll.redactor)
        items = set(page.items)
        if repeats := previous & items:  # rows move from page to page while the data changes
            fresh = tuple(item for item in page.items if item not in repeats)
            page = replace(page, items=fresh, repeated=len(page.items) - len(fresh))
        previous = items
        received += len(page.items) + page.invalid
        total = page.total if page.total is not None else total
        more = bool(page.next_link) or (total is not None and received < total)
        _check(page, received, total, more=more)
        yield page
        if not more:
            return
        target = _following(target, page.next_link) if page.next_link else _page(path, options, received)
    raise contradiction(line("the response does not end after {:,} pages", MAX_PAGES))


def _page(path: str, options: Mapping[str, str], skip: int) -> str:
    """Return the path and query of the page that begins after `skip` rows; an option without a value is left out."""
    given = {**options, "top": str(MAX_ROWS_PER_PAGE), "skip": str(skip)}
    return f"{path}?{urlencode({name: value for name, value in given.items() if value}, safe=',', quote_via=quote)}"


def _check(page: Page[T], received: int, total: int | None, *, more: bool) -> None:
    """Raise PayloadError if the page has no rows but promises more, or the rows don't match the total."""
    if more and not page.items and not page.invalid:
        raise contradiction(line("a page has no new rows, but says that there are more after {:,}", received))
    if total is not None and (received > total or (received < total and not more)):
        raise contradiction(line("received {:,} rows, but the total is {:,}", received, total))


def _following(target: str, link: str) -> str:
    """Return where a next link leads; one with an origin or a root is for the client, which knows its origin.

    A relative one may begin with the path's own last part, ignoring the slash at its end.
    """
    if len(link) > MAX_LINK:  # before a cache keeps it
        raise contradiction(line("the link to the next page is longer than {:,} characters", MAX_LINK))
    path = urlsplit(target).path
    try:
        first = urlsplit(link).path.split("/")[0]
        if urlsplit(link).scheme or link.startswith("/"):
            return link
        if first and path.rstrip("/").endswith("/" + first):
            target = target.replace(path, path.rstrip("/"), 1)
        return urljoin(target, link)
    except ValueError as error:
        raise contradiction(line("the link to the next page is not a valid URL")) from error
