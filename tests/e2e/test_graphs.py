"""The dashboards' graphs at the times that Grafana asks for: nothing recent is left out, nothing stays empty."""

import re
import time
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import chain

import pytest

from exporter.metrics.catalogue import (
    AUTH_FAILURES,
    DATA,
    EXPORTER,
    POLL_FAILURES,
    USAGE_RATIO,
    USAGE_TARGET,
    Kind,
    Metric,
)
from tests.e2e.conftest import program
from tests.support.dashboard import ALL, ALL_CUSTOMERS, CUSTOMERS, LICENCES, Dashboard, Query, Times, filled_in
from tests.support.past import samples
from tests.support.prometheus import Labels, Prometheus, prometheus, write_blocks
from tests.support.rules import RECORDED

SCRAPES = (15, 60, 300)  # seconds between them
POLLED = (9000, 5400, 1800)  # seconds ago: with `poll.interval: 1h`
DAYS = (30, 0.25)  # how much is shown
GRAPHS = [
    (dashboard, query) for dashboard in (LICENCES, CUSTOMERS) for query in dashboard.queries if not query.is_instant
]
GAUGES = [(dashboard, query) for dashboard, query in GRAPHS if not re.search(r"increase|rate\(", query.expr)]


@dataclass(frozen=True)
class Shown:
    """A Prometheus with two exporters for each of its scrape intervals: one runs for hours, one is new."""

    prometheus: Prometheus
    now: float

    def points(
        self, dashboard: Dashboard, graph: Query, exporter: str, *, scrape: int, days: float
    ) -> tuple[Times, dict[Labels, dict[float, float]]]:
        """Return when Grafana asks for an exporter's points, and these."""
        times = Times.of(dashboard.panel(graph), days=days, now=self.now, scrape_seconds=scrape)
        instance = f"{exporter}-{scrape}"
        everything = ALL_CUSTOMERS if dashboard is CUSTOMERS else ALL
        chosen = {"instance": instance, "partner": instance, "customer": "some"}
        expr = filled_in(graph.expr, {**everything, **chosen}, times=times)
        return times, self.prometheus.history(expr, start=times.start, end=times.end, step=times.step)


@pytest.fixture(scope="module")
def shown(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shown]:
    server, promtool = program("prometheus"), program("promtool")
    folder = tmp_path_factory.mktemp("graphs")
    config, storage = folder / "prometheus.yml", folder / "storage"
    config.write_text("{}")
    now = time.time() // 86400 * 86400 - 797.0  # yesterday, most of an hour and of 15 minutes after the last round time
    lines = (line for scrape in SCRAPES for line in scraped(scrape, now))
    write_blocks(promtool, chain(lines, many(now)), storage)
    with prometheus(server, config, storage) as started:
        yield Shown(started, now)


def scraped(scrape: int, now: float) -> Iterator[str]:
    """Yield three hours of one exporter, and three scrapes of another."""
    for instance, since in ((f"old-{scrape}", 3 * 3600), (f"new-{scrape}", 2 * scrape)):
        for ago in range(since, -1, -scrape):
            for name, labels, value in exported(now, ago):
                yield from samples(name, {**labels, "partner": instance}, value, now - ago, replicas=(instance,))


def many(now: float) -> Iterator[str]:
    """Yield three hours of 14 series, every second of them with a target, and of one that vanished an hour ago."""
    for at in (now - 60 * minute for minute in range(180, -1, -1)):
        for number in range(15):
            labels = {"partner": "many-60", "workload": str(number), "service": "some", "channel": "some"}
            if number < len(DISTANCES) or at < now - 3600:
                yield from samples(USAGE_RATIO.name, labels, 0.1 + 0.05 * number, at, replicas=("many-60",))
            if number % 2:
                yield from samples(USAGE_TARGET.name, labels, 0.5, at, replicas=("many-60",))


DISTANCES = [0.05 * number + (-0.4 if number % 2 else 0.1) for number in range(14)]


def exported(now: float, ago: float) -> Iterator[tuple[str, dict[str, str], float]]:
    """Yield a series of every metric that a graph may read."""
    polls = float(sum(ago <= at for at in POLLED))
    for metric in (*DATA, *EXPORTER):
        labels = dict.fromkeys((*metric.labels, *metric.detail_labels), "some")
        if metric is POLL_FAILURES:
            yield metric.name, {**labels, "reason": "server"}, float(ago <= POLLED[-1])
            yield metric.name, {**labels, "reason": "network"}, 0.0
        elif metric.kind is Kind.HISTOGRAM:
            for bound in ("1.0", "+Inf"):
                yield f"{metric.name}_bucket", {**labels, "le": bound}, polls
        else:
            yield metric.name, labels, value_of(metric, now, polls)
    for rule in RECORDED:
        yield rule.name, {"service": "some"}, 1.0


def value_of(metric: Metric, now: float, polls: float) -> float:
    if metric.kind is Kind.COUNTER:
        return 0.0 if metric is AUTH_FAILURES else polls
    return now + 86400 if metric.name.endswith("_timestamp_seconds") else 0.5


@pytest.mark.parametrize("scrape", SCRAPES)
@pytest.mark.parametrize(("dashboard", "graph"), GRAPHS, ids=str)
def test_a_graph_shows_an_exporter_that_was_just_installed(
    shown: Shown, dashboard: Dashboard, graph: Query, scrape: int
) -> None:
    for days in DAYS:
        assert shown.points(dashboard, graph, "new", scrape=scrape, days=days)[1], days


@pytest.mark.parametrize("scrape", SCRAPES)
@pytest.mark.parametrize(("dashboard", "graph"), GAUGES, ids=str)
def test_a_gauge_is_drawn_without_a_gap_until_now(
    shown: Shown, dashboard: Dashboard, graph: Query, scrape: int
) -> None:
    for days in DAYS:
        times, series = shown.points(dashboard, graph, "old", scrape=scrape, days=days)
        [points] = series.values()
        wanted = {times.end - n * times.step for n in range(9)}
        assert {at for at in wanted if at > shown.now - 2 * 3600} <= set(points), days


def test_usage_is_drawn_of_the_series_furthest_below_target_and_of_those_that_vanished(shown: Shown) -> None:
    [panel] = [panel["title"] for panel in LICENCES.panels if "furthest" in panel["title"]]
    usage, targets = (
        {dict(labels)["workload"] for labels in shown.points(LICENCES, query, "many", scrape=60, days=0.25)[1]}
        for query in (LICENCES.query(panel, letter) for letter in "AB")
    )
    furthest = sorted(range(14), key=lambda number: DISTANCES[number])[:10]
    assert usage == {*map(str, furthest), "14"}
    assert targets == {str(number) for number in furthest if number % 2}


@pytest.mark.parametrize("scrape", SCRAPES)
@pytest.mark.parametrize("days", DAYS)
def test_each_poll_is_in_the_bar_of_its_time_and_in_no_other(shown: Shown, scrape: int, days: float) -> None:
    for panel, polled in (("Polls", POLLED), ("Failed polls by reason", POLLED[-1:])):
        times, series = shown.points(LICENCES, LICENCES.query(panel), "old", scrape=scrape, days=days)
        [points] = series.values()
        bars = {at: value for at, value in points.items() if value > 0}
        assert list(bars) == sorted({(shown.now - ago) // times.step * times.step for ago in polled})
        # `increase` extrapolates, by one scrape of those in a step.
        assert sum(bars.values()) == pytest.approx(len(polled), rel=1.01 * scrape / (times.step - scrape) + 0.01)


@pytest.mark.parametrize(
    ("panel", "exporter", "legend"),
    [
        ("Failed polls by reason", "old", {"reason": "server"}),
        ("Failed polls by reason", "new", {"reason": "no failures"}),
        ("Refused sign-ins", "old", {"error": "no refusals"}),
        ("API requests by status", "new", {"code": "no requests"}),
    ],
)
def test_a_graph_of_events_names_those_that_there_were_or_says_that_there_were_none(
    shown: Shown, panel: str, exporter: str, legend: dict[str, str]
) -> None:
    for scrape in SCRAPES:
        series = shown.points(LICENCES, LICENCES.query(panel), exporter, scrape=scrape, days=30)[1]
        [(labels, points)] = series.items()
        assert dict(labels) == legend
        assert any(points.values()) is ("no " not in "".join(legend.values()))
