"""MSAL's HTTP over our transport: the same TLS, proxy, deadline and limits as the API.

MSAL accepts any object with `get` and `post`. What it would misread becomes one of our errors before it gets
that far: a body that is not JSON (it logs all of it), a redirect, a 429 or 5xx (it would replay them), and a refusal,
which is explained here, where the secrets are known that its text may repeat.
"""

import json
import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any
from urllib.parse import urlencode

from exporter.auth.refusal import refusal_from_body, refusal_of
from exporter.errors import RETRIED, PayloadError, Rejected, Throttled, Unavailable
from exporter.messages import Line, line
from exporter.redaction import Redactor, Secret
from exporter.upstream.retry_after import retry_after_seconds
from exporter.upstream.transport import HttpReply, HttpTransport

_MAX_BYTES = 1_000_000
_ERROR_CODE = re.compile(r"[\x20-\x21\x23-\x5B\x5D-\x7E]+")  # RFC 6749, 5.2
_Parameters = Mapping[str, str] | None
# The form's fields that may be shown; all others count as secret.
_PUBLIC_FIELDS = (
    "client_assertion_type",
    "client_id",
    "client_info",
    "grant_type",
    "redirect_uri",
    "response_type",
    "scope",
)


# What is left of a token response: MSAL misreads some other fields, and of an `error` keeps null, which it can't send.
_GRANTED_FIELDS = ("access_token", "client_info", "expires_in", "id_token", "refresh_token", "scope", "token_type")


@dataclass(frozen=True, slots=True)
class MsalReply:
    """The part of requests' response that MSAL reads."""

    status_code: int
    headers: Mapping[str, str]
    text: str

    def raise_for_status(self) -> None:
        """Do nothing: a status that MSAL must not see was raised before."""


@dataclass(slots=True, eq=False)
class MsalHttp:
    """What MSAL calls `http_client`. Raises PollError, Rejected for a redirect, PayloadError for what is not JSON.

    `requests` are counted by HTTP status, or `error` where no response arrived. Its caller holds a lock.
    """

    transport: HttpTransport
    partner: Line
    requests: Counter[str] = field(default_factory=Counter)

    def get(self, url: str, *, params: _Parameters = None, headers: _Parameters = None, **_: Any) -> MsalReply:
        """Fetch the authority's metadata; a refusal is raised, since MSAL would hide its number."""
        reply = self._send("GET", _with_query(url, params), headers or {}, redactor=self.transport.redactor())
        refused = HTTPStatus.BAD_REQUEST <= reply.status < HTTPStatus.INTERNAL_SERVER_ERROR
        if refused and reply.status != HTTPStatus.TOO_MANY_REQUESTS:
            raise refusal_from_body(reply, partner=self.partner)
        return MsalReply(reply.status, reply.headers, json.dumps(self._checked(reply)))

    def post(
        self, url: str, *, data: Mapping[str, Any], headers: Mapping[str, str], params: _Parameters = None, **_: Any
    ) -> MsalReply:
        """Post a form. MSAL passes client assertions as bytes, which urlencode writes as they are."""
        values = [value for name, value in data.items() if name not in _PUBLIC_FIELDS]
        secrets = [Secret(value.decode() if isinstance(value, bytes) else str(value)) for value in values]
        sent = {**headers, "Content-Type": "application/x-www-form-urlencoded"}
        redactor = self.transport.redactor(*secrets)
        reply = self._send("POST", _with_query(url, params), sent, redactor=redactor, content=urlencode(data).encode())
        granted = self._checked(reply)
        known = {name: granted[name] for name in _GRANTED_FIELDS if name in granted}
        return MsalReply(reply.status, reply.headers, json.dumps(known))

    def _send(
        self, method: str, url: str, headers: Mapping[str, str], *, redactor: Redactor, content: bytes | None = None
    ) -> HttpReply:
        code = "error"
        try:
            reply = self.transport.send(
                method, url, headers=headers, content=content, max_bytes=_MAX_BYTES, redactor=redactor
            )
            code = str(reply.status)
        finally:
            self.requests[code] += 1
        return reply

    def _checked(self, reply: HttpReply) -> Mapping[str, Any]:
        """Return the content of a response without an error; raises PollError."""
        _check_status(reply)
        document = reply.json_object()
        if document is None:
            raise _unusable(reply, line("is not a JSON object"))
        error = document.get("error")
        if error is None:
            return document
        if isinstance(error, str) and _ERROR_CODE.fullmatch(error):
            raise refusal_of(document, reply, partner=self.partner)
        raise _unusable(reply, line("has an `error` that is not an OAuth error code"))


def _with_query(url: str, params: _Parameters) -> str:
    return f"{url}?{urlencode(params)}" if params else url


def _check_status(reply: HttpReply) -> None:
    """Raise PollError for a status that says nothing of the sign-in itself."""
    wait = retry_after_seconds(reply.headers, reply.received_at)
    if reply.status == HTTPStatus.TOO_MANY_REQUESTS:
        raise Throttled(
            line("Entra ID is throttling requests"),
            remedy=line("wait: the next poll comes as soon as Microsoft allows it"),
            retry_after_seconds=wait,
        )
    if reply.status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        message = line("Entra ID returned {}", reply.status)
        raise Unavailable(message, remedy=RETRIED, retry_after_seconds=wait)
    if HTTPStatus.MULTIPLE_CHOICES <= reply.status < HTTPStatus.BAD_REQUEST:
        message = line("Entra ID returned a redirect ({})", reply.status)
        raise Rejected(message, remedy=line("check `authority`"), retry_after_seconds=wait)


def _unusable(reply: HttpReply, wrong: Line) -> PayloadError:
    failed = reply.status >= HTTPStatus.BAD_REQUEST
    return PayloadError(
        line("Entra ID's response ({}) {}: {!r}", reply.status, wrong, reply.redactor.quote(reply.body)),
        remedy=line("check which server answers at `authority`: perhaps a proxy"),
        retry_after_seconds=retry_after_seconds(reply.headers, reply.received_at) if failed else None,
    )
