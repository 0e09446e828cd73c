"""A connection to a host of which some addresses may be dead: happy eyeballs (RFC 8305), within the deadline."""

import errno
import os
import selectors
import socket
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future
from itertools import zip_longest
from typing import Any, Generic, TypeVar

S = TypeVar("S", bound=socket.socket)

# What getaddrinfo returns of an address: family, kind, protocol, canonical name, and what `connect` takes.
Address = tuple[int, int, int, str, Any]
Lookup = Callable[[str, int], Sequence[Address]]
TimeLeft = Callable[[], float]
"""The seconds until the deadline, which may be infinite; raises TimeoutError once it has passed."""

# RFC 8305, 5: how long an address may take until the next one is tried beside it.
_ATTEMPT_DELAY_SECONDS = 0.25
# A lookup that takes longer may never end: the next request starts another.
_MAX_SHARED_SECONDS = 300.0
# Far more than there are at a time: a name's addresses change.
_MAX_USELESS = 256
# What the system takes for a time-out; longer than any request may take.
_MAX_WAIT_SECONDS = 86_400.0


def system_lookup(host: str, port: int) -> Sequence[Address]:
    """Return the addresses in the order in which the system prefers them; raises OSError, UnicodeError."""
    return socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)


class NotConnectedError(OSError):
    """No address accepted a connection. `tried` are those tried, each with why not, None if it has not answered."""

    def __init__(self, error: OSError, tried: Sequence[tuple[Any, OSError | None]]) -> None:
        super().__init__(error.errno, error.strerror or str(error))
        self.tried = tried


class NotConnectedInTimeError(NotConnectedError, TimeoutError):
    """The same at the deadline."""


class Resolver:
    """Looks up names within a deadline, which the system's resolver doesn't know.

    A lookup that takes longer goes on, on a thread that no exit waits for, and all who ask for the name share it.
    """

    def __init__(self, lookup: Lookup = system_lookup, *, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._lookup = lookup
        self._monotonic = monotonic
        self._lock = threading.Lock()
        self._under_way: dict[tuple[str, int], tuple[Future[Sequence[Address]], float]] = {}

    def addresses(self, host: str, port: int, time_left: TimeLeft) -> Sequence[Address]:
        """Return the addresses of a host; raises OSError, UnicodeError, TimeoutError."""
        with self._lock:
            answer, began_at = self._under_way.get((host, port), (None, 0.0))
            if answer is None or self._monotonic() - began_at > _MAX_SHARED_SECONDS:
                answer = self._start(host, port)
        return answer.result(min(time_left(), _MAX_WAIT_SECONDS))

    def _start(self, host: str, port: int) -> Future[Sequence[Address]]:
        answer: Future[Sequence[Address]] = Future()
        thread = threading.Thread(target=self._find, args=(host, port, answer), name=f"resolve {host}", daemon=True)
        try:
            thread.start()
        except RuntimeError as error:
            raise OSError(errno.EAGAIN, "no thread to resolve the host name") from error
        self._under_way[host, port] = (answer, self._monotonic())
        return answer

    def _find(self, host: str, port: int, answer: Future[Sequence[Address]]) -> None:
        try:
            answer.set_result(self._lookup(host, port))
        except Exception as error:  # noqa: BLE001  whatever it is, those who asked get it
            answer.set_exception(error)
        with self._lock:
            if self._under_way.get((host, port), (None,))[0] is answer:
                del self._under_way[host, port]


class UselessAddresses:
    """What accepted a connection with which TLS came to nothing, such as IPv6 on whose way large packets get lost.

    Holds what `connect` takes of an address, the newest ones; yields first what came to nothing the longest ago. Safe
    for threads.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._places: dict[Any, None] = {}

    def __iter__(self) -> Iterator[Any]:
        with self._lock:
            return iter(list(self._places))

    def note(self, place: Any, *, useless: bool) -> None:
        """Note how TLS ended."""
        with self._lock:
            self._places.pop(place, None)
            if useless:
                self._places[place] = None
            if len(self._places) > _MAX_USELESS:
                del self._places[next(iter(self._places))]


def connect_to_first(
    addresses: Sequence[Address],
    open_socket: Callable[[int, int, int], S],
    time_left: TimeLeft,
    *,
    last: Iterable[Any] = (),
) -> S:
    """Return a socket, which doesn't block, connected to the address that answers first.

    `last` are tried last, in that order.
    Raises NotConnectedError with the reason of the last address if all fail, NotConnectedInTimeError at the deadline.
    """
    order = {place: number for number, place in enumerate(last)}
    suspect = sorted((address for address in addresses if address[4] in order), key=lambda it: order[it[4]])
    waiting = deque([*_alternating([address for address in addresses if address[4] not in order]), *suspect])
    attempts = _Attempts(open_socket)
    try:
        while waiting or attempts.under_way:
            if waiting and not attempts.begin(waiting.popleft()):
                continue
            left = time_left()
            connection = attempts.first_to_answer(min(left, _ATTEMPT_DELAY_SECONDS) if waiting else left)
            if connection:
                return connection
        raise NotConnectedError(attempts.failure, attempts.tried)
    except TimeoutError as error:
        raise NotConnectedInTimeError(error, attempts.tried) from error
    finally:
        attempts.close()


def _alternating(addresses: Sequence[Address]) -> list[Address]:
    """Return the addresses with the two families in turns, as one of them may lead nowhere (RFC 8305, 4)."""
    first = [address for address in addresses if address[0] == addresses[0][0]]
    second = [address for address in addresses if address[0] != addresses[0][0]]
    return [address for pair in zip_longest(first, second) for address in pair if address]


class _Attempts(Generic[S]):
    """The connections that are being made to one host."""

    def __init__(self, open_socket: Callable[[int, int, int], S]) -> None:
        self.failure = OSError(0, "the host has no address")
        self._tried: dict[Any, OSError | None] = {}
        self._open_socket = open_socket
        self._selector = selectors.PollSelector()  # the one that needs no file descriptor

    @property
    def tried(self) -> Sequence[tuple[Any, OSError | None]]:
        """What was tried so far, as `connect` takes it, each with why it failed."""
        return tuple(self._tried.items())

    @property
    def under_way(self) -> bool:
        """Whether any may still succeed."""
        return bool(self._selector.get_map())

    def begin(self, address: Address) -> bool:
        """Begin to connect to an address; return whether that may succeed."""
        family, kind, protocol, _, place = address
        self._tried[place] = None
        try:
            connection = self._open_socket(family, kind, protocol)
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        except OSError as error:  # the machine lacks the family, or has no file descriptor left
            self._tried[place] = self.failure = error
            return False
        connection.setblocking(False)  # noqa: FBT003  the standard library's signature
        number = connection.connect_ex(place)
        if number in (0, errno.EINPROGRESS):
            self._selector.register(connection, selectors.EVENT_WRITE, (connection, place))
            return True
        self._fail(connection, place, number)
        return False

    def first_to_answer(self, seconds: float) -> S | None:
        """Return a socket that is connected, or None after this time or once one has failed."""
        for key, _ in self._selector.select(min(seconds, _MAX_WAIT_SECONDS)):
            connection: S = key.data[0]
            self._selector.unregister(connection)
            number = connection.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
            if number == 0:
                return connection
            self._fail(connection, key.data[1], number)
        return None

    def _fail(self, connection: socket.socket, place: Any, number: int) -> None:
        connection.close()
        self._tried[place] = self.failure = OSError(number, os.strerror(number))

    def close(self) -> None:
        """Give up those that have not answered."""
        for key in list(self._selector.get_map().values()):
            key.data[0].close()
        self._selector.close()
