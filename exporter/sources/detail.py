"""Counts by customer and product: what is left of them, and what they come to without these."""

from collections.abc import Mapping

from exporter.model.rows import Dimension, Row
from exporter.model.totals import Breakdown, Names, Sums, Total


def breakdown_of(row: type[Row], sums: Sums, names: Mapping[Dimension, Names], *, complete: bool) -> Breakdown:
    """Return totals with the names of the ids that are left, of all ids if it is `complete`."""
    if not complete:
        for column, known in enumerate(names.values(), start=len(row.LABELS)):
            left = {labels[column] for labels in sums}
            for identifier in known.keys() - left:
                del known[identifier]
    labels = (*row.LABELS, *(dimension.label for dimension in names))
    return Breakdown(labels, sums, {dimension.label: known for dimension, known in names.items()})


def over_ids(sums: Sums, width: int) -> Sums:
    """Return the totals without detail, before any limit; remove those that lack an id, and so have no detail."""
    coarse: Sums = {}
    without_id = []
    for labels, total in sums.items():
        coarse.setdefault(labels[:width], Total()).add(total.part, total.whole, total.processed_at)
        if len(labels) == width:
            without_id.append(labels)
    for labels in without_id:
        del sums[labels]
    return coarse
