"""The fault plan: what shall go wrong, where, and how often."""

import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any

ENDPOINTS = ("usage", "deployment", "token", "discovery", "authorize", "any")
"""Where a fault can happen; `any` is all of them, but never the simulator's own control pages."""

KINDS: Mapping[str, str] = {
    "status": "answer `status` (503); retry_after; body: fault (with code, text), gateway, html, empty",
    "throttled": "429 as the gateway says it; retry_after (57)",
    "no_content": "204; retry_after",
    "redirect": "`status` (302) to `location`",
    "mfa_required": "401 with code 900421",
    "mfa_required_2019": "401 in plain text with a Bearer challenge",
    "mfa_required_2020": "401 with code 10001",
    "entra_error": "Entra ID's refusal for the AADSTS `code`; at authorize the user is sent back with it",
    "token_without_access_token": "a token answer that lacks the access token",
    "token_without_refresh_token": "a token answer that lacks the refresh token",
    "token_bom": "a byte-order mark in front of the answer",
    "no_bom": "no byte-order mark",
    "double_bom": "two byte-order marks",
    "utf16": "the answer in UTF-16",
    "wrong_charset": "the answer in Latin-1, with a letter that shows it",
    "html": "200 with a page of HTML",
    "empty": "200 with an empty body",
    "not_json": "200 with text that is no JSON",
    "truncated_json": "valid HTTP, the JSON cut in half",
    "truncated": "the connection ends at half of Content-Length",
    "wrong_root": "200 with the JSON value `root` (null)",
    "replace_body": "`status` (200) with the bytes `content`",
    "rows": "the items replaced by the list `rows`",
    "empty_rows": "no items",
    "gzip_bomb": "gzip that unfolds to `megabytes` (64) of blanks before the answer",
    "oversized": "`megabytes` (64) of blanks before the answer",
    "slow_first_byte": "`seconds` (5) of silence before the answer",
    "slow_body": "the answer in up to 100 pieces, `seconds` (1) before each",
    "stall": "half the answer, then nothing for `seconds` (60), or until the client goes",
    "reset": "a TCP reset in place of an answer",
    "reset_midway": "half the answer, then a TCP reset",
    "hang_up": "the connection closed in place of an answer",
    "header_drip": "an endless head: a header line every `seconds` (1)",
    "big_header": "a header of 256 kB",
    "interim": "an interim `status` (103) before the answer",
    "garbage": "bytes that are no HTTP in place of an answer",
    "bad_gzip": "an answer that says it is gzip and is none",
}
"""Every kind of fault in a line, with its parameters and what they are when left out."""

CONNECTION_KINDS: Mapping[str, str] = {
    "tls_untrusted": "a certificate of an authority that nobody trusts",
    "tls_expired": "a certificate that has expired",
    "tls_not_yet_valid": "a certificate that is not valid yet",
    "tls_wrong_name": "a certificate for another host name",
    "tls_too_old": "a server that knows no TLS 1.2",
    "tls_client_certificate": "a server that wants a certificate of the client's own",
    "plain_http": "a server that speaks plain HTTP on this port",
    "handshake_cut": "the connection closed in the middle of the handshake",
    "handshake_reset": "a TCP reset in the middle of the handshake",
    "handshake_silent": "a connection that is taken and then left silent for `seconds` (60)",
}
"""Every kind that strikes a new connection, whatever is asked on it; connections that are open stay good."""

CONNECTION = "connection"
"""Where the kinds of CONNECTION_KINDS strike: no endpoint is known yet."""

BODIES = ("fault", "gateway", "html", "empty")
MAX_SECONDS = 300
MAX_MEGABYTES = 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """One thing that goes wrong: a kind, at an endpoint, for `times` calls (None: until it is cleared).

    The first `skip` calls pass unharmed. The other fields belong to single kinds: see KINDS.
    """

    kind: str
    endpoint: str = "any"
    times: int | None = None
    skip: int = 0
    status: int | None = None
    retry_after: float | str | None = None  # seconds, or an HTTP date
    body: str = "fault"
    code: int = 0
    text: str = ""
    content: bytes = b""
    rows: Sequence[object] = ()
    root: object = None
    seconds: float | None = None
    megabytes: int = 64
    location: str = ""

    def __post_init__(self) -> None:
        for problem, is_wrong in (
            (
                f"kind must be one of {', '.join((*KINDS, *CONNECTION_KINDS))}, not {self.kind!r}",
                self.kind not in {*KINDS, *CONNECTION_KINDS},
            ),
            (f"endpoint must be one of {', '.join(ENDPOINTS)}", self.endpoint not in ENDPOINTS),
            ("times must be at least 1", self.times is not None and self.times < 1),
            ("skip must not be negative", self.skip < 0),
            ("status must be 100 to 599", self.status is not None and not 100 <= self.status < 600),  # noqa: PLR2004 -- HTTP's bounds
            (
                "an interim status is 100 to 199, and no other kind has one",
                self.status is not None and (self.status < 200) != (self.kind == "interim"),  # noqa: PLR2004 -- as above
            ),
            (f"body must be one of {', '.join(BODIES)}", self.body not in BODIES),
            (f"seconds must be 0 to {MAX_SECONDS}", not 0 <= (self.seconds or 0) <= MAX_SECONDS),
            (f"megabytes must be 0 to {MAX_MEGABYTES}", not 0 <= self.megabytes <= MAX_MEGABYTES),
        ):
            if is_wrong:
                raise ValueError(problem)

    @classmethod
    def from_json(cls, document: object) -> "Fault":
        """Read a fault from a JSON object with the same names; ValueError says what is wrong."""
        if not isinstance(document, dict):
            raise ValueError("a fault is a JSON object")  # noqa: TRY004 -- one error for all that a person can mistype
        values: dict[str, Any] = dict(document)
        for name, value in values.items():
            wanted = _JSON_TYPES.get(name)
            if wanted is None:
                raise ValueError(f"a fault has no field {name!r}: it has {', '.join(_JSON_TYPES)}")
            if not isinstance(value, wanted) or (isinstance(value, bool) and wanted is not object):
                raise ValueError(f"{name} can't be {value!r}")
        if "content" in values:
            values["content"] = values["content"].encode()
        if "kind" not in values:
            raise ValueError(f"kind is missing: it is one of {', '.join((*KINDS, *CONNECTION_KINDS))}")
        return cls(**values)

    def to_json(self) -> dict[str, object]:
        """Return the fields that are not at their default, bytes as text."""
        values = {f.name: getattr(self, f.name) for f in fields(self) if getattr(self, f.name) != f.default}
        return {k: v.decode("utf-8", "replace") if isinstance(v, bytes) else v for k, v in values.items()}


_NONE = type(None)
_JSON_TYPES: Mapping[str, Any] = {
    "kind": str,
    "endpoint": str,
    "times": (int, _NONE),
    "skip": int,
    "status": (int, _NONE),
    "retry_after": (int, float, str, _NONE),
    "body": str,
    "code": int,
    "text": str,
    "content": str,
    "rows": list,
    "root": object,
    "seconds": (int, float, _NONE),
    "megabytes": int,
    "location": str,
}


class _Planned:
    """A fault in the plan with what is left of it; only the plan touches it, under its lock."""

    def __init__(self, fault: Fault) -> None:
        self.fault = fault
        self.skip = fault.skip
        self.left = fault.times

    def strikes(self, endpoint: str) -> bool:
        if (self.fault.kind in CONNECTION_KINDS) != (endpoint == CONNECTION):
            return False
        if self.fault.endpoint not in ("any", endpoint) or self.left == 0:
            return False
        if self.skip > 0:
            self.skip -= 1
            return False
        if self.left is not None:
            self.left -= 1
        return True


class FaultPlan:
    """The faults to come, safe to change from any thread; of several that fit, the first added strikes."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._planned: list[_Planned] = []

    def add(self, *faults: Fault) -> None:
        """Plan faults, after those already planned."""
        with self._lock:
            self._planned.extend(map(_Planned, faults))

    def clear(self) -> None:
        """Let nothing go wrong from now on."""
        with self._lock:
            self._planned.clear()

    def take(self, endpoint: str) -> Fault | None:
        """Return the fault that strikes this call (or, at CONNECTION, this connection), and count it."""
        with self._lock:
            struck = next((p for p in self._planned if p.strikes(endpoint)), None)
            self._planned = [p for p in self._planned if p.left != 0]
            return struck.fault if struck else None

    def pending(self) -> tuple[tuple[Fault, int | None], ...]:
        """Return what is still to come: each fault, and how many more calls it will strike (None: all)."""
        with self._lock:
            return tuple((p.fault, p.left) for p in self._planned)
