"""Basic authentication and extra headers in front of the application, as exporter-toolkit does it."""

import asyncio
import base64
import binascii
import hashlib
import hmac
import secrets
from collections import Counter, OrderedDict
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor

import bcrypt
from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from exporter.web.toolkit.settings import WebSettings

# Probes have no password.
_OPEN_PATHS = ("/-/healthy", "/-/ready")
# The end of a hash that no password is known for.
_NOBODY = b"$CwTycUXWue0Thq9StjUM0uJ8Y8x2yQ7k2uX0xX3vQ9z1w6m7n5p5K"
_COST = slice(4, 6)
_MOST_CACHED = 100
_MOST_WAITING = 32
_MOST_WAITING_PER_ADDRESS = 8
# bcrypt reads no more than this; bcrypt 5 raises on longer ones where Go's and older ones cut.
_LONGEST_PASSWORD_BYTES = 72


class Guard:
    """Wraps an ASGI application. `fits` says whether a password has a bcrypt hash."""

    def __init__(
        self,
        application: ASGIApp,
        settings: Callable[[], WebSettings],
        *,
        fits: Callable[[bytes, bytes], bool] | None = None,
    ) -> None:
        self._application = application
        self._settings = settings
        self._passwords = _Passwords(fits or _fits)

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
            handler = await self._judge(scope, settings.users)
        await handler(scope, receive, send_with_headers)

    async def _judge(self, scope: Scope, users: Mapping[str, bytes]) -> ASGIApp:
        credentials = _credentials(Headers(scope=scope).get("authorization", ""))
        if credentials is not None:
            address = scope["client"][0] if scope.get("client") else ""
            allowed = await self._passwords.check(*credentials, users=users, address=address)
            if allowed is None:
                return PlainTextResponse("too many sign-ins at once\n", 503, {"Retry-After": "1"})
            if allowed:
                return self._application
        return PlainTextResponse("Unauthorized\n", 401, {"WWW-Authenticate": "Basic"})


class _Passwords:
    """Checks passwords one at a time, off the event loop: bcrypt is slow on purpose."""

    def __init__(self, fits: Callable[[bytes, bytes], bool]) -> None:
        self._fits = fits
        # A daemon thread would do no better: in bcrypt's Rust it can't be ended without ending the process.
        self._worker = ThreadPoolExecutor(max_workers=1, thread_name_prefix="bcrypt")
        # At the exit the worker ends what it was given, which this keeps to one check.
        self._turn = asyncio.Lock()
        # Apart, so that a flood of wrong passwords can't push a right one out.
        self._right, self._wrong = _Cache(), _Cache()
        self._key = secrets.token_bytes(32)
        self._waiting: Counter[str] = Counter()

    async def check(
        self, user: str, password: bytes, *, users: Mapping[str, bytes], address: str
    ) -> bool | None:
        """Return whether user and password fit; None where too many wait already."""
        expected = users.get(user) or self._nobody(user, users)
        name = self._digest(user.encode(), password, expected)
        known = self._known(name)
        if known is not None:
            return known
        if self._waiting.total() >= _MOST_WAITING or self._waiting[address] >= _MOST_WAITING_PER_ADDRESS:
            return None
        self._waiting[address] += 1
        try:
            async with self._turn:
                return await self._decide(name, password, expected, exists=user in users)
        finally:
            self._waiting[address] -= 1
            self._waiting += Counter()  # forgets those that are at nought

    async def _decide(self, name: bytes, password: bytes, expected: bytes, *, exists: bool) -> bool:
        known = self._known(name)  # by somebody who waited before
        if known is not None:
            return known
        loop = asyncio.get_running_loop()
        fits = await loop.run_in_executor(self._worker, self._fits, password, expected) and exists
        (self._right if fits else self._wrong).add(name)
        return fits

    def _known(self, name: bytes) -> bool | None:
        if self._right.holds(name):
            return True
        return False if self._wrong.holds(name) else None

    def _nobody(self, user: str, users: Mapping[str, bytes]) -> bytes:
        """Return a hash for a user who doesn't exist.

        It costs what some user's does, for each name always the same one's, so that time tells nothing.
        """
        hashes = sorted(users.values())
        like = hashes[self._digest(user.encode())[0] % len(hashes)]
        return b"$2b$" + like[_COST] + _NOBODY

    def _digest(self, *parts: bytes) -> bytes:
        """Return a name for the cache from which nobody can find the password."""
        joined = b"".join(len(part).to_bytes(4, "big") + part for part in parts)
        return hmac.new(self._key, joined, hashlib.sha256).digest()


class _Cache:
    """The names that were looked for last."""

    def __init__(self) -> None:
        self._names: OrderedDict[bytes, None] = OrderedDict()

    def holds(self, name: bytes) -> bool:
        if name not in self._names:
            return False
        self._names.move_to_end(name)
        return True

    def add(self, name: bytes) -> None:
        self._names[name] = None
        if len(self._names) > _MOST_CACHED:
            self._names.popitem(last=False)


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
