"""The real program in a separate process, and what it changes when it runs in this one."""

import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path
from types import TracebackType
from typing import IO, Self, TypeVar

import httpx

from tests.support.cases import IN_CI
from tests.support.forked import Forked
from tests.support.plain_http import NO_TLS

T = TypeVar("T")
_HANDLED = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)

# Costs nothing while all is well, and a busy machine takes its time.
PATIENCE_SECONDS = 60.0
PROGRAM = ("-m", "exporter")
_READ_AT_START = ("PYTHON", "LC_", "LANG")
_LISTENING = re.compile(r"listening\"?[=:]\s*\"?(\S+?)[\"\s]")


def until(condition: Callable[[], T], *, within_seconds: float = PATIENCE_SECONDS) -> T:
    """Return the condition's first true value; raise TimeoutError if there is none in time."""
    deadline = time.monotonic() + within_seconds
    pause, seconds = threading.Event(), 0.01
    while not (value := condition()):
        if time.monotonic() > deadline:
            raise TimeoutError(f"still {value!r} after {within_seconds:g} s")
        pause.wait(seconds)
        seconds = min(1.25 * seconds, 0.25)  # to look takes time from what is waited for
    return value


@contextmanager
def restored_process() -> Iterator[None]:
    """Give back what commands change in the process that they run in."""
    blocked = signal.pthread_sigmask(signal.SIG_BLOCK, ())
    handlers = {number: signal.getsignal(number) for number in _HANDLED}
    excepthook, seconds = threading.excepthook, sys.getswitchinterval()
    try:
        yield
    finally:
        sys.setswitchinterval(seconds)
        threading.excepthook = excepthook
        for number, handler in handlers.items():
            signal.signal(number, handler)
        signal.pthread_sigmask(signal.SIG_SETMASK, blocked)


def environment(extra: Mapping[str, str] | None = None) -> dict[str, str]:
    """Return this process' environment without proxies: everything that tests connect to is on this machine.

    The program is the installed one, not one in the current directory.
    """
    inherited = {name: value for name, value in os.environ.items() if not name.lower().endswith("_proxy")}
    return {**inherited, "PYTHONUNBUFFERED": "1", "PYTHONSAFEPATH": "1", **(extra or {})}


def run_command(
    *arguments: str,
    typed: str = "",
    env: Mapping[str, str] | None = None,
    cwd: Path | None = None,
    timeout_seconds: float = PATIENCE_SECONDS,
) -> subprocess.CompletedProcess[str]:
    """Run one command of the program to its end, with `typed` on its standard input."""
    if _may_be_forked(env):
        return _run_forked(arguments, typed=typed, env=environment(env), cwd=cwd, timeout_seconds=timeout_seconds)
    return subprocess.run(  # noqa: S603  our own program
        [sys.executable, *PROGRAM, *arguments],
        input=typed,
        capture_output=True,
        text=True,
        env=environment(env),
        cwd=cwd,
        timeout=timeout_seconds,
        check=False,
    )


def _may_be_forked(env: Mapping[str, str] | None) -> bool:
    """Return whether it makes no difference that Python has already started."""
    return not IN_CI and not any(name.startswith(_READ_AT_START) for name in env or ())


def run_command_as(uid: int, *arguments: str, env: Mapping[str, str], cwd: Path) -> subprocess.CompletedProcess[str]:
    """Do the same as another user, who need not be able to read where Python is installed; needs root."""
    return _run_forked(arguments, typed="", env=environment(env), cwd=cwd, timeout_seconds=PATIENCE_SECONDS, uid=uid)


def _run_forked(
    arguments: Sequence[str],
    *,
    typed: str,
    env: Mapping[str, str],
    cwd: Path | None,
    timeout_seconds: float,
    uid: int | None = None,
) -> subprocess.CompletedProcess[str]:
    process = Forked(arguments, env, cwd, uid=uid)
    try:
        with ThreadPoolExecutor(2) as readers, process.stdout as stdout, process.stderr as stderr:
            texts = [readers.submit(stream.read) for stream in (stdout, stderr)]
            try:
                with suppress(BrokenPipeError), process.stdin as stdin:
                    stdin.write(typed)
                status = process.wait(timeout_seconds)
            finally:
                process.kill()
            return subprocess.CompletedProcess(arguments, status, *(text.result() for text in texts))
    finally:
        process.kill()


class ExporterProcess:
    """A command that runs until it is stopped; a context manager that kills it on exit.

    Its output is collected from the start: `stdout` and `stderr`.
    """

    def __init__(self, *arguments: str, env: Mapping[str, str] | None = None, program: Sequence[str] = PROGRAM) -> None:
        if program == PROGRAM and _may_be_forked(env):
            self._popen: Forked | subprocess.Popen[str] = Forked(arguments, environment(env))
        else:
            self._popen = subprocess.Popen(  # noqa: S603  our own program
                [sys.executable, *program, *arguments],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
                env=environment(env),
            )
        self._lines: dict[str, list[str]] = {"stdout": [], "stderr": []}
        self._readers = [self._read(name, stream) for name, stream in self._streams()]

    @classmethod
    def running(cls, config_file: Path, *flags: str, env: Mapping[str, str] | None = None) -> Self:
        """Start the exporter itself on a free port of 127.0.0.1."""
        return cls("run", f"--config.file={config_file}", "--web.listen-address=127.0.0.1:0", *flags, env=env)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._popen.poll() is None:
            self._popen.kill()
        self._end()

    @property
    def pid(self) -> int:
        """The process id."""
        return self._popen.pid

    @property
    def stdout(self) -> str:
        """Everything printed so far."""
        return "".join(self._lines["stdout"])

    @property
    def stderr(self) -> str:
        """Everything logged so far."""
        return "".join(self._lines["stderr"])

    @property
    def url(self) -> str:
        """The exporter's base URL; waits until it listens."""
        match = until(lambda: _LISTENING.search(self.stderr) if self._runs() else None)
        assert match
        return f"http://{match[1]}"

    def get(self, path: str = "/metrics") -> httpx.Response:
        """Request a page from the exporter."""
        return httpx.get(self.url + path, trust_env=False, verify=NO_TLS, timeout=PATIENCE_SECONDS)

    def wait_for_sample(self, line: str) -> str:
        """Wait until /metrics has a line with this prefix; return the whole page."""
        return until(lambda: page if f"\n{line}" in (page := self.get().text) else "")

    def wait_for_output(self, words: str) -> None:
        """Wait until this text was printed or logged."""
        until(lambda: words in self.stdout + self.stderr or self._popen.poll() is not None)
        if words not in self.stdout + self.stderr:
            self._runs()

    def type(self, line: str) -> None:
        """Type a line on standard input."""
        self.write(f"{line}\n")

    def write(self, text: str) -> None:
        """Write text to standard input."""
        stream = self._popen.stdin
        assert stream is not None
        stream.write(text)
        stream.flush()

    def end_input(self) -> None:
        """Close standard input."""
        stream = self._popen.stdin
        assert stream is not None
        stream.close()

    def send(self, number: signal.Signals) -> None:
        """Send a signal."""
        self._popen.send_signal(number)

    def wait(self) -> int:
        """Wait for the process to exit; return its status."""
        self._popen.wait(PATIENCE_SECONDS)
        return self._end()

    def stop(self, number: signal.Signals = signal.SIGTERM) -> int:
        """Send a signal and return the exit status."""
        self.send(number)
        return self.wait()

    def _runs(self) -> bool:
        """Return true; fail the test if the program has exited."""
        if self._popen.poll() is not None:
            self._end()
            raise AssertionError(f"it ended with {self._popen.returncode}:\n{self.stdout}{self.stderr}")
        return True

    def _end(self) -> int:
        status = self._popen.wait(PATIENCE_SECONDS)
        for reader in self._readers:
            reader.join(PATIENCE_SECONDS)
        for stream in (self._popen.stdin, self._popen.stdout, self._popen.stderr):
            if stream is not None and not stream.closed:
                stream.close()
        return status

    def _streams(self) -> list[tuple[str, IO[str]]]:
        assert self._popen.stdout is not None
        assert self._popen.stderr is not None
        return [("stdout", self._popen.stdout), ("stderr", self._popen.stderr)]

    def _read(self, name: str, stream: IO[str]) -> threading.Thread:
        def collect() -> None:
            for line in stream:
                self._lines[name].append(line)

        thread = threading.Thread(target=collect, name=f"read {name}", daemon=True)
        thread.start()
        return thread
