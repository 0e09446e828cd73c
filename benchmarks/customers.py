"""How long the dashboard on customers takes on a real Prometheus with many customers.

`python -m benchmarks.customers` writes what an exporter with `detail: [customer]` exports now, a week and four weeks
ago, has promtool compute what the rules record of it, and asks every query of every panel: first with everything
chosen, then one workload. The first table is what the rules cost at each evaluation, the others the panels.
"""

import argparse
import shutil
import tempfile
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from statistics import median

import yaml
from tabulate import tabulate

from partnercenter_simulator.customers import Customers
from partnercenter_simulator.dataset import WORKLOADS, Dataset
from tests.support.dashboard import ALL_CUSTOMERS, CUSTOMERS, RANKINGS, filled_in, named_choices, with_rankings
from tests.support.past_customers import RULES, Partner, prometheus_with_customers
from tests.support.prometheus import Prometheus

_TARGETS = {workload.name: 0.5 for workload in WORKLOADS}
_WANTED_SECONDS = 1.0


def main(argv: Sequence[str] | None = None) -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(description="Seconds of the queries on customers.")
    parser.add_argument("--customers", type=int, default=10_000, help="how many (default: 10,000)")
    parser.add_argument("--runs", type=int, default=5, help="of each query, of which the median counts (default: 5)")
    parser.add_argument("--small", action="store_true", help="200 customers")
    flags = parser.parse_args(argv)
    server, promtool = shutil.which("prometheus"), shutil.which("promtool")
    if server is None or promtool is None:
        parser.error("prometheus or promtool is not installed: apt install prometheus")
    count = 200 if flags.small else flags.customers
    now = float(int(time.time()))
    partner = Partner(
        "contoso",
        Dataset(1, datetime.fromtimestamp(now, UTC).date(), size=count / 40),
        Customers(1, count),
        with_products=False,
        replicas=("exporter:10058",),
    )
    with (
        tempfile.TemporaryDirectory() as name,
        prometheus_with_customers((server, promtool), Path(name), [partner], _TARGETS, now) as started,
    ):
        exported = started.newest('count({job="partnercenter-exporter"})', at=now)
        recorded = started.newest('count({__name__=~"partner_.+:.+"})', at=now)
        print(f"{count:,} customers: {_only(exported):,.0f} series exported, {_only(recorded):,.0f} recorded\n")
        print(_table("rule", _rules(started, now, flags.runs)))
        customer = partner.customers.all[0].tenant_id
        chosen = {**ALL_CUSTOMERS, "customer": customer}
        print(_table("panel, everything chosen", _panels(started, now, flags.runs, chosen)))
        print(
            _table("panel, one workload chosen", _panels(started, now, flags.runs, chosen | {"workload": "Exchange"}))
        )
    return 0


def _rules(running: Prometheus, at: float, runs: int) -> list[tuple[str, float]]:
    [group] = yaml.safe_load(RULES.read_text("utf-8"))["groups"]
    rules = [(rule.get("record") or rule["alert"], rule["expr"]) for rule in group["rules"]]
    return [(name, _seconds(running, expr, at, runs)) for name, expr in rules]


def _panels(running: Prometheus, at: float, runs: int, chosen: dict[str, str]) -> list[tuple[str, float]]:
    filled = with_rankings(chosen, lambda query: running.newest(query, at=at))
    rankings = [(f"variable {v['name']}", filled_in(named_choices(v) or "", chosen)) for v in RANKINGS]
    queries = [(str(query), filled_in(query.expr, filled)) for query in CUSTOMERS.queries]
    return [(name, _seconds(running, query, at, runs)) for name, query in (*rankings, *queries)]


def _seconds(running: Prometheus, expr: str, at: float, runs: int) -> float:
    taken = []
    for _ in range(runs):
        began = time.perf_counter()
        running.newest(expr, at=at)
        taken.append(time.perf_counter() - began)
    return median(taken)


def _table(title: str, rows: list[tuple[str, float]]) -> str:
    slow = sum(seconds > _WANTED_SECONDS for _, seconds in rows)
    lines = [(name, f"{seconds:.3f}") for name, seconds in rows]
    total = f"{sum(seconds for _, seconds in rows):.1f} s together; {slow} of {len(rows)} take more than a second"
    return (
        f"{tabulate(lines, headers=(title, 'seconds'), colalign=('left', 'right'), disable_numparse=True)}\n{total}\n"
    )


def _only(values: dict[frozenset[tuple[str, str]], float]) -> float:
    [value] = values.values()
    return value


if __name__ == "__main__":
    raise SystemExit(main())
