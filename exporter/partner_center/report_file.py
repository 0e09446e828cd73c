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

from exporter.errors import RETRIED, Exchange, PayloadError, PollError, Rejected, Unavailable
from exporter.messages import Line, line
from exporter.partner_center.client import ApiPoll
from exporter.partner_center.error_responses import OK
from exporter.partner_center.insights import Item, folded
from exporter.redaction import Secret
from exporter.upstream.decoding import decoded

_TIMEOUT_SECONDS = 300.0
# Ten thousand customers with ten workloads in three months take 40 MB.
_MAX_BYTES = 1024**3
_MAX_LINE = 1024**2
_GZIP = b"\x1f\x8b"
_MIN_SECRET = 8
_REMEDY = line("{}; if it persists, report it: a part of a file is never shown", RETRIED)
_NOT_ALLOWED = line("if Microsoft has its files there now, add the host to `insights_file_hosts` of this source")
_EXPIRED = line("{}: it asks for a new link, as each is valid for a while only", RETRIED)


def read_file(poll: ApiPoll, link: Secret, hosts: Sequence[str], take: Callable[[Iterator[Item]], None]) -> None:
    """Let `take` have the rows of the file behind a link, one by one, by folded column name; raises PollError.

    `hosts` are those that a link may lead to, with `*` for a part of the name.
    """
    url = _checked(link, hosts, poll)
    redactor = poll.redactor_with(*_secrets_in(url))
    exchange = Exchange(line("report file"), None, poll.correlation_id)

    def note_progress(pieces: Iterator[bytes]) -> Iterator[bytes]:
        for piece in pieces:
            poll.progress_at = poll.client.clock.awake()
            yield piece

    try:
        with poll.observed() as note:
            reply = poll.client.transport.waiting(_TIMEOUT_SECONDS).download(
                url, max_bytes=_MAX_BYTES, redactor=redactor, take=lambda pieces: take(rows(note_progress(pieces)))
            )
            note(reply.status)
    except PollError as error:
        raise error.replace(exchange=exchange) from error
    if reply.status != OK:
        message = line("{} returned {} for the report's file", redactor.quote_host(url.host), reply.status)
        if reply.status >= HTTPStatus.INTERNAL_SERVER_ERROR:
            raise Unavailable(message, remedy=RETRIED, exchange=exchange)
        raise Rejected(message, remedy=_EXPIRED, exchange=exchange)


def _checked(link: Secret, hosts: Sequence[str], poll: ApiPoll) -> httpx.URL:
    """Return the link as a URL; raises Rejected unless it leads to an allowed host with TLS."""
    try:
        url = httpx.URL(link.reveal())
    except (httpx.InvalidURL, ValueError) as error:
        raise Rejected(line("the link to the report's file is not a valid URL"), remedy=_REMEDY) from error
    if url.scheme != "https" or url.userinfo or not any(_allows(host, url) for host in hosts):
        message = line("the link to the report's file leads to a host that is not allowed: {}", _host(url, poll))
        raise Rejected(message, remedy=_NOT_ALLOWED)
    return url


def _host(url: httpx.URL, poll: ApiPoll) -> Line:
    return poll.redactor.quote_host(f"{url.scheme}://{url.host}" if url.scheme != "https" else url.host)


def _allows(pattern: str, url: httpx.URL) -> bool:
    host, _, port = pattern.lower().partition(":")
    # A star stands for a part of the name, not for a dot at its end.
    return fnmatchcase(url.host.lower(), host) and port in ("", str(url.port or 443))


def _secrets_in(url: httpx.URL) -> Iterator[Secret]:
    """Yield what must not be shown: the path, and what the query says in either spelling."""
    raw = url.raw_path.decode("ascii", "replace")
    values = [value for _, value in parse_qsl(url.query.decode("ascii", "replace"))]
    written = [pair.partition("=")[2] for pair in raw.partition("?")[2].split("&")]
    for text in (raw, *values, *written):
        if len(text) >= _MIN_SECRET:
            yield Secret(text)


def rows(pieces: Iterable[bytes]) -> Iterator[Item]:
    """Yield each row of a file by folded column name; raises PayloadError where it is no such file, or not whole."""
    lines = _lines(_text(_plain(iter(pieces))))
    first = next(lines, "")
    columns = [folded(name) for name in next(csv.reader([first], delimiter=_delimiter(first)), [])]
    if not any(columns):
        raise PayloadError(line("the report's file is empty"), remedy=_REMEDY)
    try:
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
