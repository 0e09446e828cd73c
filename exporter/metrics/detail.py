"""The counts of customers and products as ready bytes: rendered once, kept, remembered, never taken apart."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from exporter.counts import Counts, Names
from exporter.metrics import catalogue, exposition
from exporter.metrics.catalogue import Metric
from exporter.metrics.exposition import Block

COUNTED = {
    "usage": (catalogue.LICENSES_ACTIVE, catalogue.LICENSES_QUALIFIED),
    "deployment": (catalogue.LICENSES_DEPLOYED, catalogue.LICENSES_SOLD),
}
INFOS = {"customer_id": catalogue.CUSTOMER_INFO, "product_id": catalogue.PRODUCT_INFO}


@dataclass(frozen=True, slots=True)
class Detail:
    """The counts of one source by customer or product, and the names of these by the label of their ids."""

    blocks: dict[Metric, tuple[Block, ...]] = field(default_factory=dict)
    names: dict[str, Names] = field(default_factory=dict)


def detail(partner: str, source: str, counts: Counts | None, names: dict[str, Names]) -> Detail | None:
    """Render the counts, which are drained by that; None where there are none."""
    if counts is None:
        return None
    return Detail(exposition.counts(partner, COUNTED[source], counts.names, counts.drain()), names)


def info_blocks(partner: str, every: Iterable[dict[str, Names]]) -> dict[Metric, tuple[Block, ...]]:
    """Return the info metrics of one partner over all its sources: one series an id, its newest name."""
    sources = list(every)
    return {
        metric: blocks
        for label, metric in INFOS.items()
        if (
            blocks := exposition.names(
                partner, metric, _newest([each[label] for each in sources if label in each])
            )
        )
    }


def _newest(every: list[Names]) -> Iterator[tuple[str, str]]:
    """Yield each id with its newest name."""
    for position, names in enumerate(every):
        others = every[:position] + every[position + 1 :]
        for identifier, named in names.items():
            if not any(identifier in earlier for earlier in every[:position]):
                newest = max([named, *(other[identifier] for other in others if identifier in other)])
                yield identifier, newest[1]
