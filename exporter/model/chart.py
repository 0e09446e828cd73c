"""What a person sees of one source's rows: those with the lowest ratio, cut to what fits on a page."""

import heapq
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from exporter.model.rows import Row

# Nobody reads more bars than this.
_MAX_BARS = 500


@dataclass(frozen=True, slots=True)
class Chart:
    """The rows of one source of one partner that have a ratio, each with its target, the lowest first.

    `left_out` is how many more there are, `processed_at` when Microsoft processed the newest row.
    """

    title: str
    columns: tuple[str, ...]
    bars: tuple[tuple[Row, float | None], ...]
    left_out: int
    processed_at: float | None


def chart_of(partner: str, rows: Sequence[Row], target_of: Callable[[Row], float | None]) -> Chart | None:
    """Return the chart of one source; None without rows. Looks at each row: meant for each poll, not for each page."""
    if not rows:
        return None
    first = rows[0]
    with_ratio = [row for row in rows if row.ratio is not None]
    lowest = heapq.nsmallest(_MAX_BARS, with_ratio, key=lambda row: (width(row.ratio or 0.0), row.key))
    known = [name for side, name in enumerate(first.LICENCES) if any(row.licences[side] is not None for row in rows)]
    return Chart(
        title=f"{first.SOURCE.capitalize()} by {first.LABELS[0]}: {partner}",
        columns=(*map(str.capitalize, first.LABELS), *(f"Licences {name}" for name in known[:1])),
        bars=tuple((row, target_of(row)) for row in lowest),
        left_out=len(with_ratio) - len(lowest),
        processed_at=max((row.processed_at for row in rows if row.processed_at is not None), default=None),
    )


def width(ratio: float) -> float:
    """Return how long a bar is, out of 100."""
    return round(min(ratio, 1.0) * 100, 2)
