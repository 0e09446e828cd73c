"""A log of the requests received, for tests and for people watching."""

import hashlib
import threading
from collections import Counter, deque
from collections.abc import Mapping
from dataclasses import dataclass

from partnercenter_simulator.exchange import Call

_MAX_REQUESTS = 10_000


@dataclass(frozen=True, slots=True)
class Request:
    """A request and the HTTP status of its response (0: no response).

    `time` is in seconds since 1970. Header names are in lower case. The Authorization header is kept as a
    digest, which distinguishes tokens without revealing them.
    """

    time: float
    method: str
    path: str
    query: Mapping[str, str]
    headers: Mapping[str, str]
    status: int
    endpoint: str


class RequestLog:
    """The last 10,000 requests to the services, oldest first. A request is added when its response starts."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._requests: deque[Request] = deque(maxlen=_MAX_REQUESTS)
        self._counts: Counter[str] = Counter()

    def add(self, call: Call, *, endpoint: str, status: int, time: float) -> None:
        """Add a request and wake every thread that waits for it."""
        headers = dict(call.headers)
        if "authorization" in headers:
            headers["authorization"] = _digest(headers["authorization"])
        request = Request(time, call.method, call.path, call.query, headers=headers, status=status, endpoint=endpoint)
        with self._changed:
            self._requests.append(request)
            self._counts[endpoint] += 1
            self._changed.notify_all()

    def keep(self, newest: int) -> None:
        """Keep only this many requests from now on, for long runs."""
        with self._changed:
            self._requests = deque(self._requests, maxlen=newest)

    def of(self, endpoint: str = "any") -> tuple[Request, ...]:
        """Return the requests to an endpoint of `faults.ENDPOINTS`, except `insights`, or to `unknown`."""
        with self._changed:
            return tuple(request for request in self._requests if endpoint in ("any", request.endpoint))

    def count(self, endpoint: str = "any") -> int:
        """Return how many requests an endpoint, or any, has had in total."""
        with self._changed:
            return self._count(endpoint)

    def wait_for(self, n: int, endpoint: str = "any", timeout: float = 60.0) -> tuple[Request, ...]:
        """Wait until an endpoint has had n requests and return them.

        Raises TimeoutError after `timeout` seconds.
        """
        with self._changed:
            if not self._changed.wait_for(lambda: self._count(endpoint) >= n, timeout):
                raise TimeoutError(f"{endpoint} had {self._count(endpoint)} of {n} requests within {timeout:g} s")
        return self.of(endpoint)

    def _count(self, endpoint: str) -> int:
        return self._counts.total() if endpoint == "any" else self._counts[endpoint]


def _digest(authorization: str) -> str:
    scheme, _, credential = authorization.partition(" ")
    return f"{scheme} sha256:{hashlib.sha256(credential.encode()).hexdigest()[:16]}"
