"""The program as a process of its own, forked from one that has imported everything: a second less for each start.

It is the same program, with its own descriptors, environment, signals and exit. Only imports and what Python itself
does at its start are left out: in CI, and where a test is about them, it is started as users start it.

As a program, python -m tests.support.forked DESCRIPTOR, it is the process that forks: at the socket it receives
arguments, environment and directory, with the descriptors of the child's streams and of a pipe. In this pipe a parent
of the child's own says its process id, and later its status.
"""

import atexit
import encodings
import json
import os
import pkgutil
import runpy
import select
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import IO

_LARGEST_REQUEST = 1 << 20
_STREAMS = 3
_IMPORTED = (
    "exporter.commands.run", "exporter.commands.check", "exporter.commands.login", "exporter.commands.backfill",
    "exporter.commands.demo", "exporter.commands.simulate", "exporter.web.status_page", "msal",
    "cryptography.hazmat.primitives.serialization", "cryptography.x509", "partnercenter_simulator",
)  # fmt: skip


class Forked:
    """What subprocess.Popen is, for the program: with text, and pipes for all three streams.

    Root may start it as another user, whom nothing but what was imported before need be readable for.
    """

    def __init__(
        self, arguments: Sequence[str], env: Mapping[str, str], cwd: Path | None = None, *, uid: int | None = None
    ) -> None:
        theirs, ours = zip(_pipe(0), _pipe(1), _pipe(1), _pipe(1), strict=True)
        request = json.dumps([list(arguments), dict(env), str(cwd or Path.cwd()), uid]).encode()
        socket.send_fds(_parent(), [request], theirs)
        for descriptor in theirs:
            os.close(descriptor)
        self.stdin: IO[str] = os.fdopen(ours[0], "w", encoding="utf-8")
        self.stdout: IO[str] = os.fdopen(ours[1], encoding="utf-8")
        self.stderr: IO[str] = os.fdopen(ours[2], encoding="utf-8")
        self._news: IO[str] = os.fdopen(ours[3], encoding="ascii")
        self.pid = int(self._news.readline())
        self.returncode: int | None = None

    def poll(self) -> int | None:
        """Return the exit status, or None while the program runs."""
        if self.returncode is None and select.select([self._news], [], [], 0)[0]:
            self._read_status()
        return self.returncode

    def wait(self, timeout: float) -> int:
        """Wait for the exit; raises subprocess.TimeoutExpired."""
        if self.returncode is None:
            if not select.select([self._news], [], [], timeout)[0]:
                raise subprocess.TimeoutExpired("exporter", timeout)
            self._read_status()
        assert self.returncode is not None
        return self.returncode

    def send_signal(self, number: int) -> None:
        """Send a signal, unless the program has ended."""
        if self.poll() is None:
            os.kill(self.pid, number)

    def kill(self) -> None:
        """Kill it."""
        self.send_signal(signal.SIGKILL)

    def _read_status(self) -> None:
        self.returncode = os.waitstatus_to_exitcode(int(self._news.readline()))
        self._news.close()


def _pipe(ours: int) -> tuple[int, int]:
    """Return the child's end and ours, of which `ours` is 0 to write, 1 to read."""
    reading, writing = os.pipe()
    return (writing, reading) if ours else (reading, writing)


@cache
def _parent() -> socket.socket:
    """Return the socket of the process that forks, started for this one, which it ends with."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    command = [sys.executable, "-m", "tests.support.forked", str(theirs.fileno())]
    root = Path(__file__).parents[2]
    process = subprocess.Popen(command, pass_fds=[theirs.fileno()], cwd=root, stdin=subprocess.DEVNULL)  # noqa: S603
    theirs.close()

    def end() -> None:
        ours.close()
        process.wait()

    atexit.register(end)
    return ours


def _serve(requests: socket.socket) -> list[str]:
    """Fork for each request; return in the children only, with the arguments. At the end of requests, exit."""
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # nobody waits for the children's parents
    while True:
        data, descriptors, _, _ = socket.recv_fds(requests, _LARGEST_REQUEST, _STREAMS + 1)
        if not data:
            os._exit(0)
        if os.fork() == 0:
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            requests.close()
            *streams, news = descriptors
            child = os.fork()
            if child == 0:
                arguments, env, cwd, uid = json.loads(data)
                _become(env, cwd, streams, news)
                if uid is not None:
                    _become_user(uid)
                return list(arguments)
            _tell_of(child, news, streams)
        for descriptor in descriptors:
            os.close(descriptor)


def _become(env: dict[str, str], cwd: str, streams: list[int], news: int) -> None:
    os.close(news)
    for number, descriptor in enumerate(streams):
        os.dup2(descriptor, number)
        os.close(descriptor)
    os.chdir(cwd)
    os.environ.clear()
    os.environ.update(env)
    time.tzset()


def _become_user(uid: int) -> None:
    # Otherwise imported when they are needed, from where this user may not be able to read.
    for module in pkgutil.iter_modules(encodings.__path__):
        with suppress(ImportError):  # those of other systems
            __import__(f"encodings.{module.name}")
    # Nor may this user write to where coverage is measured.
    coverage = sys.modules.get("coverage")
    if coverage and (measuring := coverage.Coverage.current()):
        measuring.save = lambda: None
    os.setgroups([])
    os.setresgid(uid, uid, uid)
    os.setresuid(uid, uid, uid)


def _tell_of(child: int, news: int, streams: list[int]) -> None:
    """Write the child's process id and status into the pipe, and exit."""
    for descriptor in (0, 1, 2, *streams):
        os.close(descriptor)
    os.write(news, b"%d\n" % child)
    _, status = os.waitpid(child, 0)
    os.write(news, b"%d\n" % status)
    os._exit(0)


if __name__ == "__main__":
    for name in _IMPORTED:
        __import__(name)
    sys.argv[1:] = _serve(socket.socket(fileno=int(sys.argv[1])))
    runpy.run_module("exporter", run_name="__main__", alter_sys=True)
