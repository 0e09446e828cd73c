"""The file of a report: fetched from another origin by a link that is a secret, and read row by row.

learn.microsoft.com/partner-center/insights/insights-programmatic-analytics-api-get-report-executions. The link carries
the permission to read the file, so that it is sent without the token, and is shown nowhere. A file is CSV or TSV with
a header line, with or without a byte-order mark, compressed whether or not a header says so.
"""

import codecs
import csv
from collections.abc import Callable, Iterable, Iterator, Sequence
from fnmatch import fnmatchcase
from http import HTTPStatus
from itertools import chain
from urllib.parse import parse_qsl

import httpx

from exporter.errors import RETRIED, Exchange, PayloadError, PollError, Rejected, Throttled, Unavailable
from exporter.messages import line
from exporter.partner_center.client import ApiPoll
from exporter.partner_center.error_responses import OK
from exporter.partner_center.insights import Item, folded
from exporter.redaction import Redactor, Secret
from exporter.upstream.decoding import decoded
from exporter.upstream.retry_after import retry_after_seconds

_TIMEOUT_SECONDS = 300.0
# Ten thousand customers with ten workloads in three months take 40 MB.
_MAX_BYTES = 1024**3
_MAX_LINE = 1024**2
_GZIP = b"\x1f\x8b"
_MIN_SECRET = 8
# A signature is longer than the ids, versions and times beside it, which labels may have too.
_MIN_SIGNATURE = 40
_REMEDY = line("{}; if it persists, report it: a part of a file is never shown", RETRIED)
_NOT_ALLOWED = line("if Microsoft has its files there now, add the host to `insights_file_hosts` of this source")
_EXPIRED = line("{}: it asks for a new link, as each is valid for a while only", RETRIED)


Check = Callable[[Sequence[str]], None]
"""Raises PayloadError unless a file with these columns, by folded name, is the one that was asked for."""


def read_file(
    poll: ApiPoll, link: Secret, hosts: Sequence[str], check: Check, take: Callable[[Iterator[Item]], None]
) -> None:
    """Let `take` have the rows of the file behind a link, one by one, by folded column name; raises PollError.

    `hosts` are those that a link may lead to, with `*` for a part of the name.
    """
    url, redactor = _checked(link, hosts, poll)
    exchange = Exchange(line("report file"), None, poll.correlation_id)

    def note_progress(pieces: Iterator[bytes]) -> Iterator[bytes]:
        for piece in pieces:
            poll.progress_at = poll.client.clock.awake()
            yield piece

    try:
        with poll.observed() as note:
            reply = poll.client.transport.waiting(_TIMEOUT_SECONDS).download(
                url,
                max_bytes=_MAX_BYTES,
                redactor=redactor,
                take=lambda pieces: take(rows(note_progress(pieces), check)),
            )
            note(reply.status)
    except PollError as error:
        raise error.replace(exchange=exchange) from error
    if reply.status != OK:
        message = line("{} returned {} for the report's file", redactor.quote_host(url.host), reply.status)
        wait = retry_after_seconds(reply.headers, reply.received_at)
        if reply.status == HTTPStatus.TOO_MANY_REQUESTS:
            raise Throttled(message, remedy=RETRIED, exchange=exchange, retry_after_seconds=wait)
        if reply.status >= HTTPStatus.INTERNAL_SERVER_ERROR:
            raise Unavailable(message, remedy=RETRIED, exchange=exchange, retry_after_seconds=wait)
        raise Rejected(message, remedy=_EXPIRED, exchange=exchange)


def signatures_in(link: Secret) -> Iterator[Secret]:
    """Yield what of a link no label may repeat, in either spelling."""
    for text in _values(link.reveal().partition("?")[2]):
        if len(text) >= _MIN_SIGNATURE:
            yield Secret(text)


def _checked(link: Secret, hosts: Sequence[str], poll: ApiPoll) -> tuple[httpx.URL, Redactor]:
    """Return the link as a URL, and what knows its secrets; raises Rejected unless it leads to an allowed host."""
    try:
        url = httpx.URL(link.reveal())
        host = url.host  # ValueError: one that can't be read back from Punycode
    except (httpx.InvalidURL, ValueError) as error:
        raise Rejected(line("the link to the report's file is not a valid URL"), remedy=_REMEDY) from error
    redactor = poll.redactor_with(*_secrets_in(url))
    if url.scheme != "https" or url.userinfo or not any(_allows(pattern, url) for pattern in hosts):
        shown = redactor.quote_host(host if url.scheme == "https" else f"{url.scheme}://{host}")
        message = line("the link to the report's file leads to a host that is not allowed: {}", shown)
        raise Rejected(message, remedy=_NOT_ALLOWED)
    return url, redactor


def _allows(pattern: str, url: httpx.URL) -> bool:
    host, _, port = pattern.lower().partition(":")
    # A star stands for a part of the name, not for a dot at its end.
    return fnmatchcase(url.host.lower(), host) and port in ("", str(url.port or 443))


def _secrets_in(url: httpx.URL) -> Iterator[Secret]:
    """Yield what must not be shown: the path, and what the query says in either spelling."""
    raw = url.raw_path.decode("ascii", "replace")
    for text in (raw, *_values(url.query.decode("ascii", "replace"))):
        if len(text) >= _MIN_SECRET:
            yield Secret(text)


def _values(query: str) -> Iterator[str]:
    """Yield the values of a URL's query, as they are meant and as they are written."""
    yield from (value for _, value in parse_qsl(query))
    yield from (pair.partition("=")[2] for pair in query.split("&"))


def rows(pieces: Iterable[bytes], check: Check) -> Iterator[Item]:
    """Yield each row of a file by folded column name; raises PayloadError where it is no such file, or not whole."""
    lines = _lines(_text(_plain(iter(pieces))))
    first = next(lines, "")
    try:
        columns = [folded(name) for name in next(csv.reader([first], delimiter=_delimiter(first), strict=True), [])]
        if not any(columns):
            raise PayloadError(line("the report's file is empty"), remedy=_REMEDY)
        check(columns)
        for number, row in enumerate(csv.reader(lines, delimiter=_delimiter(first), strict=True), start=2):
            if len(row) != len(columns) and row:
                raise PayloadError(
                    line("row {:,} of the report's file has {} columns of {}", number, len(row), len(columns)),
                    remedy=_REMEDY,
                )
            if row:
                yield dict(zip(columns, row, strict=True))
    except csv.Error as error:
        raise PayloadError(line("the report's file is not CSV, or not whole"), remedy=_REMEDY) from error


def _delimiter(header: str) -> str:
    return "\t" if "\t" in header else ","


def _plain(pieces: Iterator[bytes]) -> Iterator[bytes]:
    """Yield the content, decompressed if it is still compressed."""
    start = b""
    for piece in pieces:
        start += piece
        if len(start) >= len(_GZIP):
            break
    whole = chain([start], pieces)
    return decoded(whole, "gzip") if start.startswith(_GZIP) else whole


def _text(pieces: Iterable[bytes]) -> Iterator[str]:
    decoder = codecs.getincrementaldecoder("utf-8-sig")()
    try:
        for piece in pieces:
            yield decoder.decode(piece)
        yield decoder.decode(b"", final=True)
    except UnicodeDecodeError as error:
        raise PayloadError(line("the report's file is not UTF-8, or not whole"), remedy=_REMEDY) from error


def _lines(pieces: Iterable[str]) -> Iterator[str]:
    """Yield lines with their ends: only a line feed ends one, as other characters may be within a value."""
    rest = ""
    for piece in pieces:
        *whole, rest = (rest + piece).split("\n")
        for one in whole:
            yield one + "\n"
        if len(rest) > _MAX_LINE:
            raise PayloadError(line("a line of the report's file has no end"), remedy=_REMEDY)
    if rest:
        yield rest
