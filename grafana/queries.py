"""The queries of the dashboard.

A series may come from several instances at once (two replicas, or a new pod next to the old one), so it is
deduplicated first: `max by` its own labels. Sums are taken only after that.
"""

from exporter.metrics import catalogue
from exporter.metrics.catalogue import Metric
from exporter.model.rows import SourceName

INSTANCES = 'job=~"$job", instance=~"$instance"'
_PARTNERS = f'{INSTANCES}, partner=~"$partner"'
_SERVICES = f'{_PARTNERS}, channel=~"$channel", service=~"$service"'
_SERIES = f'{_SERVICES}, workload=~"$workload"'
DAY_SECONDS = 86400


def selector(metric: Metric | str) -> str:
    """Return the metric's selector, with the variables for its labels."""
    if isinstance(metric, str):
        return f"{metric}{{{INSTANCES}}}"
    if "workload" in metric.labels:
        return f"{metric.name}{{{_SERIES}}}"
    if "service" in metric.labels:
        return f"{metric.name}{{{_SERVICES}}}"
    return f"{metric.name}{{{_PARTNERS if 'partner' in metric.labels else INSTANCES}}}"


def by_labels(metric: Metric, *, pick: str = "max") -> str:
    """Return one value per series, whichever instance exports it."""
    return f"{pick} by ({', '.join(metric.labels)}) ({selector(metric)})"


def a_week_ago(metric: Metric) -> str:
    """Return each series a week ago, or up to six hours earlier, whichever instance exported it."""
    return f"last_over_time(({by_labels(metric)})[6h:5m] offset 1w)"


def count(metric: Metric) -> str:
    """Return a licence count, summed over its detail labels."""
    inner = f"max by ({', '.join((*metric.labels, *metric.detail_labels))}) ({selector(metric)})"
    return f"sum by ({', '.join(metric.labels)}) ({inner})"


def age_of_limit(processed: Metric, source: SourceName) -> str:
    """Return how old the oldest series of a source is, in percent of the age from which it counts as old."""
    limit = f'{selector(catalogue.STALE_AFTER)[:-1]}, source="{source}"}}'
    age = f"time() - {by_labels(processed)}"
    return f"100 * max(({age}) / on (partner) group_left () max by (partner) ({limit}))"


def increase(metric: Metric, *labels: str, matcher: str = "", window: str = "$__rate_interval") -> str:
    """Return a counter's increase, summed by these labels."""
    chosen = selector(metric)
    if matcher:
        chosen = f"{chosen[:-1]}, {matcher}}}"
    return f"sum by ({', '.join(labels)}) (increase({chosen}[{window}]))"


USAGE = by_labels(catalogue.USAGE_RATIO)
TARGET = by_labels(catalogue.USAGE_TARGET)
DEPLOYMENT = by_labels(catalogue.DEPLOYMENT_RATIO)
SOLD = count(catalogue.LICENSES_SOLD)
# Licences aren't additive across workloads, so "in use" means deployed. The legacy API has no count for that,
# only the ratio.
IN_USE = f"({count(catalogue.LICENSES_DEPLOYED)} or {DEPLOYMENT} * {SOLD})"
