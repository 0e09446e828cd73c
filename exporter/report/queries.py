"""The report's queries. Each is over all customers at once, and quick: nothing is joined that another can tell apart.

A series may come from several exporters at once (two replicas, or a new pod next to the old one), so it is
deduplicated first: `max by` its own labels. Sums are taken only after that.
"""

from exporter.metrics import catalogue
from exporter.metrics.catalogue import CUSTOMER_INFO, CUSTOMER_TARGET, USAGE_TARGET, Metric, broken_down
from exporter.metrics.exposition import pairs
from exporter.model.rows import Dimension, SourceName, UsageRow

_CUSTOMER = Dimension.CUSTOMER.label
_WORKLOAD = ("partner", *UsageRow.LABELS)
# What is above 0 only because a computer counts in powers of two.
_LEAST_LICENCES = 1e-6


def by_customer(metric: Metric, partner: str | None) -> str:
    """Return one count of every customer, over its workloads, products and channels."""
    return _count(metric, partner, "partner", _CUSTOMER)


def names(partner: str | None) -> str:
    """Return the names of all customers."""
    return f"max by ({', '.join(CUSTOMER_INFO.labels)}) ({_selected(CUSTOMER_INFO, partner)})"


def partners_with_customers(partner: str | None) -> str:
    """Return how many customers each partner has."""
    return f"count by (partner) (group by (partner, {_CUSTOMER}) ({_selected(CUSTOMER_INFO, partner)}))"


def partners() -> str:
    """Return the partners that there is any licence data of, by customer or not."""
    found = (catalogue.USAGE_RATIO, catalogue.DEPLOYMENT_RATIO, catalogue.LICENSES_SOLD)
    return " or ".join(f"group by (partner) ({metric.name})" for metric in found)


def targets(metric: Metric, partner: str | None) -> str:
    """Return how many targets there are."""
    return f"count({_selected(metric, partner)})"


def short_of_target(partner: str | None, *, of_customers: bool) -> str:
    """Return how many more licences each customer would have in use if no workload were below its target.

    `of_customers` says that there are targets of customers, which replace those of all.
    """
    active, qualified = (_count(metric, partner, *_WORKLOAD, _CUSTOMER) for metric in broken_down(SourceName.USAGE))
    workload, series = ", ".join(_WORKLOAD), ", ".join((*_WORKLOAD, _CUSTOMER))
    expected = f"{qualified} * on ({workload}) group_left () max by ({workload}) ({_selected(USAGE_TARGET, partner)})"
    if of_customers:
        own = f"max by ({series}) ({_selected(CUSTOMER_TARGET, partner)})"
        expected = f"{qualified} * on ({series}) {own} or {expected}"
    return f"sum by (partner, {_CUSTOMER}) ((({expected}) - {active}) > {_LEAST_LICENCES:.6f})"


def _count(metric: Metric, partner: str | None, *labels: str) -> str:
    inner = f"max by ({', '.join((*metric.labels, *metric.detail_labels))}) ({_selected(metric, partner)})"
    return f"sum by ({', '.join(labels)}) ({inner})"


def _selected(metric: Metric, partner: str | None) -> str:
    """Return the metric's selector; where the label can be missing, that of customers' series."""
    matchers = pairs({"partner": partner}) if partner is not None else []
    if _CUSTOMER in metric.detail_labels:
        matchers.append(f'{_CUSTOMER}!=""')
    return f"{metric.name}{{{', '.join(matchers)}}}"
