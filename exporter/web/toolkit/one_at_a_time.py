"""Slow answers: made one at a time, off the event loop, for a bounded number of clients."""

import asyncio
import threading
import time
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from typing import Generic, TypeVar

from starlette.requests import Request
from starlette.types import Receive

from exporter.web.toolkit.protocol import HAS_ENDED

T = TypeVar("T")

# For each second of computing. Without rests, a flood of such requests would keep the event loop from its CPU.
_REST_SECONDS = 3.0


class NotAnsweredError(Exception):
    """Too many are waiting already, or the client has hung up."""


@dataclass(eq=False, slots=True)
class _Job(Generic[T]):
    call: Callable[[], T]
    request: Request
    answer: "asyncio.Future[T]"

    @property
    def is_wanted(self) -> bool:
        return not self.request.scope.get("state", {}).get(HAS_ENDED, bool)()


@dataclass(eq=False)
class OneAtATime(Generic[T]):
    """Runs calls on threads, one after the other; `max_waiting` more may wait. Used from one event loop.

    At most a quarter of the time is spent on computing them: after a call, the next one waits accordingly.
    The threads are daemons: asyncio's and anyio's own would keep the process alive until a call returns.
    """

    name: str
    max_waiting: int
    _waiting: deque[_Job[T]] = field(default_factory=deque, init=False)
    _running: bool = field(default=False, init=False)

    async def run(self, call: Callable[[], T], request: Request) -> T:
        """Return what the call returns. A client that hangs up waits no more, but what has begun is completed.

        Raises NotAnsweredError, and what the call raises.
        """
        self._drop_unwanted()
        if self._running and len(self._waiting) >= self.max_waiting:
            raise NotAnsweredError
        job: _Job[T] = _Job(call, request, asyncio.get_running_loop().create_future())
        self._waiting.append(job)
        self._start_next()
        broken = asyncio.ensure_future(_broken(request.receive))
        try:
            await asyncio.wait((job.answer, broken), return_when=asyncio.FIRST_COMPLETED)
            if not job.answer.done():
                raise NotAnsweredError
            return job.answer.result()
        finally:
            broken.cancel()
            job.answer.cancel()
            with suppress(ValueError):
                self._waiting.remove(job)

    def _drop_unwanted(self) -> None:
        for job in [job for job in self._waiting if not job.is_wanted]:
            self._waiting.remove(job)
            job.answer.set_exception(NotAnsweredError())

    def _start_next(self) -> None:
        if self._waiting and not self._running:
            self._running = True
            arguments = (self._waiting.popleft(), asyncio.get_running_loop())
            threading.Thread(target=self._work, args=arguments, name=self.name, daemon=True).start()

    def _work(self, job: _Job[T], loop: asyncio.AbstractEventLoop) -> None:
        settle: Callable[[], None]
        before = time.thread_time()
        try:
            settle = partial(job.answer.set_result, job.call())
        except Exception as error:  # noqa: BLE001  raised again where the answer is awaited
            settle = partial(job.answer.set_exception, error)
        with suppress(RuntimeError):  # the loop is closed, the process is about to exit
            loop.call_soon_threadsafe(self._finish, job, settle, time.thread_time() - before)

    def _finish(self, job: _Job[T], settle: Callable[[], None], computed_seconds: float) -> None:
        if not job.answer.done():  # its client is still there
            settle()
        asyncio.get_running_loop().call_later(_REST_SECONDS * computed_seconds, self._go_on)

    def _go_on(self) -> None:
        self._running = False
        self._drop_unwanted()
        self._start_next()


async def _broken(receive: Receive) -> None:
    """Return when the connection is broken; what the client sends until then is dropped."""
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            return
        await asyncio.sleep(0)  # what was received already is returned without a pause
