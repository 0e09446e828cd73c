"""Days of history for a dashboard: what two former replicas would have exported, hour by hour."""

import json
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime

from partnercenter_simulator.dataset import Dataset, DeploymentFigure, UsageFigure
from tests.integration.exposition import Exposition
from tests.support.prometheus import HOUR_SECONDS, Labels

JOB = "partnercenter-exporter"
DAYS = 10  # more than a week, which is as far back as the dashboard looks
HOURS = 24 * DAYS
TARGETS = {"Exchange": 0.8}
DEFAULT_TARGET = 0.5
FIRING = 'ALERTS{alertname="PartnerCenterUsageBelowTarget",alertstate="firing",partner="contoso"}'
COUNTED = ("_total", "_bucket", "_count", "_sum")


def labels_of(partner: str, figure: UsageFigure | DeploymentFigure) -> Labels:
    labels = {"partner": partner, "service": figure.service, "channel": figure.channel}
    if isinstance(figure, UsageFigure):
        labels["workload"] = figure.workload
    return frozenset(labels.items())


def target_of(figure: UsageFigure) -> float:
    return TARGETS.get(figure.workload, DEFAULT_TARGET)


def past(scrapes: list[Exposition], figures: dict[str, Dataset], until_now: float) -> Iterator[str]:
    """Yield every series of the scrapes as it was at each hour, from two instances that no longer exist."""
    own = {
        series: value
        for scrape in scrapes
        for series, value in scrape.named("partnercenter_").items()
        if not series[0].startswith("partnercenter_license")
    }
    for hour in range(HOURS):
        at = until_now - (HOURS - hour) * HOUR_SECONDS
        for (name, label_pairs), value in own.items():
            yield from samples(name, dict(label_pairs), aged(name, value, hour, until_now - at), at)
        for partner, data in figures.items():
            for name, labels, value in data_of(partner, data, datetime.fromtimestamp(at, UTC)):
                yield from samples(name, labels, value, at)
        yield f"{FIRING} 1 {at:.3f}"


def aged(name: str, value: float, hour: int, seconds_ago: float) -> float:
    """Return the exporter's own metric at that time: smaller counters, earlier times."""
    if name.endswith(COUNTED):
        return value * hour
    return value - seconds_ago if name.endswith("_timestamp_seconds") else value


def data_of(partner: str, data: Dataset, at: datetime) -> Iterator[tuple[str, dict[str, str], float]]:
    """Yield the licence series that the exporter would have exported."""
    for figure in data.usage(at):
        labels = dict(labels_of(partner, figure))
        yield "partnercenter_license_usage_ratio", labels, figure.percent / 100
        yield "partnercenter_license_usage_target_ratio", labels, target_of(figure)
        yield "partnercenter_license_usage_processed_timestamp_seconds", labels, figure.processed_at.timestamp()
    for deployed in data.deployment(at):
        labels = dict(labels_of(partner, deployed))
        processed = deployed.processed_at.timestamp()
        yield "partnercenter_license_deployment_ratio", labels, deployed.percent / 100
        yield "partnercenter_licenses_sold", labels, deployed.sold
        yield "partnercenter_license_deployment_processed_timestamp_seconds", labels, processed


REPLICAS = ("exporter-0:10058", "exporter-1:10058")


def samples(
    name: str, labels: dict[str, str], value: float, at: float, *, replicas: Sequence[str] = REPLICAS
) -> Iterator[str]:
    """Yield a sample of each replica, as a line of OpenMetrics."""
    for replica in replicas:
        named = labels | {"job": JOB, "instance": replica}
        pairs = ",".join(f"{key}={json.dumps(text, ensure_ascii=False)}" for key, text in named.items())
        yield f"{name}{{{pairs}}} {value!r} {at:.3f}"
