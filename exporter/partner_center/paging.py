"""The pages of one commercial answer, one after the other, and whether all of it came.

learn.microsoft.com/partner-center/developer/get-licenses-usage-information: `top` (at most 10,000), `skip`,
`filter`, `groupby`; the answer's `@nextLink` leads on and `TotalCount` says how many rows there are. Sister
APIs give relative links, and what paging does while the data change is not published: so nothing is
believed that doesn't add up.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date
from typing import TypeVar
from urllib.parse import quote, urlencode, urljoin, urlsplit

from exporter.errors import PayloadError
from exporter.partner_center.client import ApiPoll
from exporter.partner_center.wire import Page, PageDecoder

T = TypeVar("T")

MOST_ROWS_A_PAGE = 10_000
# A million rows in pages of two hundred; whatever goes on longer goes on for ever.
MOST_PAGES = 5_000
_REMEDY = "nothing to do: the next poll tries again, and the last good data stay; where it lasts, report it"


@dataclass(frozen=True, slots=True)
class Query:
    """What is asked: fields to group by (the server adds up over the others), and a filter in its words.

    `processed_on` None is the newest day.
    """

    path: str
    groupby: tuple[str, ...]
    filter: str = ""
    processed_on: date | None = None

    def target(self, skip: int) -> str:
        """Return the path and query of the page that begins after `skip` rows."""
        given = {
            "groupby": ",".join(self.groupby),
            "filter": self.filter,
            "processedDateTime": self.processed_on.isoformat() if self.processed_on else "",
            "top": MOST_ROWS_A_PAGE,
            "skip": skip,
        }
        wanted = {name: value for name, value in given.items() if value != ""}
        return f"{self.path}?{urlencode(wanted, safe=',', quote_via=quote)}"


@dataclass(frozen=True, slots=True)
class NewRows(Page[T]):
    """A page without the rows that the page before had already; `repeated` counts these."""

    repeated: int = 0


def pages(poll: ApiPoll, query: Query, decoder: PageDecoder[T]) -> Iterator[NewRows[T]]:
    """Yield every page once, decoded; raises PollError, PayloadError where the rows are not all there.

    The last page is checked before it is yielded, but what came before is the caller's to forget.
    """
    before: set[T] = set()
    asked: set[str] = set()
    target, received, total = query.target(0), 0, None
    for _ in range(MOST_PAGES):
        _refuse_loop(target, asked)
        whole = decoder.decode(poll.get(target))
        now = set(whole.items)
        page = _without_repeats(whole, before & now)
        before = now
        received += len(page.items) + page.invalid
        total = page.total if page.total is not None else total
        more = bool(page.next_link) or (total is not None and received < total)
        _check(page, received, total, more=more)
        yield page
        if not more:
            return
        target = _following(target, page.next_link) if page.next_link else query.target(received)
    raise PayloadError(f"the answer goes on after {MOST_PAGES:,} pages", remedy=_REMEDY)


def _refuse_loop(target: str, asked: set[str]) -> None:
    if target in asked:
        raise PayloadError("the links between the pages lead in a circle", remedy=_REMEDY)
    asked.add(target)


def _without_repeats(page: Page[T], repeats: set[T]) -> NewRows[T]:
    """Leave out what the page before ended with: rows move over a page's edge while the data change."""
    items = page.items
    if repeats:
        items = tuple(item for item in items if item not in repeats)
    repeated = len(page.items) - len(items)
    return NewRows(items, page.invalid, page.total, page.next_link, repeated)


def _check(page: NewRows[T], received: int, total: int | None, *, more: bool) -> None:
    """Raise PayloadError where the page brings nothing but promises, or the rows don't match the total."""
    if more and not page.items and not page.invalid:
        raise PayloadError(
            f"a page brings no new rows, but says that there are more after {received:,}", remedy=_REMEDY
        )
    if total is not None and (received > total or (received < total and not more)):
        raise PayloadError(f"{received:,} rows came of an answer that counts {total:,}", remedy=_REMEDY)


def _following(target: str, link: str) -> str:
    """Return where a next link leads: whole and rooted ones are for the client, which knows its origin.

    A relative one may begin with the path's own last part, whose slash at the end it doesn't count.
    """
    path = urlsplit(target).path
    try:
        first = urlsplit(link).path.split("/")[0]
        if urlsplit(link).scheme or link.startswith("/"):
            return link
        if first and path.rstrip("/").endswith("/" + first):
            target = target.replace(path, path.rstrip("/"), 1)
        return urljoin(target, link)
    except ValueError as error:
        raise PayloadError("the link to the next page is no address", remedy=_REMEDY) from error
