"""The page at `/`: is it working, and what is the usage? Plain HTML, no script, nothing from elsewhere."""

import base64
import hashlib
from dataclasses import dataclass
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from exporter.formatting import ago, licences, moment
from exporter.model.rows import Row
from exporter.model.status import SourceView
from exporter.web.application import ExporterState

_FOLDER = Path(__file__).parent
STYLE = (_FOLDER / "status_page.css").read_text("utf-8")
_STYLE_HASH = base64.b64encode(hashlib.sha256(STYLE.encode()).digest()).decode()

# Only this page's own style sheet may be used: a label that smuggles in markup could load and run nothing.
CONTENT_SECURITY_POLICY = (
    f"default-src 'none'; style-src 'sha256-{_STYLE_HASH}'; img-src data:; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
HEADERS = {
    "Content-Security-Policy": CONTENT_SECURITY_POLICY,
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
}
# Nobody reads more bars than this, and no browser shows a page with a million of them.
_MAX_BARS = 500


@dataclass(frozen=True, slots=True)
class Chart:
    """The rows of one source of one partner that have a ratio, each with its target, the lowest first.

    `processed_at` is when Microsoft processed the newest.
    """

    title: str
    columns: tuple[str, ...]
    bars: tuple[tuple[Row, float | None], ...]
    left_out: int
    processed_at: float | None


def render(state: ExporterState, *, build: tuple[str, str, str], telemetry_path: str, now: float) -> str:
    """Return the page as HTML; every value from outside is escaped. `now` is in Unix seconds."""
    environment = Environment(
        loader=FileSystemLoader(_FOLDER), autoescape=True, undefined=StrictUndefined, trim_blocks=True
    )
    sources = state.source_views()
    environment.filters |= {"ago": ago, "moment": moment, "licences": licences, "width": width}
    return environment.get_template("status_page.html").render(
        style=STYLE,
        now=now,
        sources=[shown.status for shown in sources],
        charts=[chart for shown in sources if shown.rows and (chart := chart_of(shown)).bars],
        sign_ins=state.sign_ins(),
        notices=[*state.unhealthy(), *state.notices()],
        build=build,
        # Relative, so that the page works behind a proxy that adds a path.
        metrics_link=telemetry_path.lstrip("/"),
    )


def chart_of(shown: SourceView) -> Chart:
    """Return the chart of one source, which must have rows."""
    rows = [row for row, _ in shown.rows]
    bars = [(row, target) for row, target in shown.rows if row.ratio is not None]
    bars.sort(key=lambda bar: (width(bar[0].ratio or 0.0), bar[0].key))
    first = rows[0]
    known = [name for side, name in enumerate(first.LICENCES) if any(row.licences[side] is not None for row in rows)]
    times = [row.processed_at for row in rows if row.processed_at is not None]
    return Chart(
        title=f"{first.SOURCE.capitalize()} by {first.LABELS[0]}: {shown.status.partner}",
        columns=(*map(str.capitalize, first.LABELS), *(f"Licences {name}" for name in known[:1])),
        bars=tuple(bars[:_MAX_BARS]),
        left_out=max(len(bars) - _MAX_BARS, 0),
        processed_at=max(times, default=None),
    )


def width(ratio: float) -> float:
    """Return how long a bar is, out of 100."""
    return round(min(ratio, 1.0) * 100, 2)
