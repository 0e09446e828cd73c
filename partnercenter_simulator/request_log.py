"""What the simulator was asked, for tests and for people who watch it."""

import hashlib
import threading
from collections import Counter, deque
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from partnercenter_simulator.exchange import Call

_KEPT = 10_000


@dataclass(frozen=True, slots=True)
class Request:
    """One request and the status that it earned (0 where none was sent).

    `time` is in seconds since 1970. Header names are in lower case; the Authorization header is kept as a
    digest that tells two tokens apart and gives neither away.
    """

    time: float
    method: str
    path: str
    query: Mapping[str, str]
    headers: Mapping[str, str]
    status: int
    endpoint: str


class RequestLog:
    """The newest requests to the services (10,000), oldest first; an entry is made as the answer starts."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._requests: deque[Request] = deque(maxlen=_KEPT)
        self._counts: Counter[str] = Counter()

    def add(self, call: Call, *, endpoint: str, status: int, time: float) -> None:
        """Record a request and wake whoever waits for it."""
        headers = dict(call.headers)
        if "authorization" in headers:
            headers["authorization"] = _digest(headers["authorization"])
        entry = Request(
            time,
            call.method,
            call.path,
            call.query,
            MappingProxyType(headers),
            status=status,
            endpoint=endpoint,
        )
        with self._changed:
            self._requests.append(entry)
            self._counts[endpoint] += 1
            self._changed.notify_all()

    def keep(self, newest: int) -> None:
        """Keep no more than that many requests from now on: for runs whose memory is watched."""
        with self._changed:
            self._requests = deque(self._requests, maxlen=newest)

    def of(self, endpoint: str = "any") -> tuple[Request, ...]:
        """Return the requests to usage, deployment, token, discovery, authorize, unknown or any."""
        with self._changed:
            return tuple(r for r in self._requests if endpoint in ("any", r.endpoint))

    def count(self, endpoint: str = "any") -> int:
        """Return how many requests an endpoint, or any, ever had."""
        with self._changed:
            return self._count(endpoint)

    def wait_for(self, n: int, endpoint: str = "any", timeout: float = 10.0) -> tuple[Request, ...]:
        """Block until an endpoint has had n requests, and return them; raise TimeoutError after seconds."""
        with self._changed:
            if not self._changed.wait_for(lambda: self._count(endpoint) >= n, timeout):
                raise TimeoutError(
                    f"{endpoint} had {self._count(endpoint)} of {n} requests within {timeout:g} s"
                )
        return self.of(endpoint)

    def _count(self, endpoint: str) -> int:
        return self._counts.total() if endpoint == "any" else self._counts[endpoint]


def _digest(authorization: str) -> str:
    scheme, _, credential = authorization.partition(" ")
    return f"{scheme} sha256:{hashlib.sha256(credential.encode()).hexdigest()[:16]}"
