"""Basic authentication and extra headers in front of the application, as exporter-toolkit does it."""

import asyncio
import base64
import binascii
import hashlib
import hmac
import secrets
from collections import OrderedDict
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor

import bcrypt
from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from exporter.web.settings import WebSettings

# Probes have no password.
_OPEN_PATHS = ("/-/healthy", "/-/ready")
# Compared for users who don't exist, so that the time of an answer doesn't tell which do.
_NOBODY = b"$2b$10$CwTycUXWue0Thq9StjUM0uJ8Y8x2yQ7k2uX0xX3vQ9z1w6m7n5p5K"
_MOST_CACHED = 100
_MOST_WAITING = 32
# bcrypt reads no more than this; bcrypt 5 raises on longer ones where Go's and older ones cut.
_LONGEST_PASSWORD_BYTES = 72


class Guard:
    """Wraps an ASGI application."""

    def __init__(self, application: ASGIApp, settings: Callable[[], WebSettings]) -> None:
        self._application = application
        self._settings = settings
        self._passwords = _Passwords()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer 401 or hand on; every answer gets the configured headers."""
        settings = self._settings()

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in settings.headers:
                    headers[name] = value
            await send(message)

        handler = self._application
        if settings.users and scope["path"] not in _OPEN_PATHS:
            handler = await self._judge(Headers(scope=scope), settings.users)
        await handler(scope, receive, send_with_headers)

    async def _judge(self, headers: Headers, users: Mapping[str, bytes]) -> ASGIApp:
        credentials = _credentials(headers.get("authorization", ""))
        if credentials is not None:
            allowed = await self._passwords.check(*credentials, users)
            if allowed is None:
                return PlainTextResponse("too many sign-ins at once\n", 503, {"Retry-After": "1"})
            if allowed:
                return self._application
        return PlainTextResponse("Unauthorized\n", 401, {"WWW-Authenticate": "Basic"})


class _Passwords:
    """Checks passwords one at a time, off the event loop: bcrypt is slow on purpose."""

    def __init__(self) -> None:
        self._worker = ThreadPoolExecutor(max_workers=1, thread_name_prefix="bcrypt")
        self._cache: OrderedDict[bytes, bool] = OrderedDict()
        self._cache_key = secrets.token_bytes(32)
        self._waiting = 0

    async def check(self, user: str, password: bytes, users: Mapping[str, bytes]) -> bool | None:
        """Return whether user and password fit; None where too many wait already."""
        known = user in users
        expected = users.get(user, _NOBODY)
        key = self._digest(user.encode(), password, expected)
        if key in self._cache:
            self._cache.move_to_end(key)
            return self._cache[key] and known
        if self._waiting >= _MOST_WAITING:
            return None
        self._waiting += 1
        try:
            loop = asyncio.get_running_loop()
            fits = await loop.run_in_executor(self._worker, _fits, password, expected)
        finally:
            self._waiting -= 1
        self._cache[key] = fits
        while len(self._cache) > _MOST_CACHED:
            self._cache.popitem(last=False)
        return fits and known

    def _digest(self, *parts: bytes) -> bytes:
        """Return a name for the cache from which nobody can find the password."""
        joined = b"".join(len(part).to_bytes(4, "big") + part for part in parts)
        return hmac.new(self._cache_key, joined, hashlib.sha256).digest()


def _fits(password: bytes, expected: bytes) -> bool:
    try:
        return bcrypt.checkpw(password[:_LONGEST_PASSWORD_BYTES], expected)
    except ValueError:
        return False


def _credentials(header: str) -> tuple[str, bytes] | None:
    scheme, _, encoded = header.partition(" ")
    if scheme.lower() != "basic":
        return None
    try:
        user, colon, password = base64.b64decode(encoded.strip(), validate=True).partition(b":")
        return (user.decode(), password) if colon else None
    except (binascii.Error, ValueError):
        return None
