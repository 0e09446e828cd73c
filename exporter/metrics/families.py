"""Rows as metric families (pure). A value that the API did not give has no sample."""

from collections.abc import Sequence

from exporter.metrics import catalogue
from exporter.metrics.catalogue import Metric
from exporter.metrics.targets import Target, target_of
from exporter.model.rows import Row

Sample = tuple[tuple[str, ...], float]
Families = dict[Metric, list[Sample]]


def families(partner: str, rows: Sequence[Row], targets: Sequence[Target]) -> Families:
    """Return every data family of one partner's and source's rows; label values in the catalogue's order."""
    result: Families = {}
    for row in rows:
        labels = (partner, *row.key)
        for metric, value in catalogue.values_of(row):
            if value is not None:
                result.setdefault(metric, []).append((labels, value))
        target = target_of(targets, partner, row)
        if target is not None and row.ratio is not None:
            result.setdefault(catalogue.USAGE_TARGET, []).append((labels, target.ratio))
    return result
