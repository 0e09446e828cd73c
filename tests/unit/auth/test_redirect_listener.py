"""A listener that is interrupted while it begins."""

import threading
from collections.abc import Callable

import pytest

from exporter.auth.redirect_listener import RedirectListener

Start = Callable[[threading.Thread], None]


def before(_thread: threading.Thread, _start: Start) -> None: ...


def after(thread: threading.Thread, start: Start) -> None:
    start(thread)


@pytest.mark.parametrize("begin", [before, after])
def test_ctrl_c_while_its_thread_starts_leaves_nothing_behind_and_raises_nothing_else(
    monkeypatch: pytest.MonkeyPatch, begin: Callable[[threading.Thread, Start], None]
) -> None:
    start, others = threading.Thread.start, set(threading.enumerate())

    def interrupted(thread: threading.Thread) -> None:
        begin(thread, start)
        raise KeyboardInterrupt

    listener = RedirectListener(0)
    with monkeypatch.context() as patched:
        patched.setattr(threading.Thread, "start", interrupted)
        with pytest.raises(KeyboardInterrupt):
            listener.serve(lambda _: None)
    listener.close()
    assert not {thread for thread in threading.enumerate() if thread.name == "redirect"} - others


def test_a_thread_that_begins_once_all_is_closed_ends_without_a_word() -> None:
    listener = RedirectListener(0)
    listener.close()
    listener._run()
