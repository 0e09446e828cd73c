"""Lines to a stream that breaks: whole or absent, in order, counted, and nobody waits."""

import fcntl
import os
import re
import resource
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.line_writer import LineWriter
from tests.support.process import PATIENCE_SECONDS, until

NOTE = re.compile(rb"(\d+) missing")
MANY = 5_000


def writer_to(descriptor: int) -> LineWriter:
    return LineWriter(descriptor, note=lambda count: f"{count} missing\n")


@contextmanager
def room_for(file: Path, size: int) -> Iterator[None]:
    """Let a file grow by so many bytes: the last write is cut, as on a full disk."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (file.stat().st_size + size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@contextmanager
def opened(file: Path, flags: int = os.O_CREAT | os.O_WRONLY | os.O_TRUNC) -> Iterator[int]:
    descriptor = os.open(file, flags, 0o600)
    yield descriptor
    os.close(descriptor)


@pytest.fixture
def pipe() -> Iterator[tuple[int, int]]:
    """A pipe that holds one page."""
    reader, writer = os.pipe()
    fcntl.fcntl(writer, fcntl.F_SETPIPE_SZ, 4_096)
    yield reader, writer
    os.close(reader)
    os.close(writer)


def read_until(reader: int, ending: bytes) -> list[bytes]:
    """Read until something ends with these bytes; return the lines."""
    text = b""
    while not text.endswith(ending):
        text += os.read(reader, 65_536)
    return text.splitlines()


def read_all(reader: int, sent: list[bytes]) -> list[bytes]:
    """Read until every line is there or part of a note, however the writer's thread ran; return the lines."""
    lines: list[bytes] = []
    while covered(lines) < len(sent):
        lines += read_until(reader, b"\n")
    return lines


def covered(lines: list[bytes]) -> int:
    return sum(int(note[1]) if (note := NOTE.fullmatch(line)) else 1 for line in lines)


def accounted(lines: list[bytes], sent: list[bytes]) -> int:
    """Check that lines are a part of those sent, in order, with a note of the number for each gap; return their sum."""
    at = total = 0
    for line in lines:
        if note := NOTE.fullmatch(line):
            at += int(note[1])
            total += int(note[1])
        else:
            assert line == sent[at]
            at += 1
    assert at == len(sent)
    return total


@given(st.lists(st.tuples(st.integers(0, 60), st.integers(0, 40)), max_size=12))
def test_what_a_full_disk_takes_is_whole_lines_in_order_with_a_note_for_each_gap(
    tmp_path_factory: pytest.TempPathFactory, steps: list[tuple[int, int]]
) -> None:
    file = tmp_path_factory.mktemp("log") / "log"
    sent = [f"line {number} {'x' * length}".encode() for number, (length, _) in enumerate(steps)]
    with opened(file) as descriptor:
        writer = writer_to(descriptor)
        for line, (_, room) in zip(sent, steps, strict=True):
            with room_for(file, room):
                writer.put(line + b"\n")
        writer.put(b"end\n")
    lines = file.read_bytes().splitlines()
    assert accounted(lines, [*sent, b"end"]) == writer.dropped


@pytest.mark.parametrize("flags", [os.O_WRONLY, os.O_WRONLY | os.O_APPEND], ids=["write", "append"])
@pytest.mark.parametrize("room", [0, 8])
def test_a_file_that_is_emptied_to_gain_space_holds_whole_lines_and_no_hole(
    tmp_path: Path, flags: int, room: int
) -> None:
    file = tmp_path / "log"
    with opened(file, flags | os.O_CREAT) as descriptor:
        writer = writer_to(descriptor)
        writer.put(b"the first line\n")
        with room_for(file, room):
            writer.put(b"the second line\n")
        os.truncate(file, 0)
        writer.put(b"the third line\n")
    assert file.read_bytes() == b"1 missing\nthe third line\n"
    assert writer.dropped == 1


@pytest.mark.parametrize("threaded", [False, True])
def test_a_closed_or_full_stream_raises_nothing_and_every_line_counts(tmp_path: Path, *, threaded: bool) -> None:
    for path, flags in ((os.devnull, os.O_RDONLY), ("/dev/full", os.O_WRONLY), (tmp_path, os.O_RDONLY)):
        with opened(Path(path), flags) as descriptor:
            writer = writer_to(descriptor)
            if threaded:
                writer.start()
            for _ in range(3):
                writer.put(b"line\n")
            until(lambda writer=writer: writer.dropped == 3)  # type: ignore[misc]  # mypy can't infer it
            writer.close(timeout_seconds=PATIENCE_SECONDS)
            assert writer.dropped == 3
            assert writer.error is not None


def test_nobody_waits_for_a_reader_that_stalls_and_later_it_gets_whole_lines_and_notes(pipe: tuple[int, int]) -> None:
    reader, descriptor = pipe
    writer = writer_to(descriptor)
    writer.start()
    sent = [f"line {number} {'x' * 90}".encode() for number in range(MANY)]
    for line in sent:
        writer.put(line + b"\n")
    assert writer.dropped
    assert accounted(read_all(reader, sent), sent) == writer.dropped
    writer.put(b"again\n")
    assert read_until(reader, b"\n") == [b"again"]
    writer.close(timeout_seconds=PATIENCE_SECONDS)


def test_the_queue_is_bounded_in_bytes_too(pipe: tuple[int, int]) -> None:
    reader, descriptor = pipe
    writer = writer_to(descriptor)
    writer.start()
    sent = [b"x" * 300_000 for _ in range(10)]
    for line in sent:
        writer.put(line + b"\n")
    assert writer.dropped >= 5
    assert accounted(read_all(reader, sent), sent) == writer.dropped
    writer.close(timeout_seconds=PATIENCE_SECONDS)


def test_close_gives_up_on_a_reader_that_stalls(pipe: tuple[int, int]) -> None:
    reader, descriptor = pipe
    writer = writer_to(descriptor)
    writer.start()
    sent = [f"line {number} {'x' * 90}".encode() for number in range(100)]
    for line in sent:
        writer.put(line + b"\n")
    writer.close(timeout_seconds=0.01)
    writer.put(b"too late\n")
    assert writer.dropped == 1
    everything = [*sent, b"too late"]
    assert accounted(read_all(reader, everything), everything) == 1
    writer.close(timeout_seconds=PATIENCE_SECONDS)


def test_close_writes_what_is_queued(tmp_path: Path) -> None:
    sent = [f"line {number}\n".encode() for number in range(900)]
    with opened(tmp_path / "log") as descriptor:
        writer = writer_to(descriptor)
        writer.start()
        for line in sent:
            writer.put(line)
        writer.close(timeout_seconds=PATIENCE_SECONDS)
    assert (tmp_path / "log").read_bytes() == b"".join(sent)


def test_a_pipe_that_does_not_block_loses_nothing(pipe: tuple[int, int]) -> None:
    reader, descriptor = pipe
    os.set_blocking(descriptor, False)
    writer = writer_to(descriptor)
    writer.start()
    sent = [f"line {number} {'x' * 90}".encode() for number in range(500)]
    for line in sent:
        writer.put(line + b"\n")
    assert read_until(reader, sent[-1] + b"\n") == sent
    writer.close(timeout_seconds=PATIENCE_SECONDS)
    assert writer.dropped == 0


def test_the_next_reader_gets_whole_lines(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo")
    first = os.open(tmp_path / "fifo", os.O_RDONLY | os.O_NONBLOCK)
    with opened(tmp_path / "fifo", os.O_WRONLY) as descriptor:
        writer = writer_to(descriptor)
        writer.start()
        sent = [b"x" * 200_000, b"lost", b"again"]
        writer.put(sent[0] + b"\n")
        until(lambda: _held(first) >= 65_536)
        os.close(first)
        writer.put(sent[1] + b"\n")
        until(lambda: writer.dropped)
        second = os.open(tmp_path / "fifo", os.O_RDONLY | os.O_NONBLOCK)
        os.set_blocking(second, True)
        writer.put(sent[2] + b"\n")
        assert accounted(read_until(second, b"again\n"), sent) == writer.dropped == 1
        writer.close(timeout_seconds=PATIENCE_SECONDS)
        os.close(second)


def _held(reader: int) -> int:
    """Return how many bytes a pipe holds."""
    return int.from_bytes(fcntl.ioctl(reader, 0x541B, bytes(4)), "little")  # FIONREAD


def test_a_note_comes_as_soon_as_the_stream_works_again_not_with_the_next_line(tmp_path: Path) -> None:
    file = tmp_path / "log"
    with opened(file) as descriptor:
        writer = writer_to(descriptor)
        writer.start()
        with room_for(file, 4):
            writer.put(b"line 1\n")
            writer.put(b"line 2\n")
            until(lambda: writer.dropped == 1)
        until(lambda: file.read_bytes() == b"line 1\n1 missing\n")
        writer.close(timeout_seconds=PATIENCE_SECONDS)


@pytest.mark.parametrize("non_blocking", [False, True])
def test_whoever_stalls_is_waited_for_once_until_something_is_read_again(
    pipe: tuple[int, int], *, non_blocking: bool
) -> None:
    reader, descriptor = pipe
    fcntl.fcntl(descriptor, fcntl.F_SETPIPE_SZ, 65_536)  # one page has no room for a note and a line
    os.set_blocking(descriptor, not non_blocking)
    writer = LineWriter(descriptor, note=lambda count: f"{count} missing\n", patience_seconds=0.01)
    sent = [b"line %d %s" % (number, b"x" * 1_000) for number in range(MANY)]
    for line in sent:
        writer.put(line + b"\n")
    assert writer.dropped > MANY / 2
    lines = read_until(reader, b"\n")
    writer.put(b"end\n")
    lines += read_until(reader, b"end\n")
    assert accounted(lines, [*sent, b"end"]) == writer.dropped
    assert isinstance(writer.error, TimeoutError)
