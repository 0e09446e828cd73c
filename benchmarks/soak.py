"""A simulated year of polls and renewals, and of all that the world does to them.

Upstreams fail, the configuration is reloaded, the exporter restarted, its clock set, the machine suspended; others hold
locks, and the log's stream breaks. `python -m benchmarks.soak` prints a line a month and ends with status 1 where a
promise is broken: the data, the stored tokens and the pages are compared every week, and memory, threads and
descriptors must be flat once the first quarter is over. `--days`, `--interval` and `--seed` make it shorter,
lighter, or another one.
"""

import argparse
import os
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from tabulate import tabulate

from tests.reliability.log_pipe import counted_logs
from tests.reliability.soak import Moment, Soak

_MONTH_DAYS = 30.0
# Between two months memory moves with the garbage collector and with what was asked last.
_SLACK_BYTES = 5_000_000
_SLACK_BLOCKS = 5_000
_SLACK_OBJECTS = 200
_SLACK_DESCRIPTORS = 12
_HEADERS = (
    "day", "polls", "failed", "renewals", "requests", "resident MB", "allocated MB", "blocks", "objects", "threads",
    "descriptors", "s",
)  # fmt: skip


def main(argv: Sequence[str] | None = None) -> int:
    """Soak and print; 1 where something has grown."""
    parser = argparse.ArgumentParser(description="A simulated year of trouble.")
    parser.add_argument("--days", type=float, default=365.0, help="how long (default: 365)")
    parser.add_argument("--interval", default="1h", help="the time between polls (default: 1h)")
    parser.add_argument("--seed", type=int, default=1, help="random seed (default: 1)")
    options = parser.parse_args(argv)
    began = time.monotonic()
    moments: list[tuple[Moment, float]] = []
    with tempfile.TemporaryDirectory() as folder, counted_logs() as log:
        # The system's hundred CAs would be read again at each of a thousand reloads.
        (Path(folder) / "authorities.pem").touch()
        os.environ["SSL_CERT_FILE"] = f"{folder}/authorities.pem"
        soak = Soak(Path(folder), log, interval=options.interval, seed=options.seed)
        with soak.running():
            while soak.day < options.days:
                soak.go_on(min(_MONTH_DAYS, options.days - soak.day))
                moments.append((soak.measure(), time.monotonic() - began))
                print(f"day {soak.day:.0f} of {options.days:.0f}", file=sys.stderr, flush=True)
    print(tabulate([_row(*moment) for moment in moments], headers=_HEADERS, floatfmt=".1f"))
    print("\nevents:", ", ".join(f"{name} {count}" for name, count in soak.happened.most_common()))
    print("logged:", ", ".join(f"{event!r} {count}" for event, count in log.counts.most_common()))
    grown = _grown([moment for moment, _ in moments])
    print("growth:", ", ".join(grown) or "nothing")
    return 1 if grown else 0


def _row(moment: Moment, seconds: float) -> tuple[float, ...]:
    return (
        round(moment.day),
        moment.polls,
        moment.failures,
        moment.renewals,
        moment.requests,
        moment.resident_bytes / 1e6,
        moment.allocated_bytes / 1e6,
        moment.blocks,
        moment.objects,
        moment.threads,
        moment.descriptors,
        round(seconds),
    )


def _grown(moments: Sequence[Moment]) -> list[str]:
    """Return what is more at the end than after the first quarter: until then caches and free lists fill."""
    first, last = moments[len(moments) // 4], moments[-1]
    differences = (
        ("memory", last.allocated_bytes - first.allocated_bytes - _SLACK_BYTES),
        ("blocks", last.blocks - first.blocks - _SLACK_BLOCKS),
        ("objects", last.objects - first.objects - _SLACK_OBJECTS),
        ("threads", last.threads - first.threads),
        ("descriptors", last.descriptors - first.descriptors - _SLACK_DESCRIPTORS),
    )
    return [name for name, difference in differences if difference > 0]


if __name__ == "__main__":
    sys.exit(main())
