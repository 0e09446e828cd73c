"""The fault plan: which faults to inject, where, and how often."""

import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, get_args

ENDPOINTS = (
    "usage", "deployment", "insights", "insights_catalogue", "insights_try_query", "insights_queries",
    "insights_reports", "insights_executions", "files", "token", "discovery", "authorize",
    "any",
)  # fmt: skip
"""Where a fault can happen. `any` matches every endpoint, `insights` all of its own; the control pages never fail."""

KINDS: Mapping[str, str] = {
    "status": "`status` (503); optional retry_after; `body`: fault (with code, text), gateway, html or empty",
    "throttled": "429 in the gateway's format; retry_after (57)",
    "no_content": "204; optional retry_after",
    "redirect": "`status` (302) with a redirect to `location`",
    "mfa_required": "401 with error code 900421",
    "error_inside": "200 with an error in the envelope of Partner Insights: `status` (403), `text`",
    "mfa_header": "the response to `ValidateMfa: true` with `text` as its isMfaCompliant; empty: without one",
    "mfa_required_2019": "401 in plain text with a Bearer challenge",
    "mfa_required_2020": "401 with error code 10001",
    "entra_error": "Entra ID's error for the AADSTS `code` (50173); on authorize, a redirect with that error",
    "token_without_access_token": "a token response without the access token",
    "token_without_refresh_token": "a token response without the refresh token",
    "token_bom": "the response with a byte-order mark added",
    "no_bom": "the response without a byte-order mark",
    "double_bom": "the response with two byte-order marks",
    "utf16": "the response encoded as UTF-16",
    "wrong_charset": "the response encoded as Latin-1, with a non-ASCII letter in it",
    "html": "200 with an HTML page",
    "empty": "200 with an empty body",
    "not_json": "200 with text that is not JSON",
    "truncated_json": "complete HTTP, but the JSON is cut in half",
    "truncated": "the connection closes after half of Content-Length",
    "wrong_root": "200 with `root` (null) as the whole JSON document",
    "replace_body": "`status` (200) with `content` as the body; optional retry_after",
    "rows": "the response with its rows replaced by the list `rows`",
    "empty_rows": "the response without rows",
    "envelope": "the response with the keys of `envelope` added around its rows, or replaced",
    "gzip_bomb": "gzip that expands to `megabytes` (64) of spaces before the body",
    "oversized": "`megabytes` (64) of spaces before the body",
    "slow_first_byte": "`seconds` (5) of silence before the response",
    "slow_body": "the body in up to 100 chunks, with a delay of `seconds` (1) before each",
    "stall": "half the body, then nothing for `seconds` (60) or until the client disconnects",
    "reset": "a TCP reset instead of a response",
    "reset_midway": "half the body, then a TCP reset",
    "hang_up": "the connection closes without a response",
    "header_drip": "an endless response head: one header line every `seconds` (1)",
    "big_header": "the response with a 256 KiB header",
    "interim": "an interim `status` (103) before the response",
    "garbage": "bytes that are not HTTP instead of a response",
    "bad_gzip": "the response labelled as gzip, but not compressed",
    "coded": "the response with `codings` (gzip, gzip, gzip) applied one after the other",
    "cookie": "the response with a cookie for every path",
    "echo": "a response that repeats the request's token or form in its `place` (body)",
}
"""Every kind of response fault: one line each, with its parameters and their defaults."""

CONNECTION_KINDS: Mapping[str, str] = {
    "tls_untrusted": "a certificate from an untrusted CA",
    "tls_expired": "an expired certificate",
    "tls_not_yet_valid": "a certificate that is not valid yet",
    "tls_wrong_name": "a certificate for another host name",
    "tls_too_old": "a server without TLS 1.2",
    "tls_client_certificate": "a server that requires a client certificate",
    "plain_http": "a server that speaks plain HTTP on this port",
    "handshake_cut": "the connection closes during the handshake",
    "handshake_reset": "a TCP reset during the handshake",
    "handshake_silent": "the connection is accepted, then silent for `seconds` (60)",
}
"""Every kind of fault for new connections, whatever is requested on them; open connections keep working."""

CONNECTION, FILES_CONNECTION = "connection", "files_connection"
"""Where the kinds in CONNECTION_KINDS happen, before any endpoint is known: the main port and that of files."""

Body = Literal["fault", "gateway", "html", "empty"]
Place = Literal["first_line", "reason", "header", "length", "chunk", "body", "description", "link"]
MAX_SECONDS = 300
MAX_MEGABYTES = 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """A fault to inject: a kind, at an endpoint, for `times` calls (None: until it is cleared).

    The first `skip` matching calls succeed, then of each `every` calls only the last one fails. The other fields
    apply only to some kinds: see KINDS.
    """

    kind: str
    endpoint: str = "any"
    times: int | None = None
    skip: int = 0
    every: int = 1
    status: int | None = None
    retry_after: float | str | None = None  # seconds, or an HTTP date
    body: Body = "fault"
    code: int = 0
    text: str = ""
    content: bytes = b""
    rows: Sequence[object] = ()
    root: object = None
    envelope: Mapping[str, object] | None = None
    seconds: float | None = None
    megabytes: int = 64
    location: str = ""
    codings: str = "gzip, gzip, gzip"
    place: Place = "body"

    def __post_init__(self) -> None:
        kinds, bodies, places = (*KINDS, *CONNECTION_KINDS), get_args(Body), get_args(Place)
        for problem, is_wrong in (
            (f"kind must be one of {', '.join(kinds)}, not {self.kind!r}", self.kind not in kinds),
            (f"endpoint must be one of {', '.join(ENDPOINTS)}", self.endpoint not in ENDPOINTS),
            ("times must be at least 1", self.times is not None and self.times < 1),
            ("skip must not be negative", self.skip < 0),
            ("every must be at least 1", self.every < 1),
            ("status must be 100 to 599", self.status is not None and not 100 <= self.status < 600),  # noqa: PLR2004 -- HTTP's limits
            (
                "status must be 100 to 199 for an interim response, and 200 or more for every other kind",
                self.status is not None and (self.status < 200) != (self.kind == "interim"),  # noqa: PLR2004 -- as above
            ),
            (f"body must be one of {', '.join(bodies)}", self.body not in bodies),
            (f"place must be one of {', '.join(places)}", self.place not in places),
            (f"seconds must be 0 to {MAX_SECONDS}", not 0 <= (self.seconds or 0) <= MAX_SECONDS),
            (f"megabytes must be 0 to {MAX_MEGABYTES}", not 0 <= self.megabytes <= MAX_MEGABYTES),
        ):
            if is_wrong:
                raise ValueError(problem)


class _PlannedFault:
    """A fault and how often it still applies; guarded by the plan's lock."""

    def __init__(self, fault: Fault) -> None:
        self.fault = fault
        self.skip = fault.skip
        self.left = fault.times
        self.passed = 0

    def applies(self, endpoint: str) -> bool:
        """Return whether this call fails, and count it."""
        if (self.fault.kind in CONNECTION_KINDS) != (endpoint in (CONNECTION, FILES_CONNECTION)):
            return False
        group = endpoint.partition("_")[0]
        if self.fault.endpoint not in ("any", group, endpoint) or self.left == 0:
            return False
        if self.skip > 0:
            self.skip -= 1
            return False
        self.passed += 1
        if self.passed % self.fault.every:
            return False
        if self.left is not None:
            self.left -= 1
        return True


class FaultPlan:
    """The pending faults, thread-safe; if several match a call, the one added first applies."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._planned: list[_PlannedFault] = []

    def add(self, *faults: Fault) -> None:
        """Add faults, after those already planned."""
        with self._lock:
            self._planned.extend(map(_PlannedFault, faults))

    def clear(self) -> None:
        """Remove every fault."""
        with self._lock:
            self._planned.clear()

    def take(self, endpoint: str) -> Fault | None:
        """Return the fault for this call (or, at CONNECTION, this connection), if any, and count it."""
        with self._lock:
            match = next((planned for planned in self._planned if planned.applies(endpoint)), None)
            self._planned = [planned for planned in self._planned if planned.left != 0]
            return match.fault if match else None

    def pending(self) -> tuple[tuple[Fault, int | None], ...]:
        """Return the pending faults, each with how many more calls it applies to (None: no limit)."""
        with self._lock:
            return tuple((planned.fault, planned.left) for planned in self._planned)
