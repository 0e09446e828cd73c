"""How fast polled rows are published, what that takes in memory, and how scrapes fare meanwhile.

`python -m benchmarks.poll` lets the real exporter poll a simulated partner twice, so that the second poll
replaces as many series as it brings, and scrapes it all the while. It prints rows a second, by the exporter's
CPU time and by the clock, with `json.loads` of the same bytes as the yardstick; the memory beside that of
prometheus_client with the same series; and the times of the scrapes. It asserts nothing.
"""

import argparse
import json
import re
import statistics
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tabulate import tabulate

from benchmarks import contenders
from benchmarks.exporting import DETAILED, LEGACY, Exporter, memory_bytes, started, upstream, wait_until
from benchmarks.scraping import Scraper
from partnercenter_simulator import Simulator
from partnercenter_simulator.exchange import Call

_PAUSE_SECONDS = 0.05
_ROWS = 1_000_000
_SMALL_ROWS = 2_000
_YARDSTICK_PAGES = 5
# A share of one core that an exporter between two polls doesn't come near.
_BUSY = 0.3
_EVERY_FIELD = "workloadName,serviceCode,channel,customerTenantId,customerName,productId,productName"


@dataclass(frozen=True, slots=True)
class Scenario:
    """What is polled; `label_sets` is the partner's size and the series limit."""

    name: str
    usage: dict[str, Any]
    label_sets: int
    ignores_groupby: bool = False
    target: str = ""


@dataclass(frozen=True, slots=True)
class Figures:
    """The figures of one scenario, in seconds and bytes."""

    scenario: Scenario
    rows: int
    series: int
    cpu_seconds: float
    poll_seconds: float
    scrapes: tuple[float, ...]
    steady_bytes: int
    peak_bytes: int
    peer_bytes: int


def main(argv: Sequence[str] | None = None) -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(description="Polls of many rows: speed, memory, and scrapes meanwhile.")
    parser.add_argument("--small", action="store_true", help="smoke test with few rows")
    small = parser.parse_args(argv).small
    rows = _SMALL_ROWS if small else _ROWS
    figures = []
    for scenario in scenarios(rows):
        print(f"measuring: {scenario.name} …", file=sys.stderr)
        figures.append(measure(scenario, polls=1 if small else 2))
    print(speed_table(figures, yardstick(rows)))
    print()
    print(memory_table(figures))
    print()
    print(scrape_table(figures))
    return 0


def scenarios(rows: int) -> tuple[Scenario, ...]:
    """Return what is polled: the steps of memory, and the two extremes of so many rows."""
    return (
        Scenario("a handful of series", LEGACY, 2),
        Scenario("a tenth of the series", DETAILED, rows // 20),
        Scenario("all the series", DETAILED, rows // 2),
        Scenario("aggregated rows", {"api": "commercial"}, rows, ignores_groupby=True, target="200,000 rows/s"),
        Scenario("distinct label sets", DETAILED, rows, target="80,000 rows/s"),
    )


def measure(scenario: Scenario, *, polls: int) -> Figures:
    """Let an exporter poll and scrape it all the while; then hold the same in prometheus_client."""
    quirks = {"ignores_groupby": scenario.ignores_groupby}
    with (
        tempfile.TemporaryDirectory() as folder,
        upstream(scenario.usage, label_sets=scenario.label_sets, **quirks) as file,
        started(file) as exporter,
    ):
        before = exporter.cpu_seconds
        wait_until(lambda: exporter.polls > 0)
        cpu = exporter.cpu_seconds - before
        scrapes = scrape_until(exporter, polls=polls)
        steady, peak = exporter.resident_bytes, exporter.peak_bytes
        series, peer = peer_memory(exporter, Path(folder))
        last = next(line for line in reversed(exporter.log) if "poll succeeded" in line)
        return Figures(
            scenario,
            rows=int(field(last, "rows")),
            series=series,
            cpu_seconds=cpu,
            poll_seconds=field(last, "duration"),
            scrapes=scrapes,
            steady_bytes=steady,
            peak_bytes=peak,
            peer_bytes=peer,
        )


def scrape_until(exporter: Exporter, *, polls: int) -> tuple[float, ...]:
    """Scrape every so often until so many polls have ended; return the seconds that each scrape took.

    Only scrapes during the poll count: between two polls nothing competes with them.
    """
    scraper = Scraper(exporter.port)
    during: list[float] = []
    while exporter.polls < polls:
        cpu, began = exporter.cpu_seconds, time.monotonic()
        taken = scraper.seconds(gzip=True)
        time.sleep(_PAUSE_SECONDS)
        busy = (exporter.cpu_seconds - cpu) / (time.monotonic() - began)
        if busy > _BUSY:
            during.append(taken)
    scraper.close()
    return tuple(during)


def peer_memory(exporter: Exporter, folder: Path) -> tuple[int, int]:
    """Return how many series there are, and prometheus_client's steady memory with them, scraped once."""
    scraper = Scraper(exporter.port)
    series = contenders.write_series(scraper.body(gzip=False).decode(), folder / "series")
    scraper.close()
    with contenders.prometheus_client(folder / "series") as peer:
        held = memory_bytes(peer.process_id, "VmRSS")
    return series, held


def yardstick(rows: int) -> float:
    """Return the rows a second that `json.loads` alone reads of the same pages."""
    simulator = Simulator(customers=max(rows // 100, 10))
    bodies = [_page(simulator, number) for number in range(_YARDSTICK_PAGES)]
    simulator.stop()
    began = time.process_time()
    read = sum(len(json.loads(body)["Value"]) for body in bodies)
    return read / (time.process_time() - began)


def _page(simulator: Simulator, number: int) -> bytes:
    query = {"groupby": _EVERY_FIELD, "skip": str(number * 10_000)}
    return simulator.commercial.usage(Call("GET", "/", "https://127.0.0.1", query=query)).body


def field(line: str, name: str) -> float:
    """Return a number of a log line, without its unit."""
    match = re.search(rf"\b{name}=([\d.]+)", line)
    if match is None:
        raise ValueError(f"no {name} in {line!r}")
    return float(match[1])


def speed_table(figures: Sequence[Figures], loads: float) -> str:
    """Return rows a second: by CPU time from the request to the snapshot, and by the clock."""
    rows = [
        (
            figure.scenario.name,
            f"{figure.rows:,}",
            f"{figure.series:,}",
            f"{figure.rows / figure.cpu_seconds:,.0f}",
            f"{figure.rows / figure.poll_seconds:,.0f}",
            f"{loads:,.0f}",
            figure.scenario.target,
        )
        for figure in figures
        if figure.rows >= _SMALL_ROWS
    ]
    headers = ("poll", "rows", "series", "rows/CPU s", "rows/s", "json.loads rows/s", "target")
    return tabulate(rows, headers=headers, disable_numparse=True, colalign=("left", *["right"] * 6))


def memory_table(figures: Sequence[Figures]) -> str:
    """Return resident memory, and prometheus_client's with the same series."""
    rows = [
        (
            figure.scenario.name,
            f"{figure.series:,}",
            *(f"{value / 1e6:,.0f}" for value in (figure.steady_bytes, figure.peak_bytes, figure.peer_bytes)),
            f"{figure.peak_bytes / figure.peer_bytes:.2f}",
        )
        for figure in figures
    ]
    ratio = "peak ÷ prometheus_client (target: under 1)"
    headers = ("poll", "series", "steady MB", "peak MB", "prometheus_client MB", ratio)
    return tabulate(rows, headers=headers, disable_numparse=True, colalign=("left", *["right"] * 5))


def scrape_table(figures: Sequence[Figures]) -> str:
    """Return the times of scrapes while a poll was under way."""
    rows = [
        (
            figure.scenario.name,
            f"{figure.series:,}",
            len(figure.scrapes),
            f"{statistics.median(figure.scrapes) * 1000:.1f}",
            f"{max(figure.scrapes) * 1000:.1f}",
        )
        for figure in figures
        if figure.scrapes
    ]
    headers = ("scrapes during a poll", "series", "scrapes", "median ms (target: 20)", "max ms (target: 200)")
    return tabulate(rows, headers=headers, disable_numparse=True, colalign=("left", *["right"] * 4))


if __name__ == "__main__":
    sys.exit(main())
