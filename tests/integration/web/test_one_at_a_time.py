"""How much of the time slow answers may take."""

import asyncio
import time
from typing import Any

from starlette.requests import Request
from starlette.types import Message

from exporter.web.toolkit.one_at_a_time import OneAtATime


class NotingLoop(asyncio.SelectorEventLoop):
    """Notes how long it is to wait."""

    def __init__(self) -> None:
        super().__init__()
        self.delays: list[float] = []

    def call_later(self, delay: float, callback: Any, *args: Any, context: Any = None) -> Any:  # type: ignore[override]
        """Call it later."""
        self.delays.append(delay)
        return super().call_later(delay, callback, *args, context=context)


async def never() -> Message:
    await asyncio.get_running_loop().create_future()
    raise AssertionError


def compute() -> float:
    began = time.thread_time()
    while (taken := time.thread_time() - began) < 0.05:
        pass
    return taken


def test_the_next_call_waits_three_times_as_long_as_the_last_one_computed() -> None:
    jobs = OneAtATime[float]("test", 4)
    request = Request({"type": "http"}, never)

    async def several() -> list[float]:
        return await asyncio.gather(*(jobs.run(compute, request) for _ in range(2)))

    loop = NotingLoop()
    try:
        taken = loop.run_until_complete(several())
    finally:
        loop.close()
    assert len(loop.delays) == 2
    assert all(rest >= 3 * seconds for rest, seconds in zip(loop.delays, taken, strict=True))


def test_a_call_that_only_waits_makes_the_next_one_wait_hardly_longer() -> None:
    jobs = OneAtATime[bool]("test", 4)
    request = Request({"type": "http"}, never)
    loop = NotingLoop()
    asleep = asyncio.Event()

    def wait() -> bool:
        return asyncio.run_coroutine_threadsafe(asleep.wait(), loop).result()

    async def waits() -> bool:
        waiting = asyncio.ensure_future(jobs.run(wait, request))
        loop.call_at(loop.time() + 0.2, asleep.set)
        return await waiting

    try:
        assert loop.run_until_complete(waits())
    finally:
        loop.close()
    [rest] = loop.delays
    assert rest < 0.2
