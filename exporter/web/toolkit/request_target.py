"""The forms of a request's target, of which applications know only one: rfc-editor.org/rfc/rfc9112#section-3.2."""

import re
from dataclasses import dataclass
from urllib.parse import unquote

from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Receive, Scope, Send

# A user in it has been deprecated for long, and would be part of a phishing address.
_ABSOLUTE = re.compile(rb"https?://(?P<authority>[^/?#@]+)(?P<path>/.*)?", re.IGNORECASE | re.DOTALL)


@dataclass(frozen=True, slots=True)
class OriginForm:
    """Wraps an ASGI application: it sees paths only.

    The absolute form, as clients send it to a proxy, is answered like the path in it, with its authority as Host. The
    others, `*` of OPTIONS and the authority form of CONNECT, ask for nothing that is here: 400.
    """

    application: ASGIApp

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on, or refuse it."""
        target: bytes = scope["raw_path"]
        if target.startswith(b"/"):
            await self.application(scope, receive, send)
        elif absolute := _ABSOLUTE.fullmatch(target):
            await self.application(_by_path(scope, **absolute.groupdict()), receive, send)
        else:
            await PlainTextResponse("the request's target is no path and no URL\n", 400)(scope, receive, send)


def _by_path(scope: Scope, authority: bytes, path: bytes | None) -> Scope:
    headers = [(name, value) for name, value in scope["headers"] if name != b"host"]
    raw_path = path or b"/"
    return {
        **scope,
        "raw_path": raw_path,
        "path": unquote(raw_path.decode("ascii")),
        "headers": [(b"host", authority), *headers],
    }
