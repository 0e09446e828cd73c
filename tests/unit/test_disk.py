"""File operations that may hang: nobody waits for one longer than its deadline."""

import gc
import threading
from collections.abc import Callable

import pytest

from exporter.disk import Disk, NotAnsweringError
from tests.support.process import PATIENCE_SECONDS, until


def test_an_operation_returns_what_it_returns_and_raises_what_it_raises() -> None:
    disk = Disk()
    assert disk.run(lambda: 5, timeout_seconds=PATIENCE_SECONDS) == 5
    with pytest.raises(ZeroDivisionError):
        disk.run(lambda: 1 / 0, timeout_seconds=PATIENCE_SECONDS)
    with pytest.raises(TimeoutError, match="of its own"):
        disk.run(time_out, timeout_seconds=PATIENCE_SECONDS)
    assert disk.answers


def time_out() -> None:
    raise TimeoutError("of its own")


def give_up(disk: Disk, operation: Callable[[], object]) -> None:
    """Give up an operation that has begun, which on a busy machine may take several tries."""
    while disk.answers:
        with pytest.raises(NotAnsweringError, match=r"has not answered for 0\.01 s"):
            disk.run(operation, timeout_seconds=0.01)


def test_after_one_that_hangs_others_fail_at_once_until_it_has_ended() -> None:
    disk, go_on = Disk(), threading.Event()
    give_up(disk, go_on.wait)
    begun: list[int] = []
    with pytest.raises(NotAnsweringError, match="has stopped answering"):
        disk.run(lambda: begun.append(1), timeout_seconds=1e6)
    go_on.set()
    until(lambda: disk.answers)
    disk.run(lambda: begun.append(2), timeout_seconds=PATIENCE_SECONDS)
    assert begun == [2]


def test_one_that_was_given_up_before_its_turn_is_never_begun() -> None:
    disk, go_on, hanging = Disk(), threading.Event(), threading.Event()

    def hang() -> None:
        hanging.set()
        go_on.wait(PATIENCE_SECONDS)

    slow = threading.Thread(target=disk.run, args=(hang,), kwargs={"timeout_seconds": PATIENCE_SECONDS})
    slow.start()
    hanging.wait(PATIENCE_SECONDS)
    begun: list[int] = []
    with pytest.raises(NotAnsweringError):
        disk.run(lambda: begun.append(1), timeout_seconds=0.01)
    assert disk.answers  # the first one still has time
    go_on.set()
    slow.join(PATIENCE_SECONDS)
    disk.run(lambda: begun.append(2), timeout_seconds=PATIENCE_SECONDS)
    assert begun == [2]


def test_its_thread_ends_with_it() -> None:
    disk = Disk()
    thread = disk.run(threading.current_thread, timeout_seconds=PATIENCE_SECONDS)
    assert thread.daemon
    del disk
    gc.collect()
    thread.join(PATIENCE_SECONDS)
    assert not thread.is_alive()
