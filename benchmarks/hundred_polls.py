"""Whether memory stays flat over many polls.

`python -m benchmarks.hundred_polls` runs the whole application on a clock that leaps from poll to poll,
against a simulated partner in a process of its own, and prints the resident memory as the polls go by. The
first few settle the allocator; from then on it should not grow. It asserts nothing.
"""

import argparse
import os
import sys
from collections.abc import Sequence

from tabulate import tabulate

from benchmarks.exporting import DETAILED, memory_bytes, upstream
from exporter import logs
from tests.support.application import build_application, threads
from tests.support.clock import LeapingClock

_YEAR_SECONDS = 365 * 86_400.0


def main(argv: Sequence[str] | None = None) -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(description="Resident memory over many polls.")
    parser.add_argument("--polls", type=int, default=100, help="how many (default: 100)")
    parser.add_argument("--series", type=int, default=100_000, help="how many series (default: 100,000)")
    parser.add_argument("--small", action="store_true", help="smoke test with few polls and series")
    options = parser.parse_args(argv)
    logs.configure(level="error", log_format="logfmt")
    polls, series = (5, 1_000) if options.small else (options.polls, options.series)
    rows = [(poll, f"{resident / 1e6:.1f}") for poll, resident in measure(polls, series)]
    print(tabulate(rows, headers=(f"polls of {series:,} series", "resident MB")))
    return 0


def measure(polls: int, series: int) -> list[tuple[int, int]]:
    """Return the resident bytes after some of the polls."""
    moments = []
    with upstream(DETAILED, label_sets=series // 2) as file:
        clock = LeapingClock()
        application, _ = build_application(file, clock)
        application.start()
        try:
            for poll in range(1, polls + 1):
                before = application.statuses()[0].last_success_at
                clock.run_until(
                    lambda before=before: application.statuses()[0].last_success_at != before,  # type: ignore[misc]  # mypy can't see the default's type
                    threads,
                    within_seconds=_YEAR_SECONDS,
                )
                if poll <= 2 or poll % max(polls // 10, 1) == 0:  # noqa: PLR2004  the first two tell what a poll takes
                    moments.append((poll, memory_bytes(os.getpid(), "VmRSS")))
        finally:
            application.stop()
    return moments


if __name__ == "__main__":
    sys.exit(main())
