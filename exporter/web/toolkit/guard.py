"""Basic authentication and extra headers in front of the application, as exporter-toolkit does it."""

import asyncio
import base64
import hmac
import secrets
from collections import deque
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import KW_ONLY, dataclass

import bcrypt
from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from exporter.web.toolkit.config_file import WebSettings
from exporter.web.toolkit.turns import Turns

# Probes have no password.
_OPEN_PATHS = ("/-/healthy", "/-/ready")
# Salt and hash of an unknown password.
_UNKNOWN = b"$CwTycUXWue0Thq9StjUM0uJ8Y8x2yQ7k2uX0xX3vQ9z1w6m7n5p5K"
_COST = slice(4, 6)
_MAX_WRONG = 100
_MAX_WAITING = 32
_MAX_WAITING_PER_ADDRESS = 8
# bcrypt reads no more than this; bcrypt 5 raises on longer ones, while Go's and older ones cut.
_MAX_PASSWORD_BYTES = 72


def _matches(password: bytes, expected: bytes) -> bool:
    try:
        return bcrypt.checkpw(password[:_MAX_PASSWORD_BYTES], expected)
    except ValueError:
        return False


@dataclass(eq=False)
class Guard:
    """Wraps an ASGI application. `matches` says whether a password belongs to a bcrypt hash."""

    application: ASGIApp
    settings: Callable[[], WebSettings]
    _: KW_ONLY
    matches: Callable[[bytes, bytes], bool] = _matches

    def __post_init__(self) -> None:
        self._passwords = _Passwords(self.matches)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer 401 or pass the request on; every answer gets the configured headers."""
        settings = self.settings()

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message).update(dict(settings.headers))
            await send(message)

        handler = self.application
        if settings.users and scope["path"] not in _OPEN_PATHS:
            handler = await self._authenticate(scope, settings.users)
        await handler(scope, receive, send_with_headers)

    async def _authenticate(self, scope: Scope, users: Mapping[str, bytes]) -> ASGIApp:
        """Return what answers the request."""
        credentials = _credentials(Headers(scope=scope).get("authorization", ""))
        if credentials is not None:
            address = scope["client"][0] if scope.get("client") else ""
            allowed = await self._passwords.check(*credentials, users=users, address=address)
            if allowed is None:
                return PlainTextResponse("too many sign-ins at once\n", 503, {"Retry-After": "1"})
            if allowed:
                return self.application
        return PlainTextResponse("Unauthorized\n", 401, {"WWW-Authenticate": "Basic"})


class _Passwords:
    """Checks passwords one at a time, off the event loop: bcrypt is slow on purpose.

    Results are remembered, right and wrong ones apart, so that a flood of wrong passwords can't displace a
    right one: the last right one of each user, and the last hundred wrong ones.
    """

    def __init__(self, matches: Callable[[bytes, bytes], bool]) -> None:
        self._matches = matches
        # A daemon thread would be no better: in bcrypt's Rust it can't be ended without ending the process.
        self._worker = ThreadPoolExecutor(max_workers=1, thread_name_prefix="bcrypt")
        # At exit the worker finishes what it was given: with these, one check.
        self._turns = Turns(_MAX_WAITING, _MAX_WAITING_PER_ADDRESS)
        self._right: dict[str, bytes] = {}
        self._wrong: deque[bytes] = deque(maxlen=_MAX_WRONG)
        self._key = secrets.token_bytes(32)

    async def check(self, user: str, password: bytes, *, users: Mapping[str, bytes], address: str) -> bool | None:
        """Return whether the password is the user's; None if too many are waiting already."""
        expected = users.get(user) or self._unknown_user_hash(user, users)
        digest = self._digest(user.encode(), password, expected)
        known = self._known(user, digest)
        if known is not None:
            return known
        async with self._turns.turn(address) as has_turn:
            known = self._known(user, digest)  # from a request that waited before this one
            if known is None and has_turn:
                matches = await asyncio.get_running_loop().run_in_executor(
                    self._worker, self._matches, password, expected
                )
                known = matches and user in users
                if known:
                    self._right[user] = digest
                else:
                    self._wrong.append(digest)
            return known

    def _known(self, user: str, digest: bytes) -> bool | None:
        if self._right.get(user) == digest:
            return True
        return False if digest in self._wrong else None

    def _unknown_user_hash(self, user: str, users: Mapping[str, bytes]) -> bytes:
        """Return a hash for a user who doesn't exist.

        It costs as much as some user's, for each name always the same one's, so that timing reveals nothing.
        """
        hashes = sorted(users.values())
        similar = hashes[self._digest(user.encode())[0] % len(hashes)]
        return b"$2b$" + similar[_COST] + _UNKNOWN

    def _digest(self, *parts: bytes) -> bytes:
        """Return an in-memory digest of the credentials, from which the password can't be recovered."""
        joined = b"".join(len(part).to_bytes(4, "big") + part for part in parts)
        return hmac.digest(self._key, joined, "sha256")


def _credentials(header: str) -> tuple[str, bytes] | None:
    scheme, _, encoded = header.partition(" ")
    if scheme.lower() != "basic":
        return None
    try:
        user, colon, password = base64.b64decode(encoded.strip(), validate=True).partition(b":")
        return (user.decode(), password) if colon else None
    except ValueError:
        return None
