"""A request as it came in and an answer as it is to go out: plain values between server and services."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from urllib.parse import parse_qsl

from partnercenter_simulator.wire import Json, dump

JSON = "application/json; charset=utf-8"
HTML = "text/html; charset=utf-8"
TEXT = "text/plain; charset=utf-8"


@dataclass(frozen=True, slots=True)
class Call:
    """One request. Header names are in lower case; `origin` is the https address that the client used."""

    method: str
    path: str
    origin: str
    query: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    headers: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    body: bytes = b""

    @property
    def form(self) -> Mapping[str, str]:
        """The body as an urlencoded form, as OAuth's token endpoint takes it; the last of a name wins."""
        return dict(parse_qsl(self.body.decode("utf-8", "replace")))


@dataclass(frozen=True, slots=True)
class Pace:
    """How an answer goes out: whole and at once, unless a fault says otherwise. Seconds are upper bounds."""

    first_byte_seconds: float = 0.0
    pieces: int = 1
    piece_seconds: float = 0.0
    stall_seconds: float = 0.0  # half the body, then silence
    padding_bytes: int = 0  # blanks streamed ahead of the body
    cut: bool = False  # half of what Content-Length promises, then the end of the connection
    reset: bool = False  # a TCP reset: in place of an answer, or after a half
    raw: bytes = b""  # bytes as they are, ahead of the answer, or in its place where it has no status
    drip_seconds: float = 0.0  # between two lines of a head without end


AT_ONCE = Pace()


@dataclass(frozen=True, slots=True)
class Reply:
    """One answer. Content-Length and Date are added on the way out."""

    status: int = 200
    body: bytes = b""
    content_type: str = JSON
    headers: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    pace: Pace = AT_ONCE

    def plus(self, **headers: str) -> "Reply":
        """Return the same answer with more headers; an underscore in a name stands for a hyphen."""
        added = {name.replace("_", "-"): value for name, value in headers.items()}
        return replace(self, headers={**self.headers, **added})


@dataclass(frozen=True, slots=True)
class Route:
    """Where a request goes: the endpoint's name, as in the fault plan and the request log, and its code."""

    endpoint: str
    answer: Callable[[Call], Reply]


def json_reply(document: Json, *, status: int = 200) -> Reply:
    """Answer with JSON without a byte-order mark."""
    return Reply(status, dump(document))


def text_reply(text: str, *, status: int = 200) -> Reply:
    """Answer with plain text."""
    return Reply(status, text.encode(), TEXT)
