"""Streams as programs find them on a bad day, for a real process."""

import os
import shlex
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

from tests.e2e.conftest import NO_AUTHORITIES
from tests.support.process import PATIENCE_SECONDS, environment, until

INPUT, OUTPUT, ERROR = 0, 1, 2
Streams = Mapping[int, "int | None"]
"""What takes the place of each stream; None where it is closed at start."""


@contextmanager
def closed() -> Iterator[None]:
    """Nothing: the descriptor is closed."""
    yield None


@contextmanager
def full() -> Iterator[int]:
    """A disk without space."""
    descriptor = os.open("/dev/full", os.O_WRONLY)
    yield descriptor
    os.close(descriptor)


@contextmanager
def without_reader() -> Iterator[int]:
    """A pipe whose reader has gone."""
    reader, writer = os.pipe()
    os.close(reader)
    yield writer
    os.close(writer)


@contextmanager
def stalled() -> Iterator[int]:
    """A pipe that is full, and that nobody reads."""
    reader, writer = os.pipe()
    os.set_blocking(writer, False)
    try:
        while True:
            os.write(writer, bytes(4_096))
    except BlockingIOError:
        os.set_blocking(writer, True)
    yield writer
    os.close(writer)
    os.close(reader)


BREAKS: Mapping[str, Callable[[], AbstractContextManager[int | None]]] = {
    "closed": closed,
    "full": full,
    "without a reader": without_reader,
    "stalled": stalled,
}


@contextmanager
def program(*arguments: str, streams: Streams, **env: str) -> Iterator[subprocess.Popen[bytes]]:
    """Run the program with these streams, and others collected; kill it at the end."""
    closing = "".join(f" {number}>&-" for number, stream in streams.items() if stream is None)
    command = f"exec {shlex.join([sys.executable, '-m', 'exporter', *arguments])}{closing}"
    stdin, stdout, stderr = (
        subprocess.PIPE if (stream := streams.get(number, subprocess.PIPE)) is None else stream
        for number in (INPUT, OUTPUT, ERROR)
    )
    with subprocess.Popen(  # noqa: S603  our own program
        ["/bin/sh", "-c", command], stdin=stdin, stdout=stdout, stderr=stderr, env=environment(NO_AUTHORITIES | env)
    ) as process:
        try:
            yield process
        finally:
            process.kill()


def run_to_end(*arguments: str, streams: Streams, **env: str) -> tuple[int, str, str]:
    """Run the program; return its status, and what it wrote to the streams that are in order."""
    with program(*arguments, streams=streams, **env) as process:
        out, err = process.communicate(timeout=PATIENCE_SECONDS)
    return process.returncode, (out or b"").decode(), (err or b"").decode()


def full_lines(file: Path) -> list[str]:
    """Return the lines of a file, once the last one is complete."""
    return until(lambda: text if (text := file.read_text()).endswith("\n") else "").splitlines()
