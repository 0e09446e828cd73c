"""MSAL's HTTP over our transport: the same TLS, proxy, deadline and limits as the API.

MSAL takes any object with `get` and `post`. What it would misread is turned into our errors before it
sees it: a body that is no JSON (it logs the whole of it), a redirect, a 429 or 5xx (it would replay them).
"""

import json
import re
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlencode

from exporter.auth.refusal import refusal_from_body
from exporter.errors import PayloadError, Rejected, Throttled, Unavailable
from exporter.redaction import Secret, excerpt
from exporter.upstream.retry_after import retry_after_seconds
from exporter.upstream.transport import HttpReply, HttpTransport

_MAX_BYTES = 1_000_000
_REDIRECTS = range(300, 400)
_CLIENT_ERROR = 400
_THROTTLED = 429
_SERVER_ERROR = 500
_ERROR_WORD = re.compile(r"[\x20-\x21\x23-\x5B\x5D-\x7E]+")
_SECRET_FIELDS = ("client_secret", "client_assertion", "refresh_token", "code", "code_verifier")


class MsalReply:
    """The part of requests' response that MSAL reads."""

    def __init__(self, reply: HttpReply, text: str) -> None:
        self.status_code = reply.status
        self.headers = reply.headers
        self.text = text

    def raise_for_status(self) -> None:
        """Do nothing: a status that MSAL may not see was raised before."""


class MsalHttp:
    """What MSAL calls `http_client`. Raises the transport's errors and those of its own docstring."""

    def __init__(self, transport: HttpTransport, *, partner: str) -> None:
        self._transport = transport
        self._partner = partner

    def get(
        self,
        url: str,
        params: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
        **_: Any,
    ) -> MsalReply:
        """Fetch the authority's metadata; a refusal is raised, since MSAL would hide its number."""
        query = f"?{urlencode(params)}" if params else ""
        reply = self._transport.send("GET", url + query, headers=dict(headers or {}), max_bytes=_MAX_BYTES)
        if _CLIENT_ERROR <= reply.status < _SERVER_ERROR and reply.status != _THROTTLED:
            raise refusal_from_body(reply, partner=self._partner)
        return self._checked(reply)

    def post(
        self,
        url: str,
        params: Mapping[str, str] | None = None,
        data: Mapping[str, Any] | str | None = None,
        headers: Mapping[str, str] | None = None,
        **_: Any,
    ) -> MsalReply:
        """Post a form. MSAL passes client assertions as bytes, which urlencode writes as they are."""
        query = f"?{urlencode(params)}" if params else ""
        form = data if isinstance(data, str) else urlencode(data or {})
        sent = {**(headers or {}), "Content-Type": "application/x-www-form-urlencoded"}
        return self._checked(
            self._transport.send(
                "POST", url + query, headers=sent, content=form.encode(), max_bytes=_MAX_BYTES
            ),
            *_secrets(data),
        )

    def close(self) -> None:
        """Do nothing: the pool is shared."""

    def _checked(self, reply: HttpReply, *secrets: Secret) -> MsalReply:
        wait = retry_after_seconds(reply.headers, reply.received_at)
        if reply.status == _THROTTLED:
            raise Throttled(
                "Entra ID asks for fewer requests",
                remedy="nothing to do: the next poll waits as long as asked",
                retry_after_seconds=wait,
            )
        if reply.status >= _SERVER_ERROR:
            raise Unavailable(
                f"Entra ID answers {reply.status}",
                remedy="nothing to do: it is tried again",
                retry_after_seconds=wait,
            )
        if reply.status in _REDIRECTS:
            raise Rejected(f"Entra ID answers with a redirect ({reply.status})", remedy="look at `authority`")
        return MsalReply(reply, _json_text(reply, *secrets))


def _secrets(data: Mapping[str, Any] | str | None) -> list[Secret]:
    """Return a form's secrets: a gateway's page may repeat the request."""
    fields = {} if data is None or isinstance(data, str) else data
    values = [fields[name] for name in _SECRET_FIELDS if name in fields]
    return [Secret(value.decode() if isinstance(value, bytes) else str(value)) for value in values]


def _json_text(reply: HttpReply, *secrets: Secret) -> str:
    """Return the body as text without a byte-order mark; raises PayloadError unless it is a JSON object.

    An `error` must be a word of OAuth's: MSAL repeats it in a header of every later request, and could send
    none any more.
    """
    try:
        text = reply.body.decode("utf-8-sig")
        document = json.loads(text)
    except (ValueError, RecursionError):
        document = None
    if not isinstance(document, dict):
        raise _not_from_entra(reply, "is no JSON object", *secrets)
    if "error" in document and not _is_error_word(document["error"]):
        raise _not_from_entra(reply, "holds an error that is no word of OAuth's", *secrets)
    return text


def _is_error_word(error: Any) -> bool:
    """Return whether it is what `error` may be (RFC 6749, 5.2)."""
    return isinstance(error, str) and _ERROR_WORD.fullmatch(error) is not None


def _not_from_entra(reply: HttpReply, what: str, *secrets: Secret) -> PayloadError:
    return PayloadError(
        f"Entra ID's answer ({reply.status}) {what}: {excerpt(reply.body, *secrets)!r}",
        remedy="look at what answers at `authority`: a proxy's page, perhaps",
    )
