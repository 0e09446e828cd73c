"""How far a command is: a bar at a terminal, a line a step elsewhere."""

import io

import pytest

from exporter.commands.progress import Progress
from exporter.formatting import size


class Screen(io.StringIO):
    """A stream that says that it is a terminal."""

    def isatty(self) -> bool:
        return True


def test_elsewhere_each_step_is_one_line() -> None:
    stream = io.StringIO()
    progress = Progress(2, stream=stream)
    progress.expect(100)
    progress.wrote(100)
    progress.step_done("first")
    progress.step_done("second")
    progress.end()
    assert stream.getvalue() == "first\nsecond\n"


def test_the_bar_has_days_bytes_rate_and_time_left() -> None:
    seconds = [0.0]
    progress = Progress(4, stream=Screen(), monotonic=lambda: seconds[0])
    progress.expect(1_000_000)
    progress.wrote(1_000_000)
    progress.step_done("first")
    seconds[0] = 10.0
    progress.wrote(1_000_000)
    assert progress.shown() == "[##########..........] 1 of 4 days, 2.0 MB, 200 kB/s, 10 s left"


def test_at_a_terminal_steps_are_no_lines_and_notes_are_above_the_bar() -> None:
    screen = Screen()
    progress = Progress(2, stream=screen)
    progress.step_done("first")
    progress.note("estimate")
    progress.end()
    assert "first" not in screen.getvalue()
    assert "\r\x1b[Kestimate\n" in screen.getvalue()
    assert screen.getvalue().endswith("\r\x1b[K")


def test_without_steps_nothing_is_divided_by_zero() -> None:
    assert Progress(0, stream=Screen()).shown().startswith("[....................] 0 of 0 days, 0 B")


@pytest.mark.parametrize(
    ("count", "shown"),
    [
        (0, "0 B"),
        (999, "999 B"),
        (1_000, "1.0 kB"),
        (99_960, "100 kB"),
        (999_600, "1.0 MB"),
        (2.5e9, "2.5 GB"),
        (3.2e12, "3.2 TB"),
    ],
)
def test_a_number_of_bytes_has_its_largest_unit(count: float, shown: str) -> None:
    assert size(count) == shown
