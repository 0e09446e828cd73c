"""Commands in this process, against a simulator; those that serve are stopped with SIGTERM."""

import os
import signal
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager

import pytest

from tests.support.application import threads
from tests.support.logs import LogStream
from tests.support.process import restored_process, until


@pytest.fixture(autouse=True)
def own_process(log_stream: LogStream) -> Iterator[None]:
    """Leave this process as it was; a signal that comes too late does nothing."""
    del log_stream  # everything is logged
    with restored_process():
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        yield
        until(lambda: threads() == 0)


@contextmanager
def visited(visit: Callable[[], str]) -> Iterator[Future[str]]:
    """Visit in another thread what this thread serves meanwhile, and stop that with SIGTERM."""

    def visit_and_stop() -> str:
        try:
            return visit()
        finally:
            os.kill(os.getpid(), signal.SIGTERM)

    with ThreadPoolExecutor(max_workers=1) as pool:
        yield pool.submit(visit_and_stop)
