"""Every query of the dashboard on a real Prometheus, scraping the real exporter, with days of history.

The history comes from the simulator's figures, under two former replicas whose names differ from those of
the scraped instances.
"""

import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import yaml

from partnercenter_simulator import Simulator
from partnercenter_simulator.dataset import Dataset, DeploymentFigure, UsageFigure
from tests.e2e.conftest import NO_AUTHORITIES, Process, program, start
from tests.integration.exposition import Exposition
from tests.support.config import write_config
from tests.support.dashboard import (
    ALL,
    ANNOTATIONS,
    LICENCES,
    QUERIES,
    VARIABLES,
    Query,
    choices_query,
    filled_in,
    query,
)
from tests.support.past import DAYS, DEFAULT_TARGET, HOURS, JOB, TARGETS, labels_of, past, target_of
from tests.support.process import until
from tests.support.prometheus import HOUR_SECONDS, Labels, Prometheus, prometheus, write_blocks

WEEK_SECONDS = 7 * 86400
CUSTOMERS = 40  # as many as the data set has, whatever the demo's default


@dataclass(frozen=True)
class Shown:
    """Prometheus' data, and the figures that it must match."""

    prometheus: Prometheus
    figures: dict[str, Dataset]
    past_until: float

    def usage(self, seconds_ago: float = 0) -> dict[Labels, UsageFigure]:
        """Return the simulator's usage figures at a point in time, by labels."""
        at = datetime.fromtimestamp(self.past_until - seconds_ago, UTC)
        return {
            labels_of(partner, figure): figure for partner, data in self.figures.items() for figure in data.usage(at)
        }

    def deployment(self) -> dict[Labels, DeploymentFigure]:
        """Return the simulator's deployment figures, by labels."""
        at = datetime.fromtimestamp(self.past_until, UTC)
        return {
            labels_of(partner, figure): figure
            for partner, data in self.figures.items()
            for figure in data.deployment(at)
        }

    def newest(self, panel: str, letter: str = "A") -> dict[Labels, float]:
        """Return the current result of a panel's query, with all variables set to All."""
        return self.prometheus.newest(filled_in(query(panel, letter).expr))

    def only(self, panel: str, letter: str = "A") -> float:
        """Return the single current value of a panel's query."""
        [value] = self.newest(panel, letter).values()
        return value

    def history(self, asked: Query | str) -> dict[Labels, dict[float, float]]:
        """Return a query's result over the days of history."""
        expr = filled_in(asked if isinstance(asked, str) else asked.expr)
        begin = self.past_until - (HOURS - 1) * HOUR_SECONDS
        return self.prometheus.history(expr, start=begin, end=self.past_until)


@pytest.fixture(scope="module")
def shown(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shown]:
    """Prometheus scraping the demo, which has two partners, and an exporter of a third one, after their first polls."""
    server, promtool = program("prometheus"), program("promtool")
    folder = tmp_path_factory.mktemp("dashboard")
    with (
        Simulator(seed=3) as northwind,
        Process("demo", f"--customers={CUSTOMERS}", "--web.listen-address=127.0.0.1:0", env=NO_AUTHORITIES) as demo,
        start(another_partner(folder, northwind)) as other,
    ):
        for process in (demo, other):
            process.wait_until_ready()
        day = northwind.time.data_now().date()
        figures = {"contoso": Dataset(1, day), "fabrikam": Dataset(2, day), "northwind": northwind.dataset}
        now = float(int(time.time()))  # Prometheus stores whole milliseconds
        storage = folder / "storage"
        scrapes = [Exposition(process.ask().text) for process in (demo, other)]
        write_blocks(promtool, past(scrapes, figures, now), storage)
        config = scrape_config(folder, [process.url for process in (demo, other)])
        with prometheus(server, config, storage) as started:
            until(lambda: len(started.newest("partnercenter_up == 1")) == 6)
            yield Shown(started, figures, now)


def another_partner(folder: Path, simulator: Simulator) -> Path:
    """Write the configuration of an exporter for a third partner: usage of the legacy API, all detail."""
    commercial = {"api": "commercial", "detail": ["customer", "product"]}
    return write_config(
        folder / "third",
        simulator,
        partner={"name": "northwind", "client_secret_expires": "2999-01-01"},
        sources={"usage": {"api": "legacy"}, "deployment": commercial},
        targets=[{"ratio": DEFAULT_TARGET}, *({"ratio": r, "workload": w} for w, r in TARGETS.items())],
    )


def scrape_config(folder: Path, urls: list[str]) -> Path:
    """Write Prometheus' configuration, with the target label that Kubernetes would attach."""
    targets = [url.removeprefix("http://") for url in urls]
    job = {
        "job_name": JOB,
        "honor_labels": True,
        "scrape_interval": "1s",
        "static_configs": [{"targets": targets, "labels": {"service": "partnercenter-exporter"}}],
    }
    file = folder / "prometheus.yml"
    file.write_text(yaml.safe_dump({"scrape_configs": [job]}))
    return file


def approx(values: dict[Labels, float]) -> Any:
    return pytest.approx(values, abs=1e-6)


@pytest.mark.parametrize("asked", [asked for asked in QUERIES if asked.panel != "Lowest against target"], ids=str)
def test_every_query_gives_data(shown: Shown, asked: Query) -> None:
    if asked.is_instant:
        values = list(shown.prometheus.newest(filled_in(asked.expr)).values())
    else:
        values = [v for points in shown.history(asked).values() for v in points.values()]
    assert [value for value in values if value == value]  # noqa: PLR0124  NaN is no data


@pytest.mark.parametrize("variable", VARIABLES, ids=lambda variable: variable["name"])
def test_every_variable_has_choices(shown: Shown, variable: dict[str, Any]) -> None:
    selector, label = choices_query(variable)
    choices = shown.prometheus.label_values(filled_in(selector), label)
    known = {name: value for labels in shown.usage() for name, value in labels}
    assert choices
    assert label in ("job", "instance") or known[label] in choices
    chosen = shown.prometheus.newest(filled_in(f'partnercenter_up{{{label}=~"{variable["allValue"]}"}}'))
    assert len(chosen) == 6, "everything includes what has no such label"


@pytest.mark.parametrize("annotation", ANNOTATIONS, ids=lambda annotation: annotation["name"])
def test_every_annotation_gives_data(shown: Shown, annotation: dict[str, Any]) -> None:
    assert shown.history(annotation["expr"])


def test_new_data_are_marked_when_microsoft_processed_them(shown: Shown) -> None:
    marked = shown.history(ANNOTATIONS[1]["expr"])[frozenset({("partner", "contoso")})]
    newest = max(e.processed_at for labels, e in shown.usage(HOUR_SECONDS).items() if ("partner", "contoso") in labels)
    assert max(marked.values()) == pytest.approx(newest.timestamp() * 1000)
    assert DAYS - 1 <= len(set(marked.values())) <= DAYS + 1


def distance(figure: UsageFigure) -> float:
    """Return how far usage is above its target."""
    return figure.percent / 100 - target_of(figure)


def test_the_colour_of_the_lowest_usage_follows_its_own_target(shown: Shown) -> None:
    """Red, green and none: usage of 78 % is below a target of 80 %, and of 52 % above one of 50 %."""
    usage = {key: figure for key, figure in shown.usage().items() if ("partner", "contoso") in key}
    for key, figure in usage.items():
        labels = dict(key)
        chosen = {**ALL, **{name: labels[name] for name in ("partner", "channel", "service", "workload")}}
        found = [
            filled_in(query("Lowest against target", letter).expr, chosen).replace("_target_ratio", target)
            for target in ("_target_ratio", "_absent_ratio")
            for letter in "ABC"
        ]
        below = distance(figure) < 0
        drawn = [bool(shown.prometheus.newest(expr)) for expr in found]
        assert drawn == [below, not below, False, False, False, True]


def test_overview_shows_the_simulator_s_figures(shown: Shown) -> None:
    usage, deployment = shown.usage(), shown.deployment().values()
    lowest = min(usage, key=lambda key: distance(usage[key]))
    assert distance(usage[lowest]) < 0
    ratio = usage[lowest].percent / 100
    found = [shown.newest("Lowest against target", letter) for letter in "ABC"]
    assert found == [approx({lowest: ratio}), {}, {}], "red: it is below its target"
    under = [figure for figure in usage.values() if figure.percent / 100 < target_of(figure)]
    assert shown.only("Series below target") == len(under)
    assert shown.only("Licences", "A") == sum(figure.sold for figure in deployment)
    assert shown.only("Licences", "B") == pytest.approx(sum(figure.deployed for figure in deployment))
    for letter, figures in (("A", usage.values()), ("B", deployment)):
        oldest = min(figure.processed_at.timestamp() for figure in figures)
        percent = 100 * (shown.past_until - oldest) / (14 * 86400)
        assert shown.only("Data age, of its limit", letter) == pytest.approx(percent, abs=0.1)
    assert shown.only("Sign-in days left", "A") == pytest.approx(90, abs=0.1)
    assert 179 < shown.only("Sign-in days left", "B") <= 180


def test_table_has_every_series_with_its_change_since_last_week(shown: Shown) -> None:
    table = "All series, lowest usage first"
    now = shown.usage()
    assert shown.newest(table, "A") == approx({key: figure.percent / 100 for key, figure in now.items()})
    above = {key: figure.percent - target_of(figure) * 100 for key, figure in now.items()}
    assert shown.newest(table, "B") == approx(above)
    # The newest value that the query's steps meet, which may be that of the hour before, and so of another day.
    changes = [
        {key: figure.percent - then[key].percent for key, figure in now.items()}
        for then in map(shown.usage, (WEEK_SECONDS, WEEK_SECONDS + HOUR_SECONDS))
    ]
    seen = shown.newest(table, "C")
    assert any(seen == approx(change) for change in changes)
    assert any(abs(points) > 1 for points in seen.values())
    # Only the commercial API has counts.
    counted = {key: figure for key, figure in now.items() if ("partner", "northwind") not in key}
    assert shown.newest(table, "E") == {key: figure.active for key, figure in counted.items()}
    assert shown.newest(table, "F") == {key: figure.qualified for key, figure in counted.items()}


def test_usage_over_time_is_of_the_series_furthest_below_target_whatever_the_instances(shown: Shown) -> None:
    [panel] = [panel for panel in LICENCES.panels if "furthest" in panel["title"]]
    lines, targets = (shown.history(query(panel["title"], letter)) for letter in "AB")
    usage = shown.usage()
    furthest = sorted(usage, key=lambda key: distance(usage[key]))[:10]
    assert set(lines) == set(furthest) < set(usage)
    for ago in (1, 100, HOURS - 2):
        # A point has the newest value of the step that it begins.
        at = shown.past_until - (ago + 1) * HOUR_SECONDS
        then = shown.usage(ago * HOUR_SECONDS)
        assert {key: points[at] for key, points in lines.items()} == approx(
            {key: then[key].percent / 100 for key in furthest}
        )
    assert {key: max(points.values()) for key, points in targets.items()} == approx(
        {key: target_of(usage[key]) for key in furthest}
    )


def test_services_show_what_is_sold_and_idle(shown: Shown) -> None:
    table = "Licences by service, lowest deployment first"
    figures = shown.deployment()
    assert shown.newest(table, "A") == approx({key: figure.percent / 100 for key, figure in figures.items()})
    assert shown.newest(table, "B") == approx({key: figure.sold for key, figure in figures.items()})
    assert shown.newest(table, "C") == approx({key: figure.deployed for key, figure in figures.items()})
    assert shown.newest(table, "D") == approx({key: figure.sold - figure.deployed for key, figure in figures.items()})


def test_choosing_a_partner_and_a_workload_leaves_nothing_else(shown: Shown) -> None:
    chosen = {"job": ".+", "instance": ".+", "partner": "northwind", "channel": ".*", "service": ".*"}
    expr = filled_in(query("All series, lowest usage first").expr, chosen | {"workload": "Exchange|Teams"})
    found = {(dict(key)["partner"], dict(key)["workload"]) for key in shown.prometheus.newest(expr)}
    assert found == {("northwind", "Exchange"), ("northwind", "Teams")}


def test_health_shows_polls_requests_and_sources(shown: Shown) -> None:
    assert shown.only("Exporters up") == 2
    assert set(shown.newest("Sources", "B").values()) == {1.0}
    assert {dict(key)["api"] for key in shown.newest("Sources", "A")} == {"legacy", "commercial"}
    rows = {(dict(key)["partner"], dict(key)["source"]): value for key, value in shown.newest("Sources", "F").items()}
    # Those of the demo are by customer.
    assert rows["contoso", "usage"] == CUSTOMERS * sum(1 for key in shown.usage() if ("partner", "contoso") in key)
    statuses = {dict(key)["code"] for key in shown.history(query("API requests by status"))}
    assert statuses == {"200"}
    polls = shown.history(query("Polls"))
    assert all(max(points.values()) > 0 for points in polls.values())
    assert len(polls) == 6
