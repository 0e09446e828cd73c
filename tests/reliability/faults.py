"""The fault matrix: what can go wrong, and what the exporter promises then.

The test_matrix_*.py let every row strike, `checks.py` compares all that an operator can see, and `page.py`
writes the rows down for people, as docs/reliability.md.
"""

import time
from dataclasses import replace
from email.utils import formatdate
from typing import Any

from partnercenter_simulator import Fault, InsightsQuirks, Quirks
from tests.fixtures import usage_item
from tests.reliability.promises import ROWS_OF_A_GOOD_ANSWER, Data, Disk, Next, Outcome, Recovery, Row, Section

LONG_SECONDS = 5_000.0
LOGIN = "partnercenter-exporter login --partner contoso"

GOOD = Outcome(data=Data.FRESH, next_poll=Next.INTERVAL, log="poll succeeded", codes={"200": 1}, disk=Disk.ALL)
RETRIED_ONCE = replace(GOOD, codes={"500": 1, "200": 1}, retries=1)


def failed(reason: str, remedy: str, **promises: Any) -> Outcome:
    """Return the promises of a failed poll."""
    return Outcome(reason=reason, remedy=remedy, **promises)


def four_times(outcome: Outcome) -> Outcome:
    """Return the promises where every attempt ends the same and is repeated."""
    return replace(outcome, codes=dict.fromkeys(outcome.codes, 4), retries=3)


def asked(outcome: Outcome, **changes: Any) -> Outcome:
    """Return the promises where the response says Retry-After."""
    return replace(outcome, next_poll=Next.ASKED, **{"asked_seconds": LONG_SECONDS, **changes})


def usage(name: str, description: str, outcome: Outcome, kind: str, /, **parameters: Any) -> Row:
    """Return a row for a fault of the usage endpoint."""
    plan = (Fault(kind=kind, endpoint="usage", **parameters),)
    return Row(name=name, description=description, plan=plan, outcome=outcome)


def status(code: int, description: str, outcome: Outcome, /, *, name: str = "", **parameters: Any) -> Row:
    """Return a row for one status that fails the poll."""
    recovered = replace(outcome, codes={str(code): 1})
    expected = four_times(recovered) if outcome in RETRIED else recovered
    return usage(name or f"{code}", f"{code}: {description}", expected, "status", status=code, **parameters)


TRIED_AGAIN = "wait: the next poll tries again"
NETWORK = "check which server answers at this address, and any firewall or proxy in between"
NAME = "check its spelling in `authority` or `api_url`, and this machine's DNS"
REJECTED = failed("rejected", "check api_url and the source's options")
REDIRECTED = failed("rejected", "redirects are not followed, so that the token goes nowhere else")
NOT_FOUND = failed("not_found", "try `api: commercial` for this source")
UNAVAILABLE = failed("unavailable", TRIED_AGAIN)
THROTTLED = failed("throttled", "the next poll comes as soon as Microsoft allows it")
WAITED_TOO_LONG = failed("timeout", TRIED_AGAIN)
RETRIED = (UNAVAILABLE, THROTTLED, WAITED_TOO_LONG)

STATUSES = Section(
    "HTTP status codes from the API",
    "Other sources and partners are not affected.",
    (
        status(400, "bad request", REJECTED),
        status(
            403, "access denied", failed("forbidden", "check that the account has a partner role in Partner Center")
        ),
        status(
            403,
            "with code 900308, a role is missing",
            failed("forbidden", "give the account a partner role"),
            name="403-role",
            code=900308,
        ),
        status(404, "no such path", NOT_FOUND),
        status(405, "method not allowed", REJECTED),
        status(406, "not acceptable", REJECTED),
        status(408, "request timeout", WAITED_TOO_LONG),
        status(409, "a conflict", REJECTED),
        status(410, "gone", NOT_FOUND),
        status(412, "a precondition failed", REJECTED),
        status(429, "without Retry-After", THROTTLED, body="gateway"),
        status(429, "invalid Retry-After", THROTTLED, name="429-nonsense", retry_after="soon"),
        usage(
            "429-short-once",
            "429: once, Retry-After 20 seconds",
            replace(GOOD, codes={"429": 1, "200": 1}, retries=1),
            "throttled",
            retry_after=20,
            times=1,
        ),
        usage(
            "429-short",
            "429: Retry-After 57 seconds, repeatedly",
            asked(THROTTLED, asked_seconds=57, codes={"429": 2}, retries=1),
            "throttled",
        ),
        usage(
            "429-long",
            "429: Retry-After longer than a poll may wait",
            asked(THROTTLED, codes={"429": 1}),
            "throttled",
            retry_after=LONG_SECONDS,
        ),
        replace(
            usage(
                "429-date",
                "429: Retry-After as a date",
                asked(THROTTLED, codes={"429": 1}),
                "throttled",
                retry_after=formatdate(time.time() + LONG_SECONDS, usegmt=True),
            ),
            setting="dated",
        ),
        usage(
            "403-wait",
            "403 with several waits in Retry-After: the longest holds",
            asked(failed("forbidden", "check that the account has a partner role"), codes={"403": 1}),
            "status",
            status=403,
            retry_after=f"5, {LONG_SECONDS:.0f}, soon",
        ),
        status(500, "internal server error", UNAVAILABLE),
        usage("500-once", "500: once", RETRIED_ONCE, "status", status=500, times=1),
        status(501, "not implemented", UNAVAILABLE),
        status(502, "with a gateway's HTML", UNAVAILABLE, body="html"),
        status(503, "overloaded", UNAVAILABLE),
        usage(
            "503-long",
            "503: Retry-After longer than a poll may wait",
            asked(UNAVAILABLE, codes={"503": 1}),
            "status",
            status=503,
            retry_after=LONG_SECONDS,
        ),
        status(504, "with an empty body", UNAVAILABLE, body="empty"),
        status(300, "multiple choices", REDIRECTED),
        status(304, "not modified", REDIRECTED, body="empty"),
        usage(
            "302",
            "302: to another host",
            replace(REDIRECTED, codes={"302": 1}),
            "redirect",
            location="https://elsewhere.example/v1/",
        ),
        usage(
            "307",
            "307: to another path of the same host",
            replace(REDIRECTED, codes={"307": 1}),
            "redirect",
            status=307,
            location="/v1/elsewhere",
        ),
        usage("204", "204: the data is not ready", four_times(replace(UNAVAILABLE, codes={"204": 1})), "no_content"),
        usage(
            "204-long",
            "204: with a long Retry-After",
            asked(UNAVAILABLE, codes={"204": 1}),
            "no_content",
            retry_after=LONG_SECONDS,
        ),
        status(206, "partial content", UNAVAILABLE),
        usage("103", "103: before the response", GOOD, "interim"),
        usage(
            "101",
            "101: instead of a response",
            four_times(failed("network", NETWORK, codes={"error": 1})),
            "interim",
            status=101,
        ),
    ),
)

UNUSABLE = failed("payload", "check which server answers at api_url", codes={"200": 1})
INCOMPLETE = failed("payload", "the last good data is kept", codes={"200": 1})
NO_ROW_USABLE = failed("payload", "please report it", codes={"200": 1})
# What breaks before the whole response is read counts as a request without a response.
BROKEN_ANSWER = failed("payload", "if it persists, check any proxy in between", codes={"error": 1})
NOT_PACKED = replace(BROKEN_ANSWER, remedy="check which server answers at this address")
TOO_LARGE = replace(BROKEN_ANSWER, remedy="licence data is far smaller")

_ROW = usage_item()


def body(name: str, description: str, kind: str, outcome: Outcome = UNUSABLE, /, **parameters: Any) -> Row:
    """Return a row for a body of the usage endpoint; by default it can't be used."""
    return usage(name, description, outcome, kind, **parameters)


def rows(name: str, description: str, outcome: Outcome, *items: object) -> Row:
    """Return a row for a response with these items."""
    return body(name, description, "rows", outcome, rows=items)


BODIES = Section(
    "Unusable and partly usable response bodies",
    "The log line shows the first characters of what can't be read, never a token.",
    (
        body("html", "an HTML page", "html"),
        body("empty", "an empty body", "empty"),
        body("not-json", "text that is not JSON", "not_json"),
        body("truncated-json", "truncated JSON", "truncated_json"),
        body(
            "truncated", "a connection that ends in the middle of the response", "truncated", four_times(BROKEN_ANSWER)
        ),
        body("root-null", "JSON `null` instead of an object", "wrong_root"),
        body("root-list", "a JSON list instead of an object", "wrong_root", root=[_ROW]),
        body("no-rows-key", "an object without rows", "replace_body", content=b'{"totalCount":3}'),
        body(
            "total-without-rows", "a total of 0 without a list of rows", "replace_body", content=b'{"totalCount":"0"}'
        ),
        body("rows-null", "a total of 0 with `null` rows", "replace_body", content=b'{"items":null,"totalCount":0}'),
        body("total-more", "a total above what came", "envelope", INCOMPLETE, envelope={"totalCount": 25}),
        body(
            "more-pages",
            "a link to a next page, which this API does not have",
            "envelope",
            INCOMPLETE,
            envelope={"links": {"next": {"uri": "/analytics/licenses/usage?skip=24"}}},
        ),
        body("rows-no-list", "rows that are not a list", "replace_body", content=b'{"items":{"a":1}}'),
        body("deep", "JSON nested 100,000 deep", "replace_body", content=b"[" * 100_000),
        body("gzip-bomb", "gzip that expands beyond 16 MiB", "gzip_bomb", TOO_LARGE, megabytes=17),
        body("oversized", "more than 16 MiB", "oversized", TOO_LARGE, megabytes=17),
        body("gzip", "gzip", "coded", GOOD, codings="gzip"),
        body("deflate", "deflate", "coded", GOOD, codings="deflate"),
        body("gzip-chain", "gzip within gzip within gzip: nothing is decompressed", "coded", NOT_PACKED),
        body("coding-unknown", "a content coding that was not asked for", "coded", NOT_PACKED, codings="br"),
        body("cookie", "a cookie: it is neither kept nor sent", "cookie", GOOD),
        body("bad-gzip", "a response that claims to be gzip and is not", "bad_gzip", NOT_PACKED),
        body("utf-16", "UTF-16", "utf16"),
        body("latin-1", "Latin-1", "wrong_charset"),
        body("double-bom", "two byte-order marks", "double_bom"),
        body("no-bom", "no byte-order mark", "no_bom", GOOD),
        rows(
            "row-nan",
            "a row with the value NaN among valid ones",
            replace(GOOD, data=Data.USABLE, rows=1, dropped={"invalid": 1}),
            _ROW,
            usage_item(workloadName="Yammer", proratedLicensesUsagePercent=float("nan")),
        ),
        rows(
            "rows-partly-unusable",
            "rows without a label, with a negative, infinite, absurd or mistyped value, among valid ones",
            replace(GOOD, data=Data.USABLE, rows=2, dropped={"invalid": 8}),
            _ROW,
            usage_item(workloadName="SharePoint", proratedLicensesUsagePercent="63"),
            usage_item(channel=None),
            usage_item(workloadName=""),
            usage_item(proratedLicensesUsagePercent=-1),
            usage_item(proratedLicensesUsagePercent=float("inf")),
            usage_item(proratedLicensesUsagePercent=2_000_000),
            usage_item(proratedLicensesUsagePercent=True),
            usage_item(proratedLicensesUsagePercent="many"),
            "no row at all",
        ),
        rows(
            "rows-endless-date",
            "a date of 1,000 characters",
            replace(GOOD, data=Data.USABLE, rows=1, dropped={"invalid": 1}),
            _ROW,
            usage_item(workloadName="Yammer", processedDateTime="2026-01-01T00:00:00." + "0" * 1_000),
        ),
        rows(
            "rows-no-date",
            "rows without a date, as .NET writes it, with an empty and an impossible one: the ratio is shown",
            replace(GOOD, data=Data.USABLE, rows=3),
            usage_item(processedDateTime="0001-01-01T00:00:00"),
            usage_item(workloadName="Yammer", processedDateTime=""),
            usage_item(workloadName="Teams", processedDateTime="9999-12-31T23:59:59.9999999"),
        ),
        rows(
            "rows-no-value",
            "rows whose value is `null` or missing, among valid ones: they are shown without it",
            replace(GOOD, data=Data.USABLE, rows=3, dropped={"no_value": 2}),
            _ROW,
            usage_item(workloadName="Yammer", proratedLicensesUsagePercent=None),
            {key: value for key, value in usage_item(workloadName="Teams").items() if not key.startswith("prorated")},
        ),
        rows(
            "rows-unreadable-date",
            "a date that is no date",
            replace(GOOD, data=Data.USABLE, rows=1, dropped={"invalid": 1}),
            _ROW,
            usage_item(workloadName="Yammer", processedDateTime="yesterday"),
        ),
        body("rows-too-many", "100,000 rows on one page", "rows", rows=[{}] * 100_000),
        body(
            "values-too-many",
            "two million values that are no rows",
            "replace_body",
            content=b'{"items":[],"other":[' + b"1," * 2_000_000 + b"1]}",
        ),
        rows("rows-all-unusable", "rows of which none is usable", NO_ROW_USABLE, usage_item(channel=None), 5),
        rows(
            "rows-without-values",
            "rows of which none has a value",
            NO_ROW_USABLE,
            usage_item(proratedLicensesUsagePercent=None),
        ),
        rows(
            "rows-duplicate",
            "two rows for one series: the one processed last is shown",
            replace(GOOD, data=Data.USABLE, rows=1, dropped={"duplicate": 1}),
            _ROW,
            usage_item(processedDateTime="2026-01-01T00:00:00Z", proratedLicensesUsagePercent=50),
        ),
        rows(
            "rows-hostile-labels",
            "labels with quotes, line breaks, NUL, lone surrogates, 1,000 characters, and one with 1,001",
            replace(GOOD, data=Data.USABLE, rows=5, dropped={"invalid": 1}),
            usage_item(workloadName='"} 1\n# HELP x y\n'),
            usage_item(workloadName="\\"),
            usage_item(workloadName="\x00\r\t\u2028\u202e"),
            usage_item(workloadName="\ud800x"),
            usage_item(workloadName="w" * 1_000),
            usage_item(workloadName="w" * 1_001),
        ),
        body(
            "rows-empty",
            "a response without rows: valid too",
            "empty_rows",
            replace(GOOD, data=Data.NONE, rows=0, log="poll succeeded without rows"),
        ),
        Row(
            name="rows-over-limit",
            description="more series than `poll.max_series`: always the same ones are shown",
            top={"poll": {"max_series": 5}},
            outcome=replace(GOOD, rows=5, dropped={"limit": ROWS_OF_A_GOOD_ANSWER - 5}),
        ),
    ),
)

NOT_WHOLE = failed("payload", "the last good data is kept")


def paged(name: str, description: str, outcome: Outcome, *plan: Fault, **quirks: Any) -> Row:
    """Return a row for the commercial API, whose response comes in several pages."""
    return Row(name=name, description=description, outcome=outcome, plan=plan, quirks=Quirks(max_rows=7, **quirks))


def made(outcome: Outcome, count: int) -> Outcome:
    """Return the promises where so many pages are asked for, each with success."""
    return replace(outcome, codes={"200": count}, calls=count)


PAGES = Section(
    "The commercial API's pages",
    "A paged response is used in full or not at all.",
    (
        paged("pages", "four pages", made(GOOD, 4)),
        paged("pages-no-link", "pages without a link to the next one", made(GOOD, 4), links="none"),
        paged("pages-mixed", "pages that spell their keys differently", made(GOOD, 4), spelling="mixed"),
        paged(
            "pages-repeat",
            "pages that repeat the last row of the previous one",
            made(replace(GOOD, dropped={"duplicate": 3}), 4),
            repeats_last_row=True,
        ),
        paged(
            "pages-foreign",
            "a link to another host: not followed",
            made(failed("rejected", "the token is sent to api_url only"), 1),
            links="foreign",
        ),
        paged("pages-loop", "links that form a loop", made(NOT_WHOLE, 2), links="loop"),
        paged("pages-endless", "an endless chain of pages", made(NOT_WHOLE, 2), links="endless"),
        paged(
            "pages-of-two-days",
            "data that changes to the next day between two pages",
            made(failed("payload", NOT_WHOLE.remedy), 4),
            turns_at_page=1,
        ),
        paged(
            "pages-of-several-days",
            "three days in every response: only the newest of each service counts",
            made(replace(GOOD, dropped={"duplicate": 2 * ROWS_OF_A_GOOD_ANSWER}), 11),
            days=3,
        ),
        paged("pages-few", "fewer rows than the total", made(NOT_WHOLE, 5), total_is_off_by=1),
        paged("pages-many", "more rows than the total", made(NOT_WHOLE, 4), total_is_off_by=-1),
        paged(
            "pages-503",
            "503 on the second page",
            replace(UNAVAILABLE, codes={"200": 1, "503": 4}, calls=2, retries=3),
            Fault(kind="status", endpoint="usage", status=503, skip=1),
        ),
        paged(
            "pages-503-once",
            "503 on the second page, once",
            replace(made(GOOD, 4), codes={"503": 1, "200": 4}, retries=1),
            Fault(kind="status", endpoint="usage", status=503, skip=1, times=1),
        ),
        paged(
            "pages-truncated",
            "a connection that ends in the middle of the second page",
            replace(BROKEN_ANSWER, codes={"200": 1, "error": 4}, calls=2, retries=3),
            Fault(kind="truncated", endpoint="usage", skip=1),
        ),
        paged(
            "pages-html",
            "an HTML page instead of the second page",
            made(UNUSABLE, 2),
            Fault(kind="html", endpoint="usage", skip=1),
        ),
    ),
)

# The list of data sets, then the sums.
SUMS = replace(GOOD, rows=28, without_ratio=1, codes={"200": 2}, calls=2)
NO_SUMS = failed("payload", "look for a newer version of this exporter", codes={"200": 1})
NO_ROLE = failed("forbidden", "give the account the role Executive report viewer", codes={"403": 1})
NO_SETS = failed("not_found", "give the account the role Executive report viewer", codes={"200": 1})
_SUM = {"Month": "2020-01-01", "WorkloadName": "Teams", "PartnerAttributionType": "PAL", "TotalPaidAvailableUnits": 4}


def insights(name: str, description: str, outcome: Outcome, *plan: Fault, **quirks: Any) -> Row:
    """Return a row for Partner Insights, whose newest month is complete unless a quirk says otherwise."""
    switches = InsightsQuirks(**{"newest_month": "full", **quirks})
    return Row(name=f"insights-{name}", description=description, outcome=outcome, plan=plan, insights=switches)


def catalogue(kind: str, **parameters: Any) -> Fault:
    """Return a fault of the first request."""
    return Fault(kind=kind, endpoint="insights_catalogue", **parameters)


def query(kind: str, **parameters: Any) -> Fault:
    """Return a fault of the second request."""
    return Fault(kind=kind, endpoint="insights_try_query", **parameters)


INSIGHTS = Section(
    "Partner Insights",
    "Each poll lists the data sets, then asks for the sums of each. A month is used in full or not at all, and two are "
    "never added up.",
    (
        insights("sums", "the sums of the newest month", SUMS),
        insights("blank", "the newest month has no rows yet: the one before is shown", SUMS, newest_month="blank"),
        insights(
            "spelling",
            "keys in another case and with blanks, numbers as text, months as in the United States, a byte-order mark",
            SUMS,
            spelling="blanks",
            numbers_as_text=True,
            month_format="us-time",
            bom=True,
        ),
        insights(
            "cut",
            "the response is cut off at 10 rows, that of a month too: asked for without the channel",
            replace(SUMS, data=Data.USABLE, rows=7, without_ratio=0, codes={"200": 4}, calls=4, log="data incomplete"),
            row_limit=10,
        ),
        insights("redacted", "values are withheld", replace(SUMS, log="data incomplete"), data_redacted=True),
        insights(
            "rows-odd",
            "rows with an impossible count, a month that is none, no workload, or no number",
            replace(SUMS, data=Data.USABLE, rows=1, without_ratio=0, dropped={"invalid": 3}),
            query(
                "rows",
                rows=[
                    _SUM | {"TotalMonthlyActiveUsers": "3"},
                    _SUM | {"TotalMonthlyActiveUsers": -3},
                    _SUM | {"TotalMonthlyActiveUsers": 3, "Month": "May"},
                    _SUM | {"TotalMonthlyActiveUsers": 3, "WorkloadName": None},
                ],
            ),
        ),
        insights(
            "no-rows",
            "no rows at all: valid too, and the missing role is named",
            replace(SUMS, data=Data.NONE, rows=0, without_ratio=0, log="poll succeeded without rows"),
            sets_without_rows=["OfficeUsage"],
        ),
        insights("no-set", "the data set is not offered", NO_SETS, missing_sets=["OfficeUsage"]),
        insights(
            "no-column",
            "a column is gone without which rows would count twice",
            NO_SUMS,
            renamed_columns={"OfficeUsage.IsDuplicateRowForPGA": "IsDuplicate"},
        ),
        insights("role", "403: the role is missing", NO_ROLE, role="viewer"),
        insights(
            "role-inside",
            "200 with 403 inside: the role is missing",
            replace(NO_ROLE, codes={"200": 1}),
            role="viewer-inside",
        ),
        insights(
            "401-inside",
            "200 with 401 inside: retried once with a renewed token",
            failed("auth", "give the account the role Executive report viewer", codes={"200": 2}, token_requests=2),
            catalogue("error_inside", status=401),
        ),
        insights(
            "404",
            "404: no such API",
            failed("not_found", "documented for the global cloud only", codes={"404": 1}),
            catalogue("status", status=404),
        ),
        insights(
            "400",
            "400: the query is refused",
            replace(REJECTED, codes={"200": 1, "400": 1}, calls=2),
            query("status", status=400),
        ),
        insights(
            "500-inside",
            "200 with 500 inside: retried",
            replace(UNAVAILABLE, codes={"200": 5}, calls=2, retries=3),
            query("error_inside", status=500),
        ),
        insights(
            "429-long",
            "429: Retry-After longer than a poll may wait",
            asked(THROTTLED, codes={"200": 1, "429": 1}, calls=2),
            query("throttled", retry_after=LONG_SECONDS),
        ),
        insights(
            "limit",
            "X-RateLimit-Remaining is 0: the next request waits a minute",
            SUMS,
            rate_limit=1,
            rate_limit_seconds=60,
        ),
        insights(
            "mfa-once",
            "401: MFA is missing, once: retried with the same token",
            replace(SUMS, codes={"401": 1, "200": 2}),
            query("mfa_required", times=1),
        ),
        insights("pages", "several pages", replace(SUMS, codes={"200": 4}, calls=4), page_rows=30),
        insights(
            "link-loop",
            "a link back to the same page",
            failed("payload", "the last good data is kept", codes={"200": 2}, calls=2),
            page_rows=7,
            links="loop",
        ),
        insights(
            "link-foreign",
            "a link to another host",
            failed("rejected", "the token is sent to api_url only", codes={"200": 1}),
            page_rows=7,
            links="foreign",
        ),
    ),
)

BROKEN = four_times(failed("network", NETWORK, codes={"error": 1}))
NO_API = replace(BROKEN, remedy=NAME, reaches_api=False, recovery=Recovery.CONFIGURATION)
# The sign-in comes first: where nothing gets through, the API isn't even asked.
CUT_OFF = failed("network", NETWORK, token_requests=0, retries=3, disk=Disk.NOTHING_NEW)
NO_SERVER = replace(CUT_OFF, remedy="check the firewall, and host and port in `authority` or `api_url`")
NO_PROXY = replace(CUT_OFF, remedy="check that the proxy runs", recovery=Recovery.CONFIGURATION)
NO_TLS = replace(CUT_OFF, remedy="check which server answers at this address and port")
NO_ANSWER = replace(CUT_OFF, reason="timeout", remedy="poll.timeout sets the limit")
UNTRUSTED = replace(CUT_OFF, remedy="add the CA that issued it to http.ca_file")
EXPIRED = replace(CUT_OFF, remedy="check this machine's clock, which may be fast")
NOT_YET_VALID = replace(CUT_OFF, remedy="check this machine's clock, which may be slow")
ANOTHER_HOST = replace(
    CUT_OFF, remedy="check which server answers at this address: its certificate is for another host name"
)
TOO_SLOW = four_times(failed("timeout", "poll.timeout sets the limit", codes={"error": 1}))


def slow(name: str, description: str, kind: str, seconds: float) -> Row:
    """Return a row for a response that doesn't come in time."""
    return replace(usage(name, description, TOO_SLOW, kind, seconds=seconds), impatient=True)


def connection(kind: str, description: str, outcome: Outcome = NO_TLS) -> Row:
    """Return a row for a fault of every new connection, to Entra ID as to the API."""
    return Row(name=kind.replace("_", "-"), description=description, plan=(Fault(kind=kind),), outcome=outcome)


CONNECTIONS = Section(
    "The network, the proxy and TLS",
    "None of these faults affects the sign-in status: `auth_up` is unchanged.",
    (
        Row(name="dns", description="the API's host name can't be resolved", setting="unknown_api", outcome=NO_API),
        Row(
            name="dns-impossible",
            description="the API's host name is invalid (`api..example`)",
            setting="impossible_api",
            outcome=NO_API,
        ),
        Row(
            name="dns-login",
            description="Entra ID's host name can't be resolved",
            setting="unknown_login",
            outcome=replace(CUT_OFF, remedy=NAME, recovery=Recovery.CONFIGURATION),
        ),
        Row(
            name="first-addresses-dead",
            description="of the addresses of the API's and Entra ID's hosts the first are dead: the living one is used",
            setting="first_addresses_dead",
            outcome=GOOD,
        ),
        Row(
            name="first-address-useless",
            description="of these addresses the first accepts connections and ends them: it is tried last from then on",
            setting="first_address_useless",
            outcome=replace(GOOD, retries=1),
        ),
        Row(
            name="all-addresses-dead",
            description="no address of the API's and Entra ID's hosts answers",
            setting="all_addresses_dead",
            outcome=NO_ANSWER,
            impatient=True,
        ),
        Row(name="refused", description="connections are refused", setting="stopped", outcome=NO_SERVER),
        Row(name="proxy-away", description="the proxy can't be reached", setting="proxy_away", outcome=NO_PROXY),
        Row(
            name="proxy-407",
            description="the proxy requires a password",
            setting="proxy_refuses",
            outcome=replace(
                CUT_OFF,
                remedy="check user and password in http.proxy_url, HTTPS_PROXY or ALL_PROXY",
                recovery=Recovery.CONFIGURATION,
            ),
        ),
        usage("reset", "a reset before the response", BROKEN, "reset"),
        usage("hang-up", "the connection closed before the response", BROKEN, "hang_up"),
        usage("reset-midway", "a reset in the middle of the response", four_times(BROKEN_ANSWER), "reset_midway"),
        usage("garbage", "a response that is not HTTP", BROKEN, "garbage"),
        usage("big-header", "a header of 256 kB", BROKEN, "big_header"),
        slow("slow-first-byte", "no response within `poll.timeout`", "slow_first_byte", 30),
        slow("slow-body", "a response trickled for longer than `poll.timeout`", "slow_body", 0.2),
        slow("header-drip", "an endless, trickled response header", "header_drip", 0.1),
        slow("stall", "a response that stalls halfway", "stall", 30),
        connection("tls_untrusted", "a certificate from an unknown CA", UNTRUSTED),
        connection("tls_expired", "a certificate that has expired", EXPIRED),
        connection("tls_not_yet_valid", "a certificate that is not valid yet", NOT_YET_VALID),
        connection("tls_wrong_name", "a certificate for another host name", ANOTHER_HOST),
        connection("tls_too_old", "a server without TLS 1.2"),
        connection("tls_client_certificate", "a server that requires a client certificate", CUT_OFF),
        connection("plain_http", "a server that speaks plain HTTP on this port"),
        connection("handshake_cut", "a handshake that is cut off"),
        connection("handshake_reset", "a reset in the middle of the handshake"),
        replace(
            connection("handshake_silent", "a connection that is accepted and then stays silent", NO_ANSWER),
            impatient=True,
        ),
    ),
)

SIGN_IN_AGAIN = f"sign in again: {LOGIN}"
NO_GRANT = Outcome(
    reason="auth", auth_up=0, auth_error="invalid_grant", disk=Disk.NOTHING_NEW, recovery=Recovery.SIGN_IN
)
NO_CLIENT = replace(NO_GRANT, auth_error="invalid_client", recovery=Recovery.ITSELF)
NOT_ENTRA = "check which server answers at `authority`"
NO_TOKEN = failed("payload", NOT_ENTRA, disk=Disk.NOTHING_NEW)
NO_ENTRA = replace(NO_TOKEN, reason="unavailable", remedy=TRIED_AGAIN, token_requests=4, retries=3)
ENTRA_THROTTLES = replace(NO_ENTRA, reason="throttled", remedy="the next poll comes as soon as Microsoft allows it")


ENTRA_TOO_SLOW = replace(NO_ENTRA, reason="timeout", remedy="poll.timeout sets the limit")


def entra(code: int, description: str, remedy: str, outcome: Outcome = NO_GRANT) -> Row:
    """Return a row for one class of Entra ID's refusals, by one of its numbers."""
    plan = (Fault(kind="entra_error", endpoint="token", code=code),)
    return Row(
        name=f"aadsts{code}",
        description=f"AADSTS{code}: {description}",
        plan=plan,
        outcome=replace(outcome, remedy=remedy),
    )


def token(name: str, description: str, outcome: Outcome, kind: str, /, **parameters: Any) -> Row:
    """Return a row for a fault of the token endpoint."""
    return Row(
        name=name, description=description, plan=(Fault(kind=kind, endpoint="token", **parameters),), outcome=outcome
    )


def discovery(name: str, description: str, outcome: Outcome, kind: str, /, **parameters: Any) -> Row:
    """Return a row for a fault of Entra ID's metadata, which are read at the first sign-in of a run."""
    plan = (Fault(kind=kind, endpoint="discovery", **parameters),)
    recovered = replace(outcome, token_requests=0)
    return Row(name=name, description=description, plan=plan, outcome=recovered, restarted=True)


NEW_SECRET = "create a new one for the application in Entra ID"
WITH_MFA = replace(NO_GRANT, reason="mfa")
OTHER_WORD = replace(NO_GRANT, auth_error="other")

SIGN_IN = Section(
    "The sign-in at Entra ID",
    "A poll renews the sign-in first, so an invalid refresh token is detected immediately, "
    "even while the last access token is still valid.",
    (
        entra(700082, "the refresh token has expired", SIGN_IN_AGAIN),
        entra(50173, "the refresh token was revoked", SIGN_IN_AGAIN),
        entra(9002313, "a malformed request, most often a corrupt token", SIGN_IN_AGAIN),
        entra(700007, "a refresh token of another application", SIGN_IN_AGAIN),
        entra(70043, "a sign-in frequency policy", "exempt the account from the sign-in frequency policy"),
        entra(
            700084,
            "a refresh token of a single-page redirect",
            "register the redirect URI under the platform Web instead of SPA",
        ),
        entra(50076, "MFA is required", f"with MFA: {LOGIN}", WITH_MFA),
        entra(
            50158,
            "an external challenge is required",
            f"with MFA: {LOGIN}",
            replace(WITH_MFA, auth_error="interaction_required"),
        ),
        entra(53003, "Conditional Access blocks the sign-in", "ask the tenant's administrator"),
        entra(65001, "consent is missing", "grant admin consent"),
        entra(
            500011,
            "the API is unknown in the tenant",
            "grant admin consent",
            replace(NO_GRANT, auth_error="invalid_resource"),
        ),
        entra(7000215, "the client secret is wrong", NEW_SECRET, NO_CLIENT),
        entra(7000222, "the client secret has expired", NEW_SECRET, NO_CLIENT),
        entra(700027, "the certificate is not registered", NEW_SECRET, NO_CLIENT),
        entra(700025, "the application is a public client", "register it as a confidential client", NO_CLIENT),
        entra(
            700016,
            "the application is not in this tenant",
            "check tenant_id, client_id and cloud",
            replace(NO_GRANT, auth_error="unauthorized_client", recovery=Recovery.ITSELF),
        ),
        entra(
            90002,
            "there is no such tenant",
            "check tenant_id, client_id and cloud",
            replace(NO_GRANT, auth_error="invalid_request", recovery=Recovery.ITSELF),
        ),
        entra(50057, "the account is disabled", "fix the account in Entra ID"),
        entra(
            50196,
            "a request loop",
            "stop other programs",
            replace(NO_GRANT, auth_error="invalid_request", recovery=Recovery.ITSELF),
        ),
        entra(99999, "an unknown code", "look this number up"),
        entra(90033, "Entra ID is busy", TRIED_AGAIN, NO_ENTRA),
        entra(90055, "too many requests for the tenant", ENTRA_THROTTLES.remedy, ENTRA_THROTTLES),
        token("token-503", "503", NO_ENTRA, "status", status=503),
        token(
            "token-429-long",
            "429 with a long Retry-After",
            asked(ENTRA_THROTTLES, token_requests=1, retries=0),
            "throttled",
            retry_after=LONG_SECONDS,
        ),
        token("token-html", "an HTML page", NO_TOKEN, "html"),
        token("token-400-html", "400 with an HTML page", NO_TOKEN, "status", status=400, body="html"),
        token(
            "token-400-strange",
            "400 with an `error` that is not an OAuth error code",
            replace(
                NO_GRANT,
                auth_error="other",
                remedy="quote the correlation ID to Microsoft support",
                recovery=Recovery.ITSELF,
            ),
            "replace_body",
            status=400,
            content=b'{"error":"strange"}',
        ),
        token("token-empty", "an empty body", NO_TOKEN, "empty"),
        token("token-null", "JSON `null`", NO_TOKEN, "wrong_root"),
        token(
            "token-error-object",
            "400 with an `error` that is an object, as gateways write it",
            NO_TOKEN,
            "replace_body",
            status=400,
            content=b'{"error":{"code":"BadGateway"}}',
        ),
        token(
            "token-error-lines",
            "400 with an `error` of two lines",
            NO_TOKEN,
            "replace_body",
            status=400,
            content=b'{"error":"invalid_grant\\r\\nX-Header: 1"}',
        ),
        token(
            "token-redirect",
            "a redirect",
            replace(NO_TOKEN, reason="rejected", remedy="check `authority`"),
            "redirect",
            location="https://elsewhere.example/",
        ),
        replace(
            token("token-slow", "no response within `poll.timeout`", ENTRA_TOO_SLOW, "slow_first_byte", seconds=30),
            impatient=True,
        ),
        replace(
            token("token-stall", "a response that stalls halfway", ENTRA_TOO_SLOW, "stall", seconds=30), impatient=True
        ),
        token("token-reset", "a reset", replace(CUT_OFF, token_requests=4), "reset"),
        token(
            "token-truncated",
            "a connection that ends in the middle of the response",
            replace(NO_TOKEN, remedy=BROKEN_ANSWER.remedy, token_requests=4, retries=3),
            "truncated",
        ),
        token("token-missing", "a response without an access token", NO_TOKEN, "token_without_access_token"),
        token(
            "token-unprintable",
            "an access token with characters that are invalid in a header",
            NO_TOKEN,
            "replace_body",
            content=b'{"access_token":"\\u00e9\\n","refresh_token":"x"}',
        ),
        token(
            "token-no-refresh",
            "a response without a refresh token: the old one stays valid",
            replace(GOOD, disk=Disk.DATA),
            "token_without_refresh_token",
        ),
        token("token-bom", "a byte-order mark before the response", GOOD, "token_bom"),
        replace(
            token(
                "token-503-alive",
                "503 while the last access token is still valid: it is kept",
                replace(GOOD, disk=Disk.DATA, token_requests=1),
                "status",
                status=503,
            ),
            token_seconds=86_400,
        ),
        replace(
            entra(70008, "expired, while the last access token is still valid: detected at once", SIGN_IN_AGAIN),
            token_seconds=86_400,
        ),
        discovery("discovery-503", "metadata request: 503", NO_ENTRA, "status", status=503),
        discovery("discovery-html", "metadata request: an HTML page", NO_TOKEN, "html"),
        discovery(
            "discovery-404",
            "metadata request: 404",
            replace(
                NO_GRANT, auth_error="other", remedy="check tenant_id, cloud and authority", recovery=Recovery.ITSELF
            ),
            "status",
            status=404,
        ),
        discovery(
            "discovery-tenant",
            "metadata request: no such tenant",
            replace(
                NO_GRANT,
                auth_error="invalid_request",
                remedy="check tenant_id, client_id and cloud",
                recovery=Recovery.ITSELF,
            ),
            "entra_error",
            code=90002,
        ),
        discovery(
            "discovery-foreign",
            "metadata request: a token endpoint on another host: nothing is sent to it",
            replace(NO_TOKEN, reason="rejected", remedy="set it in `authority`"),
            "replace_body",
            content=b'{"authorization_endpoint":"https://login.example/x","token_endpoint":"https://login.example/x"}',
        ),
        discovery(
            "discovery-empty",
            "metadata request: an empty object",
            replace(NO_GRANT, auth_error="other", remedy="check authority, tenant_id", recovery=Recovery.ITSELF),
            "replace_body",
            content=b"{}",
        ),
    ),
)

ECHO_PLACES = {
    "first_line": "in place of a status line",
    "reason": "in the status line",
    "header": "in place of a header",
    "length": "in Content-Length",
    "chunk": "in place of a chunk",
    "body": "in a page",
    "description": "in the description of an error",
}
_TOKEN_ECHOES = {
    **dict.fromkeys(("first_line", "header", "length"), replace(CUT_OFF, token_requests=4)),
    **dict.fromkeys(("reason", "body"), NO_TOKEN),
    "chunk": replace(NO_TOKEN, remedy=BROKEN_ANSWER.remedy, token_requests=4, retries=3),
    "description": replace(NO_CLIENT, remedy=NEW_SECRET),
}
_FORBIDDEN = failed("forbidden", "check that the account has a partner role in Partner Center", codes={"403": 1})
_API_ECHOES = {
    **dict.fromkeys(("first_line", "header", "length"), BROKEN),
    **dict.fromkeys(("reason", "body", "description"), _FORBIDDEN),
    "chunk": four_times(BROKEN_ANSWER),
}

ECHOES = Section(
    "Responses that repeat the request's secrets",
    "Where a response repeats a secret or a piece of one, however it is spelled, its text is withheld: "
    "only the status, the code and the number are shown.",
    (
        *(
            usage(f"echo-{place}", f"the access token {where}", _API_ECHOES[place], "echo", place=place)
            for place, where in ECHO_PLACES.items()
        ),
        paged(
            "echo-link",
            "the access token in the link to the next page",
            made(failed("rejected", "the token is sent to api_url only"), 1),
            Fault(kind="echo", endpoint="usage", place="link"),
        ),
        *(
            token(
                f"token-echo-{place}",
                f"refresh token and client secret {where}",
                _TOKEN_ECHOES[place],
                "echo",
                place=place,
            )
            for place, where in ECHO_PLACES.items()
        ),
        token(
            "token-gzip-chain",
            "the token response in gzip within gzip",
            replace(NO_TOKEN, remedy="check which server answers at this address"),
            "coded",
            codings="gzip, gzip",
        ),
        discovery(
            "discovery-gzip-chain",
            "the metadata in gzip within gzip",
            replace(NO_TOKEN, remedy="check which server answers at this address"),
            "coded",
            codings="gzip, gzip",
        ),
    ),
)

MFA = failed("mfa", LOGIN, auth_up=0, codes={"401": 2}, recovery=Recovery.SIGN_IN)
UNAUTHORIZED = failed("auth", LOGIN, codes={"401": 2}, token_requests=2)

REFUSALS = Section(
    "The API refuses the sign-in",
    "After a 401, the request is retried once with a renewed token, or with the same one where MFA is missing, which "
    "Microsoft may demand of some requests only.",
    (
        usage("mfa-2026", "MFA is missing (code 900421)", MFA, "mfa_required"),
        usage(
            "mfa-once",
            "MFA is missing (code 900421): once",
            replace(GOOD, codes={"401": 1, "200": 1}),
            "mfa_required",
            times=1,
        ),
        usage("mfa-2020", "MFA is missing (10001)", MFA, "mfa_required_2020"),
        usage("mfa-2019", "MFA is missing (plain text)", MFA, "mfa_required_2019"),
        usage(
            "audience",
            "the token is for another API (code 900420)",
            replace(UNAUTHORIZED, auth_up=0, remedy="check scope and cloud"),
            "status",
            status=401,
            code=900420,
        ),
        usage(
            "app-only",
            "403: an app-only token (code 900329)",
            failed("forbidden", f"sign in as a user: {LOGIN}", codes={"403": 1}),
            "status",
            status=403,
            code=900329,
        ),
        usage(
            "401-once",
            "401: once",
            replace(GOOD, codes={"401": 1, "200": 1}, token_requests=2),
            "status",
            status=401,
            times=1,
        ),
        usage("401", "401: persistently", UNAUTHORIZED, "status", status=401),
    ),
)

UNSAVED = replace(
    GOOD,
    log="token not saved, kept in memory",
    state_writable=0,
    disk=Disk.NOTHING_NEW,
    remedy="state_dir must be a directory that this user can write to, with free space",
)
LOCKED = replace(UNSAVED, remedy="end the other program that uses this state_dir")
DISTRUSTED = replace(
    OTHER_WORD,
    token_requests=0,
    remedy="fix its owner and mode (0600), or move the file away and sign in again",
    recovery=Recovery.FILE,
)
NO_SECRET = replace(OTHER_WORD, token_requests=0, remedy="check the file and its permissions", recovery=Recovery.FILE)


def machine(setting: str, description: str, outcome: Outcome) -> Row:
    """Return a row for a fault of the exporter's own machine."""
    return Row(name=setting.replace("_", "-"), description=description, setting=setting, outcome=outcome)


def at_start(setting: str, description: str, outcome: Outcome, *, every_source: bool = False) -> Row:
    """Return a row for a fault that is found at start. After a good poll ten minutes ago, the interval would hold."""
    row = machine(setting, f"at start: {description}", outcome)
    return replace(row, name=f"{row.name}-at-start", restarted=True, down_seconds=600, every_source=every_source)


MACHINE = Section(
    "This machine: the state directory, secrets, the clock",
    "If `state_dir` is not writable at startup, has no room for a token, is another user's or can have been written by "
    "one, or its file system hangs or has no locks or modes, the exporter exits with status 1. A lock that another "
    "program holds then is logged. "
    "While it runs, none of these faults prevents a poll that is still possible, and failed writes are retried every "
    "30 seconds.",
    (
        machine("state_unwritable", "`state_dir` can't be written while running", UNSAVED),
        machine("state_locked", "another program holds the locks in `state_dir`", LOCKED),
        machine("disk_full", "no space is left in `state_dir`", UNSAVED),
        machine("state_removed", "`state_dir` is removed while running: recreated", GOOD),
        machine(
            "token_damaged",
            "the stored token is corrupt while running: the one in memory is kept",
            replace(
                UNSAVED,
                log="token store failed, keeping the token in memory",
                disk=Disk.DATA,
                remedy="move the file away",
            ),
        ),
        at_start(
            "token_damaged",
            "the stored token is corrupt: never overwritten, polled at once",
            replace(DISTRUSTED, remedy="move the file away and sign in again"),
            every_source=True,
        ),
        at_start("token_open", "every user can read the stored token: polled at once", DISTRUSTED, every_source=True),
        at_start(
            "token_foreign",
            "the stored token is another application's: the seed is used, polled at once",
            replace(GOOD, log="stored token belongs to another application, not used"),
            every_source=True,
        ),
        at_start(
            "data_damaged",
            "the last good data is corrupt: not shown, polled at once",
            replace(GOOD, log="ignoring saved state"),
        ),
        at_start(
            "schedule_damaged", "the schedule is corrupt: polled at once", replace(GOOD, log="ignoring saved state")
        ),
        machine("secret_removed", "the client secret file is missing", NO_SECRET),
        machine(
            "secret_wrong",
            "the client secret file contains another secret",
            replace(NO_CLIENT, remedy=NEW_SECRET, recovery=Recovery.FILE),
        ),
        machine("clock_back", "the clock is set back by a day", GOOD),
        machine("clock_forward", "the clock is set forward by a day", GOOD),
    ),
)

SECTIONS = (STATUSES, BODIES, PAGES, INSIGHTS, CONNECTIONS, SIGN_IN, REFUSALS, ECHOES, MACHINE)
API_ROWS = tuple(row for section in (STATUSES, BODIES, PAGES, INSIGHTS) for row in section.rows)
ENVIRONMENT_ROWS = tuple(row for section in (CONNECTIONS, SIGN_IN, REFUSALS, ECHOES, MACHINE) for row in section.rows)
MATRIX = (*API_ROWS, *ENVIRONMENT_ROWS)
