"""Plain values between the server and the simulated services: the request and the response."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from urllib.parse import parse_qsl

from partnercenter_simulator.wire import Json, dump

JSON = "application/json; charset=utf-8"
HTML = "text/html; charset=utf-8"
TEXT = "text/plain; charset=utf-8"


@dataclass(frozen=True, slots=True)
class Call:
    """A request. Header names are in lower case; `origin` is the https address that the client used."""

    method: str
    path: str
    origin: str
    query: Mapping[str, str] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""

    @property
    def form(self) -> Mapping[str, str]:
        """The body as a URL-encoded form, as OAuth's token endpoint takes it; a repeated name: the last."""
        return dict(parse_qsl(self.body.decode("utf-8", "replace")))


@dataclass(frozen=True, slots=True)
class Delivery:
    """How a reply is sent: whole and at once, unless a fault says otherwise.

    Every wait ends early when the client disconnects.
    """

    first_byte_seconds: float = 0.0
    chunks: int = 1
    chunk_seconds: float = 0.0
    stall_seconds: float = 0.0  # half the body, then silence
    padding_bytes: int = 0  # spaces streamed before the body
    cut: bool = False  # half of Content-Length, then the connection closes
    reset: bool = False  # a TCP reset: instead of a response, or after half of one
    raw: bytes = b""  # sent as is before the response, or instead of it if the reply has no status
    drip_seconds: float = 0.0  # between two lines of an endless response head


@dataclass(frozen=True, slots=True)
class Reply:
    """A response; status 0 is none. Content-Length and Date are added when it is sent."""

    status: int = 200
    body: bytes = b""
    content_type: str = JSON
    headers: Mapping[str, str] = field(default_factory=dict)
    delivery: Delivery = field(default=Delivery())

    def with_headers(self, **headers: str) -> "Reply":
        """Return a copy with these headers added; an underscore in a name becomes a hyphen."""
        added = {name.replace("_", "-"): value for name, value in headers.items()}
        return replace(self, headers={**self.headers, **added})


@dataclass(frozen=True, slots=True)
class Route:
    """Who answers a request: the endpoint's name in the fault plan and request log, and its function."""

    endpoint: str
    answer: Callable[[Call], Reply]


def json_reply(document: Json, *, status: int = 200) -> Reply:
    """Return a JSON reply without a byte-order mark."""
    return Reply(status, dump(document))


def text_reply(text: str, *, status: int = 200) -> Reply:
    """Return a plain-text reply."""
    return Reply(status, text.encode(), TEXT)
