"""Which requests are turned away unread while connections crowd, so that a flood of them costs others little time."""

import math
import re
from collections.abc import Collection
from dataclasses import dataclass, field

_WORDS = b"too many requests at once\n"
BUSY = (
    b"HTTP/1.1 503 Service Unavailable\r\n"
    b"Content-Type: text/plain; charset=utf-8\r\n"
    b"Content-Length: %d\r\n"
    b"Retry-After: 1\r\n"
    b"Connection: close\r\n\r\n"
    b"%b"
) % (len(_WORDS), _WORDS)
"""The answer, whole: to parse the request and make an answer for it would take several times as long."""
_INTERVAL_SECONDS = 1.0
_READ = re.compile(rb"(?:GET|HEAD) (?:https?://[^/?# ]*)?(?P<path>/[^?# ]*)[?# ]")


@dataclass(eq=False)
class Surplus:
    """Counts the requests of a second; those for `urgent_paths` are never too many."""

    per_second: int
    urgent_paths: Collection[str]
    _count: int = field(default=0, init=False)
    _since: float = field(default=-math.inf, init=False)

    def takes(self, received: bytes, now: float) -> bool:
        """Return whether a request that begins like this is one too many; `now` is the event loop's."""
        request = _READ.match(received)
        if request and request["path"].decode("latin-1") in self.urgent_paths:
            return False
        if now - self._since >= _INTERVAL_SECONDS:
            self._since, self._count = now, 0
        self._count += 1
        return self._count > self.per_second
