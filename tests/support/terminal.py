"""A command at a real terminal."""

import os
import pty
import shlex
import signal
import subprocess
import sys
import termios
import threading
from contextlib import suppress

from tests.support.process import PATIENCE_SECONDS, environment, until


class Terminal:
    """A command whose standard streams are a terminal, which it controls as in a shell."""

    def __init__(self, *arguments: str, **env: str) -> None:
        self.master, self.slave = pty.openpty()
        self.before = termios.tcgetattr(self.slave)
        command = f"exec setsid --ctty --wait {shlex.join([sys.executable, '-m', 'exporter', *arguments])}"
        self.process = subprocess.Popen(  # noqa: S603  our own program
            ["/bin/sh", "-c", command],
            stdin=self.slave, stdout=self.slave, stderr=self.slave, env=environment(env),
        )  # fmt: skip
        self.output = b""
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    @property
    def shown(self) -> str:
        """Everything on the screen so far: what was printed, and what was typed."""
        return self.output.decode("utf-8", "replace")

    def wait_for(self, words: str, times: int = 1) -> None:
        """Wait until this is on the screen."""
        until(lambda: self.shown.count(words) >= times or self.process.poll() is not None)
        assert self.shown.count(words) >= times, self.shown

    def type(self, text: str) -> None:
        """Type, or paste, as fast as the terminal takes it."""
        rest = text.encode()
        while rest:
            rest = rest[os.write(self.master, rest[:512]) :]

    def end_with(self, number: signal.Signals) -> None:
        """Send a signal, and wait for the end by it."""
        self.process.send_signal(number)
        assert self.ended() == -number

    def ended(self) -> int:
        """Wait for the end; return the exit status."""
        return self.process.wait(PATIENCE_SECONDS)

    def close(self) -> None:
        """End it."""
        self.process.kill()
        self.process.wait(PATIENCE_SECONDS)
        os.close(self.slave)
        self._reader.join(PATIENCE_SECONDS)
        os.close(self.master)

    def _read(self) -> None:
        with suppress(OSError):  # the last one who had it open has closed it
            while piece := os.read(self.master, 65_536):
                self.output += piece
