"""A Prometheus with the licences of simulated customers now, a week and four weeks ago, and with what the rules record.

The recorded past is computed as an operator would: with promtool, from the exporter's own series.
"""

import os
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from partnercenter_simulator.customers import Customers
from partnercenter_simulator.dataset import Dataset, DeploymentFigure, UsageFigure
from tests.support.past import samples
from tests.support.prometheus import Prometheus, prometheus, write_blocks
from tests.support.rules import PROMETHEUS

WEEK_SECONDS = 7 * 86400
AGO_SECONDS = (4 * WEEK_SECONDS, WEEK_SECONDS, 0)
RULES = PROMETHEUS / "rules" / "customers.yaml"
_RULE_SECONDS = 240  # the group's interval
# Series that are recorded from others can be computed only once those are there.
_PASSES = 2
_TIMEOUT_SECONDS = 1800.0

Key = tuple[str, str, str, str, str]
"""Customer, product, service, workload (empty: deployment) and channel."""

Counts = dict[Key, tuple[int, int]]
"""Whole and part."""


@dataclass(frozen=True, slots=True)
class Partner:
    """A simulated partner, whose products are told apart or not."""

    name: str
    dataset: Dataset
    customers: Customers
    with_products: bool = True
    replicas: tuple[str, ...] = ("exporter-0:10058", "exporter-1:10058")

    def counts(self, at: float) -> Counts:
        """Return all counts at a time."""
        moment = datetime.fromtimestamp(at, UTC)
        figures: tuple[UsageFigure | DeploymentFigure, ...] = (
            *self.dataset.usage(moment),
            *self.dataset.deployment(moment),
        )
        return {key: pair for figure in figures for key, pair in self._split(figure)}

    def _split(self, figure: UsageFigure | DeploymentFigure) -> Iterator[tuple[Key, tuple[int, int]]]:
        if isinstance(figure, UsageFigure):
            pair, of = (figure.qualified, figure.active), (figure.service, figure.workload, figure.channel)
        else:
            pair, of = (figure.sold, figure.deployed), (figure.service, "", figure.channel)
        if self.with_products:
            cells = self.customers.split(figure.service, *pair, 0, self.customers.cells(figure.service), day=figure.day)
            for cell in cells:
                yield (cell.customer.tenant_id, cell.product.product_id, *of), (cell.whole, cell.part)
            return
        counts = self.customers.split_by_customer(*pair, day=figure.day)
        for customer, count in zip(self.customers.all, counts, strict=True):
            yield (customer.tenant_id, "", *of), count

    def series(self, at: float, targets: dict[str, float]) -> Iterator[tuple[str, dict[str, str], float]]:
        """Yield name, labels and value of what an exporter with detail exports at a time."""
        partner = {"partner": self.name}
        for (customer, product, service, workload, channel), pair in self.counts(at).items():
            labels = {**partner, "service": service, "channel": channel, "customer_id": customer}
            labels |= {"product_id": product} if product else {}
            labels |= {"workload": workload} if workload else {}
            names = ("qualified", "active") if workload else ("sold", "deployed")
            for name, count in zip(names, pair, strict=True):
                yield f"partnercenter_licenses_{name}", labels, count
        for named in self.customers.all:
            labels = {**partner, "customer_id": named.tenant_id, "customer_name": named.name}
            yield "partnercenter_customer_info", labels, 1
        if self.with_products:
            for item in self.customers.products:
                labels = {**partner, "product_id": item.product_id, "product_name": item.name}
                yield "partnercenter_product_info", labels, 1
        for figure in self.dataset.usage(datetime.fromtimestamp(at, UTC)):
            labels = {**partner, "workload": figure.workload, "service": figure.service, "channel": figure.channel}
            yield "partnercenter_license_usage_ratio", labels, figure.percent / 100
            if figure.workload in targets:
                yield "partnercenter_license_usage_target_ratio", labels, targets[figure.workload]
        for source in ("usage", "deployment"):
            yield "partnercenter_source_info", {**partner, "source": source, "api": "commercial"}, 1
            labels = {**partner, "source": source, "reason": "limit"}
            yield "partnercenter_rows_dropped_total", labels, 0


@contextmanager
def prometheus_with_customers(
    programs: tuple[str, str], folder: Path, partners: Sequence[Partner], targets: dict[str, float], now: float
) -> Iterator[Prometheus]:
    """Run Prometheus with these partners' past until the block ends; `programs` are Prometheus and promtool.

    `now` is the time to query.
    """
    server, promtool = programs
    storage, config = folder / "storage", folder / "prometheus.yml"
    config.write_text("{}")
    write_blocks(promtool, _lines(partners, targets, now), storage, timeout_seconds=_TIMEOUT_SECONDS)
    for _ in range(_PASSES):
        with prometheus(server, config, storage) as started:
            for ago in AGO_SECONDS:
                _record(promtool, started, storage, now - ago)
    with prometheus(server, config, storage) as started:
        yield started


def _lines(partners: Sequence[Partner], targets: dict[str, float], now: float) -> Iterator[str]:
    for partner in partners:
        for ago in AGO_SECONDS:
            for name, labels, value in partner.series(now - ago, targets):
                for at in (now - ago - _RULE_SECONDS, now - ago):
                    yield from samples(name, labels, value, at, replicas=partner.replicas)


def _record(promtool: str, running: Prometheus, storage: Path, at: float) -> None:
    flags = [f"--start={at - _RULE_SECONDS:.0f}", f"--end={at:.0f}", f"--url={running.client.base_url}"]
    command = [promtool, "tsdb", "create-blocks-from", "rules", *flags, f"--output-dir={storage}", str(RULES)]
    environment = {**os.environ, "no_proxy": "*"}
    done = subprocess.run(  # noqa: S603  Prometheus' own tool
        command, capture_output=True, text=True, check=False, timeout=_TIMEOUT_SECONDS, env=environment
    )
    assert done.returncode == 0, done.stdout + done.stderr
