"""How fast a scrape is answered, beside those who could be asked instead.

`python -m benchmarks.scrape` starts the real exporter with so many series, and beside it prometheus_client,
a Go program and nginx with the same series. All are scraped in turn by the same client; it prints medians
and ratios beside the targets. It asserts nothing.
"""

import argparse
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from tabulate import tabulate

from benchmarks import contenders
from benchmarks.contenders import Contender
from benchmarks.exporting import exporting
from benchmarks.scraping import Scraper

SIZES = (5, 10_000, 100_000, 1_000_000)
SMALL = (5, 1_000)
OURS = "exporter"
# A contender that takes long is asked less often, but at least so many times.
_MIN_RUNS = 3
_SECONDS_FOR_EACH = 20.0
_SCRAPES_PER_TURN = 5
_TURN_SECONDS = 0.5


@dataclass(frozen=True, slots=True)
class Cell:
    """The seconds that scrapes took: one contender, size and encoding."""

    contender: str
    series: int
    gzip: bool
    seconds: tuple[float, ...]

    @property
    def median(self) -> float:
        """The median in seconds."""
        return statistics.median(self.seconds)


def main(argv: Sequence[str] | None = None) -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(description="Scrapes, beside prometheus_client, client_golang and nginx.")
    parser.add_argument("--small", action="store_true", help="smoke test with few series and runs")
    parser.add_argument("--runs", type=int, default=25, help="turns of each at most (default: 25)")
    options = parser.parse_args(argv)
    runs = 3 if options.small else max(options.runs, _MIN_RUNS)
    cells: list[Cell] = []
    with tempfile.TemporaryDirectory() as folder:
        go = contenders.build_go(Path(folder))
        for size in SMALL if options.small else SIZES:
            print(f"measuring about {size:,} series …", file=sys.stderr)
            cells += measure(size, go, runs)
    print(table(cells))
    print()
    print(verdicts(cells))
    return 0


def measure(size: int, go: Path | None, runs: int) -> list[Cell]:
    """Scrape all contenders with about so many series, in turn."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        exporter = stack.enter_context(exporting(size))
        ours = Scraper(exporter.port)
        plain = ours.body(gzip=False)
        series = contenders.write_series(plain.decode(), folder / "series")
        running = [
            Contender(OURS, exporter.port, exporter.process_id),
            stack.enter_context(contenders.nginx(plain, ours.body(gzip=True), folder)),
            stack.enter_context(contenders.prometheus_client(folder / "series")),
        ]
        if go:
            running.append(stack.enter_context(contenders.client_golang(go, folder / "series")))
        ours.close()
        return [cell for gzip in (True, False) for cell in _in_turn(running, series, runs, gzip=gzip)]


def _in_turn(running: Sequence[Contender], series: int, runs: int, *, gzip: bool) -> Iterator[Cell]:
    scrapers = {contender.name: Scraper(contender.port) for contender in running}
    taken: dict[str, list[float]] = {name: [] for name in scrapers}
    for scraper in scrapers.values():
        scraper.seconds(gzip=gzip)  # not counted: it may have to warm up
    deadline = time.monotonic() + _SECONDS_FOR_EACH * len(scrapers)
    for turn in range(runs):
        if turn >= _MIN_RUNS and time.monotonic() > deadline:
            break
        for name, scraper in scrapers.items():
            taken[name] += _one_turn(scraper, gzip=gzip)
    for name, scraper in scrapers.items():
        scraper.close()
        yield Cell(name, series, gzip, tuple(taken[name]))


def _one_turn(scraper: Scraper, *, gzip: bool) -> list[float]:
    """Scrape a few times in a row, or once where that takes long.

    The first finds what others have left in the machine's caches, which a slow contender hardly notices.
    """
    taken: list[float] = []
    while len(taken) < _SCRAPES_PER_TURN and sum(taken) < _TURN_SECONDS:
        taken.append(scraper.seconds(gzip=gzip))
    return taken


def table(cells: Sequence[Cell]) -> str:
    """Return the medians in milliseconds: a line a size and encoding, a column a contender."""
    names = list(dict.fromkeys(cell.contender for cell in cells))
    lines: dict[tuple[int, bool], dict[str, str]] = {}
    for cell in cells:
        line = lines.setdefault((cell.series, cell.gzip), {})
        line[cell.contender] = f"{cell.median * 1000:,.2f}"
        if cell.contender == OURS:
            line["runs"] = str(len(cell.seconds))
    rows = [
        (f"{series:,}", "gzip" if gzip else "plain", *(line.get(name, "") for name in names), line["runs"])
        for (series, gzip), line in lines.items()
    ]
    headers = ("series", "encoding", *(f"{name} ms" for name in names), "exporter scrapes")
    return tabulate(rows, headers=headers, colalign=("right", "left", *("right" for _ in names), "right"))


def verdicts(cells: Sequence[Cell]) -> str:
    """Return each target beside what was measured."""
    medians = {(cell.contender, cell.series, cell.gzip): cell.median for cell in cells}
    sizes = sorted({cell.series for cell in cells})
    rows: list[tuple[str, str, str]] = []
    for series in sizes:
        for gzip in (True, False):
            ours = medians[OURS, series, gzip]
            where = f"{series:,} series, {'gzip' if gzip else 'plain'}"
            if series >= SIZES[2]:
                limit = 2 * medians["nginx", series, gzip] + 0.003
                rows.append(
                    (f"{where}: at most twice nginx and 3 ms", f"{limit * 1000:.2f} ms", f"{ours * 1000:.2f} ms")
                )
            if series < SIZES[1]:
                slower = ours - medians["prometheus_client", series, gzip]
                rows.append((f"{where}: slower than prometheus_client by", "at most 1 ms", f"{slower * 1000:+.2f} ms"))
    for name, factor in (("prometheus_client", 1000), ("client_golang", 400)):
        for series in sizes:
            if (name, series, True) in medians and SIZES[2] <= series < SIZES[3]:
                times = medians[name, series, True] / medians[OURS, series, True]
                rows.append((f"{series:,} series, gzip: faster than {name}", f"{factor} times", f"{times:,.0f} times"))
    if len(sizes) == len(SIZES):
        for gzip in (True, False):
            times = medians[OURS, sizes[3], gzip] / medians[OURS, sizes[2], gzip]
            label = f"ten times the series, {'gzip' if gzip else 'plain'}: cost"
            rows.append((label, "at most 12 times", f"{times:.1f} times"))
    return tabulate(rows, headers=("check", "target", "measured"))


if __name__ == "__main__":
    sys.exit(main())
