"""The queries of the dashboard.

A series may come from several instances at once (two replicas, a new pod beside the old one), so each is put
together first: `max by` its own labels. What adds up does so only behind that.
"""

from exporter.metrics import catalogue
from exporter.metrics.catalogue import Metric

INSTANCES = 'job=~"$job", instance=~"$instance"'
_PARTNERS = f'{INSTANCES}, partner=~"$partner"'
_SERVICES = f'{_PARTNERS}, channel=~"$channel", service=~"$service"'
_SERIES = f'{_SERVICES}, workload=~"$workload"'
DAY_SECONDS = 86400


def selector(metric: Metric | str) -> str:
    """Return the metric's selector, with every variable that its labels have."""
    if isinstance(metric, str):
        return f"{metric}{{{INSTANCES}}}"
    if "workload" in metric.labels:
        return f"{metric.name}{{{_SERIES}}}"
    if "service" in metric.labels:
        return f"{metric.name}{{{_SERVICES}}}"
    return f"{metric.name}{{{_PARTNERS if 'partner' in metric.labels else INSTANCES}}}"


def by_labels(metric: Metric, *, pick: str = "max") -> str:
    """Return one value for each series, whichever instance gives it."""
    return f"{pick} by ({', '.join(metric.labels)}) ({selector(metric)})"


def a_week_ago(metric: Metric) -> str:
    """Return each series as it was a week ago, or up to six hours before that, whichever instance gave it."""
    return f"last_over_time(({by_labels(metric)})[6h:5m] offset 1w)"


def count(metric: Metric) -> str:
    """Return a count of licences without its detail labels, added up over them."""
    inner = f"max by ({', '.join((*metric.labels, *metric.detail))}) ({selector(metric)})"
    return f"sum by ({', '.join(metric.labels)}) ({inner})"


def increase(metric: Metric, *labels: str, matcher: str = "", window: str = "$__rate_interval") -> str:
    """Return how much a counter rose, added up over everything but these labels."""
    chosen = selector(metric)
    if matcher:
        chosen = f"{chosen[:-1]}, {matcher}}}"
    return f"sum by ({', '.join(labels)}) (increase({chosen}[{window}]))"


USAGE = by_labels(catalogue.USAGE_RATIO)
TARGET = by_labels(catalogue.USAGE_TARGET)
DEPLOYMENT = by_labels(catalogue.DEPLOYMENT_RATIO)
SOLD = count(catalogue.LICENSES_SOLD)
# Licences aren't additive over workloads, so "in use" is what is deployed of those sold. The legacy API gives
# no count of it, but the ratio.
IN_USE = f"({count(catalogue.LICENSES_DEPLOYED)} or {DEPLOYMENT} * {SOLD})"
AGE_DAYS = "(time() - min({})) / " + str(DAY_SECONDS)
