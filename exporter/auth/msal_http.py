"""MSAL's HTTP over our transport: the same TLS, proxy, deadline and limits as the API.

MSAL accepts any object with `get` and `post`. What it would misread becomes one of our errors before it gets
that far: a body that is not JSON (it logs all of it), a redirect, a 429 or 5xx (it would replay them).
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any
from urllib.parse import urlencode

from exporter.auth.refusal import refusal_from_body
from exporter.errors import RETRIED, PayloadError, Rejected, Throttled, Unavailable
from exporter.redaction import Secret, excerpt
from exporter.upstream.retry_after import retry_after_seconds
from exporter.upstream.transport import HttpReply, HttpTransport

_MAX_BYTES = 1_000_000
_ERROR_CODE = re.compile(r"[\x20-\x21\x23-\x5B\x5D-\x7E]+")  # RFC 6749, 5.2
_Parameters = Mapping[str, str] | None
_SECRET_FIELDS = ("client_secret", "client_assertion", "refresh_token", "code", "code_verifier")


@dataclass(frozen=True, slots=True)
class MsalReply:
    """The part of requests' response that MSAL reads."""

    status_code: int
    headers: Mapping[str, str]
    text: str

    def raise_for_status(self) -> None:
        """Do nothing: a status that MSAL must not see was raised before."""


@dataclass(frozen=True, slots=True)
class MsalHttp:
    """What MSAL calls `http_client`. Raises PollError, Rejected for a redirect, PayloadError for what is not JSON."""

    transport: HttpTransport
    partner: str

    def get(self, url: str, *, params: _Parameters = None, headers: _Parameters = None, **_: Any) -> MsalReply:
        """Fetch the authority's metadata; a refusal is raised, since MSAL would hide its number."""
        reply = self.transport.send("GET", _with_query(url, params), headers=headers or {}, max_bytes=_MAX_BYTES)
        refused = HTTPStatus.BAD_REQUEST <= reply.status < HTTPStatus.INTERNAL_SERVER_ERROR
        if refused and reply.status != HTTPStatus.TOO_MANY_REQUESTS:
            raise refusal_from_body(reply, partner=self.partner)
        return _checked(reply)

    def post(
        self, url: str, *, data: Mapping[str, Any], headers: Mapping[str, str], params: _Parameters = None, **_: Any
    ) -> MsalReply:
        """Post a form. MSAL passes client assertions as bytes, which urlencode writes as they are."""
        # A gateway's page may repeat the request.
        values = [data[name] for name in _SECRET_FIELDS if name in data]
        secrets = [Secret(value.decode() if isinstance(value, bytes) else str(value)) for value in values]
        sent = {**headers, "Content-Type": "application/x-www-form-urlencoded"}
        content = urlencode(data).encode()
        reply = self.transport.send(
            "POST", _with_query(url, params), headers=sent, content=content, max_bytes=_MAX_BYTES
        )
        return _checked(reply, *secrets)


def _with_query(url: str, params: _Parameters) -> str:
    return f"{url}?{urlencode(params)}" if params else url


def _checked(reply: HttpReply, *secrets: Secret) -> MsalReply:
    """Return a response that MSAL can read; raises PollError."""
    wait = retry_after_seconds(reply.headers, reply.received_at)
    if reply.status == HTTPStatus.TOO_MANY_REQUESTS:
        raise Throttled(
            "Entra ID is throttling requests",
            remedy="nothing to do: the next poll waits as long as requested",
            retry_after_seconds=wait,
        )
    if reply.status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        message = f"Entra ID returned {reply.status}"
        raise Unavailable(message, remedy=RETRIED, retry_after_seconds=wait)
    if HTTPStatus.MULTIPLE_CHOICES <= reply.status < HTTPStatus.BAD_REQUEST:
        raise Rejected(f"Entra ID returned a redirect ({reply.status})", remedy="check `authority`")
    document = reply.json_object()
    error = "none" if document is None else document.get("error", "none")
    # MSAL repeats an error in a header of every later request, and could send none any more.
    if document is not None and isinstance(error, str) and _ERROR_CODE.fullmatch(error):
        return MsalReply(reply.status, reply.headers, reply.body.decode("utf-8-sig"))
    wrong = "is not a JSON object" if document is None else "has an `error` that is not an OAuth error code"
    raise PayloadError(
        f"Entra ID's response ({reply.status}) {wrong}: {excerpt(reply.body, *secrets)!r}",
        remedy="check which server answers at `authority`: perhaps a proxy",
    )
