"""A thread for file operations that may hang: a network share whose server is gone, a disk that stops answering.

Nothing ends such an operation, not even a signal. So whoever needs one lets this thread do it, and waits for it no
longer than a deadline.
"""

import errno
import queue
import threading
import weakref
from collections.abc import Callable
from concurrent.futures import Future, wait
from typing import TypeVar

T = TypeVar("T")
_Operations = queue.SimpleQueue[Callable[[], None] | None]


class NotAnsweringError(OSError):
    """A file operation has not come to an end in time. It may still do so, at any time."""


class Disk:
    """Does one operation after the other. Safe for threads.

    After one that has hung for longer than its deadline, others fail at once, until it has ended.
    """

    def __init__(self) -> None:
        self._operations: _Operations = queue.SimpleQueue()
        self._thread: threading.Thread | None = None
        self._start_lock = threading.Lock()
        self._abandoned_has_ended: Callable[[], bool] = lambda: True
        weakref.finalize(self, self._operations.put, None)  # ends the thread

    @property
    def answers(self) -> bool:
        """Whether no operation hangs that somebody has given up."""
        return self._abandoned_has_ended()

    def run(self, operation: Callable[[], T], *, timeout_seconds: float) -> T:
        """Return what the operation returns, or raise what it raises.

        Raises NotAnsweringError after the timeout: the operation hangs then, or will not be begun any more. Raises
        OSError where the system has no thread left. An operation must not run others here: it would wait for itself.
        """
        if not self.answers:
            raise NotAnsweringError(errno.ETIMEDOUT, "the file system has stopped answering")
        self._start()
        future = Future[T]()
        self._operations.put(lambda: _do(operation, future))
        wait([future], timeout_seconds)
        if not future.done():
            if not future.cancel():
                self._abandoned_has_ended = future.done
            raise NotAnsweringError(errno.ETIMEDOUT, f"the file system has not answered for {timeout_seconds:.3g} s")
        return future.result()

    def _start(self) -> None:
        with self._start_lock:
            if self._thread:
                return
            # It may hang for ever, which must not keep the process alive.
            thread = threading.Thread(target=_work, args=(self._operations,), name="disk", daemon=True)
            try:
                thread.start()
            except RuntimeError as error:
                raise OSError(errno.EAGAIN, "the system has no thread left") from error
            self._thread = thread


def _work(operations: _Operations) -> None:
    while operation := operations.get():
        operation()
        del operation  # what it holds may be what ends this thread


def _do(operation: Callable[[], T], future: Future[T]) -> None:
    if not future.set_running_or_notify_cancel():
        return
    try:
        future.set_result(operation())
    except BaseException as error:  # noqa: BLE001  whoever waits for it raises it
        future.set_exception(error)
