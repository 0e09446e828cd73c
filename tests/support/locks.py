"""Locks that another program holds, as a hung network share's look."""

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_HOLD = "import fcntl, sys; f = open(sys.argv[1]); fcntl.flock(f, fcntl.LOCK_EX); print(flush=True); sys.stdin.read()"


@contextmanager
def held_by_another_process(lock: Path) -> Iterator[None]:
    """Hold the lock on a file that exists."""
    command = [sys.executable, "-c", _HOLD, str(lock)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:  # noqa: S603  our own program
        assert process.stdout is not None
        process.stdout.readline()
        try:
            yield
        finally:
            process.kill()
