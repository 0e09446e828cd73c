"""The origin of report files: storage whose links carry their own permission, as Azure Storage's do.

A link is signed and expires. It is refused together with an Authorization header, and errors are XML, as in
learn.microsoft.com/rest/api/storageservices/status-and-error-codes2.
"""

import base64
import gzip
import hmac
import re
import secrets
import uuid
from collections.abc import Callable
from datetime import UTC, datetime
from urllib.parse import urlencode, urlsplit

from partnercenter_simulator.exchange import Call, Reply, Route
from partnercenter_simulator.insights.quirks import InsightsQuirks
from partnercenter_simulator.wire import BOM

_PATH = re.compile(r"/insights/(?P<execution>[\w-]+)\.(?:csv|tsv)")
_END_BYTES = 12  # of a gzip file: the checksum and length, and some of the data


class Files:
    """Serves report files on a port of their own; `content` returns the text of an execution's file, or None."""

    def __init__(
        self,
        port: int,
        content: Callable[[str], str | None],
        *,
        now: Callable[[], float],
        quirks: Callable[[], InsightsQuirks],
    ) -> None:
        self._content = content
        self._port = port
        self._now = now
        self._quirks = quirks
        self._key = secrets.token_bytes(32)

    def link(self, api_origin: str, name: str) -> str:
        """Return a link to a file, on the host by which the client knows the API."""
        host = urlsplit(api_origin).hostname or "localhost"
        origin = f"https://[{host}]:{self._port}" if ":" in host else f"https://{host}:{self._port}"
        end = datetime.fromtimestamp(self._now() + self._quirks().link_seconds, UTC)
        path, expiry = f"/insights/{name}", f"{end:%Y-%m-%dT%H:%M:%SZ}"
        signed = {"sv": "2021-08-06", "se": expiry, "sr": "b", "sp": "r", "sig": self._signature(path, expiry)}
        return f"{origin}{path}?{urlencode(signed)}"

    def route(self, _call: Call) -> Route:
        """Return the one route of this origin."""
        return Route("files", self._get)

    def _get(self, call: Call) -> Reply:
        if call.method != "GET":
            return _error(405, "UnsupportedHttpVerb", "The resource doesn't support the specified HTTP verb.")
        if "authorization" in call.headers or not self._is_permitted(call):
            return _error(403, "AuthenticationFailed", "Server failed to authenticate the request.")
        match = _PATH.fullmatch(call.path)
        text = self._content(match["execution"]) if match else None
        if text is None:
            return _error(404, "BlobNotFound", "The specified blob does not exist.")
        return self._file(text)

    def _is_permitted(self, call: Call) -> bool:
        expiry, signature = call.query.get("se", ""), call.query.get("sig", "")
        is_signed = hmac.compare_digest(signature.encode(), self._signature(call.path, expiry).encode())
        return is_signed and self._now() < datetime.fromisoformat(expiry).timestamp()

    def _signature(self, path: str, expiry: str) -> str:
        return base64.b64encode(hmac.digest(self._key, f"GET {path} {expiry}".encode(), "sha256")).decode()

    def _file(self, text: str) -> Reply:
        quirks = self._quirks()
        data = (BOM if quirks.file_bom and text else b"") + text.encode()
        headers = {"x-ms-blob-type": "BlockBlob"}
        if quirks.file_coding != "plain":
            data = gzip.compress(data, mtime=0)
        if quirks.file_coding == "gzip":
            headers["Content-Encoding"] = "gzip"
        if quirks.file_content == "cut-gzip":
            data = data[:-_END_BYTES]
        return _with_ids(Reply(200, data, "application/octet-stream", headers))


def _error(status: int, code: str, message: str) -> Reply:
    request_id = str(uuid.uuid4())
    detail = f"<Code>{code}</Code><Message>{message}\nRequestId:{request_id}</Message>"
    body = f'<?xml version="1.0" encoding="utf-8"?><Error>{detail}</Error>'
    return _with_ids(Reply(status, BOM + body.encode(), "application/xml", {"x-ms-error-code": code}))


def _with_ids(reply: Reply) -> Reply:
    return reply.with_headers(Server="Windows-Azure-Blob/1.0", x_ms_version="2021-08-06")
