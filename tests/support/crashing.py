"""The complete exporter on a clock that jumps, to be killed: python -m tests.support.crashing CONFIG.

For each line on standard input (a start time in Unix seconds) it forks a child that polls, rotates and writes
as fast as it can from then on; it prints the child's process id, and "ended" once the child is killed.
"""

import os
import sys
from pathlib import Path

from exporter.logs import configure
from tests.support.application import build_application, threads
from tests.support.clock import LeapingClock


def _run_for_ever(file: Path, now: float) -> None:
    clock = LeapingClock(now=now, at_least={"supervisor": 1_800.0})
    application, _ = build_application(file, clock)
    application.start()
    clock.run_until(lambda: False, threads, within_seconds=float("inf"))


def main() -> None:
    """Fork a child per input line until EOF; everything is imported by then, and no thread runs."""
    import msal  # noqa: F401, PLC0415  otherwise each child would spend its time on this

    configure(level="error", log_format="logfmt")
    for line in sys.stdin:
        child = os.fork()
        if child == 0:
            _run_for_ever(Path(sys.argv[1]), float(line))
        sys.stdout.write(f"{child}\n")
        sys.stdout.flush()
        os.waitpid(child, 0)
        sys.stdout.write("ended\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
