"""Counts by customer and product as pre-rendered bytes: rendered once, then published, stored and restored as is."""

from collections.abc import Iterable, Iterator
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field

from exporter.metrics import exposition
from exporter.metrics.catalogue import LICENSES_QUALIFIED, Metric, broken_down, info
from exporter.metrics.exposition import Block
from exporter.metrics.targets import CustomerSeries
from exporter.model.rows import Dimension, SourceName, UsageRow
from exporter.model.totals import Breakdown, Names, drain


@dataclass(frozen=True, slots=True)
class RenderedBreakdown:
    """The counts of one source by customer or product, and their names by the label that has the id."""

    blocks: dict[Metric, tuple[Block, ...]] = field(default_factory=dict)
    names: dict[str, Names] = field(default_factory=dict)
    version: str = ""


def render_breakdown(partner: str, source: SourceName, breakdown: Breakdown | None) -> RenderedBreakdown | None:
    """Render the totals, which drains them; None where there are none."""
    if breakdown is None:
        return None
    totals = drain(breakdown.sums)
    blocks = exposition.totals(partner, broken_down(source), breakdown.labels, totals)
    return RenderedBreakdown(blocks, breakdown.names, breakdown.version)


def series_of_customers(breakdown: RenderedBreakdown | None, customers: AbstractSet[str]) -> tuple[CustomerSeries, ...]:
    """Return the usage series of these customers, as far as licences qualify: the others have no ratio."""
    blocks = breakdown.blocks.get(LICENSES_QUALIFIED, ()) if breakdown else ()
    found = {
        CustomerSeries(customer, tuple(labels[name] for name in UsageRow.LABELS)): None
        for labels, customer, qualified in exposition.labelled(blocks, Dimension.CUSTOMER.label, customers)
        if qualified
    }
    return tuple(found)


def info_blocks(partner: str, sources: Iterable[dict[str, Names]]) -> dict[Metric, tuple[Block, ...]]:
    """Return the info metrics of one partner over all its sources: one series an id, its newest name."""
    known = tuple(sources)
    blocks = {
        info(dimension): exposition.names(
            partner, info(dimension), _newest([names.get(dimension.label, {}) for names in known])
        )
        for dimension in Dimension
    }
    return {metric: ready for metric, ready in blocks.items() if ready}


def _newest(sources: list[Names]) -> Iterator[tuple[str, str]]:
    """Yield each id with its newest name. No merged copy: there may be a million ids."""
    for position, names in enumerate(sources):
        earlier, others = sources[:position], sources[:position] + sources[position + 1 :]
        for identifier, named in names.items():
            if not any(identifier in known for known in earlier):
                newest = max([named, *(other[identifier] for other in others if identifier in other)])
                yield identifier, newest[1]
