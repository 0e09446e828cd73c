"""The queries of the dashboard.

A series may come from several instances at once (two replicas, or a new pod next to the old one), so it is
deduplicated first: `max by` its own labels. Sums are taken only after that.

Grafana rounds the end of a graph down to a multiple of its step (`AlignTimeRange` in
https://github.com/grafana/grafana/blob/main/pkg/promlib/models/query.go). What was read there would leave out up to an
hour of a month's graph, the newest one, and all of an exporter that was just installed. So a point of our graphs stands
for the step that begins with it, the last one for what there is of it.
"""

from collections.abc import Callable

from exporter.metrics import catalogue
from exporter.metrics.catalogue import Metric
from exporter.model.rows import SourceName

INSTANCES = 'job=~"$job", instance=~"$instance"'
_PARTNERS = f'{INSTANCES}, partner=~"$partner"'
_SERVICES = f'{_PARTNERS}, channel=~"$channel", service=~"$service"'
_SERIES = f'{_SERVICES}, workload=~"$workload"'
DAY_SECONDS = 86400
OF_STEP = "offset -$__interval"


def selector(metric: Metric | str) -> str:
    """Return the metric's selector, with the variables for its labels."""
    if isinstance(metric, str):
        return f"{metric}{{{INSTANCES}}}"
    if "workload" in metric.labels:
        return f"{metric.name}{{{_SERIES}}}"
    if "service" in metric.labels:
        return f"{metric.name}{{{_SERVICES}}}"
    return f"{metric.name}{{{_PARTNERS if 'partner' in metric.labels else INSTANCES}}}"


def on_graph(chosen: str) -> str:
    """Return the newest value in each step of a graph, of a gauge."""
    return f"last_over_time({chosen}[$__rate_interval] {OF_STEP})"


def at_its_end(chosen: str) -> str:
    """Return the newest value in the last step of a graph at all of them, of a gauge."""
    return f"last_over_time({chosen}[$__rate_interval] @ end() {OF_STEP})"


def by_labels(metric: Metric, *, pick: str = "max", read: Callable[[str], str] = str) -> str:
    """Return one value per series, whichever instance exports it; `read` is how to read them, now if it isn't given."""
    return f"{pick} by ({', '.join(metric.labels)}) ({read(selector(metric))})"


def furthest_below_target(shown: int) -> str:
    """Return so many series of usage over time, those without a target after those below it; and all that vanished."""
    now, target, drawn = (
        by_labels(metric, read=read)
        for metric, read in (
            (catalogue.USAGE_RATIO, at_its_end),
            (catalogue.USAGE_TARGET, at_its_end),
            (catalogue.USAGE_RATIO, on_graph),
        )
    )
    return f"({drawn} and bottomk({shown}, {now} - {target} or {now}) or {drawn} unless {now})"


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


def increase(metric: Metric, *labels: str, within: str) -> str:
    """Return a counter's increase within a time, summed by these labels."""
    return f"sum by ({', '.join(labels)}) (increase({selector(metric)}{within}))"


def events(metric: Metric, *labels: str) -> str:
    """Return a counter's increase in each step of a graph, summed by these labels."""
    return increase(metric, *labels, within=f"[$__rate_interval] {OF_STEP}")


def events_seen(metric: Metric, label: str, *labels: str, none: str) -> str:
    """Return the increases by these labels that there were or, if there was none in all of the graph, `none`: 0.

    Every known code and word has a counter from the start: those that never moved are no news.
    """
    any_seen = increase(metric, within=f"[$__range] @ end() {OF_STEP}")
    zero = f'label_replace(0 * {events(catalogue.POLLS)}, "{label}", "{none}", "", "")'
    return f"{events(metric, label, *labels)} > 0 or {zero} unless on () {any_seen} > 0"


USAGE = by_labels(catalogue.USAGE_RATIO)
TARGET = by_labels(catalogue.USAGE_TARGET)
# Below 0 for series below their target. Those without one come after these, lowest usage first.
DISTANCE = f"({USAGE} - {TARGET} or {USAGE})"
DEPLOYMENT = by_labels(catalogue.DEPLOYMENT_RATIO)
SOLD = count(catalogue.LICENSES_SOLD)
# Licences aren't additive across workloads, so "in use" means deployed. The legacy API has no count for that,
# only the ratio.
IN_USE = f"({count(catalogue.LICENSES_DEPLOYED)} or {DEPLOYMENT} * {SOLD})"
