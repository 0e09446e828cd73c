"""Requests of another process to poll now: one small file in the state directory, which the exporter looks at."""

from collections.abc import Collection
from functools import partial

import msgspec

from exporter.files import Signature, StateDirectory
from exporter.logs import Logger
from exporter.model.rows import SourceName
from exporter.saved_state import SavedState

Polled = tuple[str, SourceName]
"""A partner and one of its sources."""

_FILE = "poll-requests.json"
# What nobody has answered by then means nothing any more.
_LASTS_SECONDS = 300.0


class _Request(msgspec.Struct, frozen=True):
    partner: str
    source: SourceName
    at: float  # Unix seconds

    def holds(self, now: float) -> bool:
        """Return whether it is new enough; a clock that was ahead must not make it hold for ever."""
        return abs(now - self.at) <= _LASTS_SECONDS


_decode = partial(msgspec.json.decode, type=tuple[_Request, ...])


def ask(directory: StateDirectory, wanted: Collection[Polled], log: Logger, *, now: float) -> None:
    """Ask the running exporter for polls; what others have asked for stays. Raises StateError."""

    def merged() -> bytes:
        requests = {(it.partner, it.source): it for it in SavedState(directory, log).load(_FILE, _decode) or ()}
        requests |= {(partner, source): _Request(partner, source, now) for partner, source in wanted}
        return msgspec.json.encode([request for request in requests.values() if request.holds(now)]) + b"\n"

    directory.update(_FILE, merged)


class PollRequests:
    """What is asked for from `since` on, in Unix seconds. A file that means nothing is logged and ignored."""

    def __init__(self, directory: StateDirectory, log: Logger, *, since: float) -> None:
        self._directory, self._since = directory, since
        self._files = SavedState(directory, log)
        self._signature: Signature = (None,)
        self._seen: frozenset[_Request] = frozenset()

    def new(self, *, now: float) -> Collection[Polled]:
        """Return what somebody has asked for since the last call."""
        before, self._signature = self._signature, self._directory.signature(_FILE)
        if self._signature == before:
            return ()
        seen, self._seen = self._seen, frozenset(self._files.load(_FILE, _decode) or ())
        return {(it.partner, it.source) for it in self._seen - seen if it.at >= self._since and it.holds(now)}
