"""Rows into metric families (pure). A value that the API did not give is no sample."""

from collections.abc import Iterable, Iterator, Sequence

from exporter.metrics import catalogue
from exporter.metrics.catalogue import Metric
from exporter.metrics.targets import Target, target_of
from exporter.model import DeploymentRow, UsageRow

Sample = tuple[tuple[str, ...], float]
Families = dict[Metric, list[Sample]]


def families(partner: str, rows: Sequence[UsageRow | DeploymentRow], targets: Sequence[Target]) -> Families:
    """Return every data family of one partner's and source's rows; label values in the catalogue's order."""
    result: Families = {}
    for metric, labels, value in _samples(partner, rows, targets):
        if value is not None:
            result.setdefault(metric, []).append((labels, value))
    return result


def _samples(
    partner: str, rows: Iterable[UsageRow | DeploymentRow], targets: Sequence[Target]
) -> Iterator[tuple[Metric, tuple[str, ...], float | None]]:
    for row in rows:
        labels = (partner, *row.key)
        if isinstance(row, UsageRow):
            yield catalogue.USAGE_RATIO, labels, row.ratio
            yield catalogue.USAGE_PROCESSED, labels, row.processed_at
            yield catalogue.LICENSES_ACTIVE, labels, row.active
            yield catalogue.LICENSES_QUALIFIED, labels, row.qualified
            target = target_of(targets, labels)
            yield catalogue.USAGE_TARGET, labels, target.ratio if target and row.ratio is not None else None
        else:
            yield catalogue.DEPLOYMENT_RATIO, labels, row.ratio
            yield catalogue.LICENSES_SOLD, labels, row.sold
            yield catalogue.LICENSES_DEPLOYED, labels, row.deployed
            yield catalogue.DEPLOYMENT_PROCESSED, labels, row.processed_at
