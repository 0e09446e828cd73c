"""The page at `/`: is it working, and what is the usage? Plain HTML, no script, nothing from elsewhere."""

import base64
import hashlib
from collections.abc import Iterable, Iterator
from dataclasses import replace
from functools import cache
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined, Template

from exporter.formatting import ago, licences, moment, visible
from exporter.model.chart import Chart, width
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
# However many partners there are: no browser shows a page with a million bars.
_MAX_BARS = 5_000


def render(state: ExporterState, *, build: tuple[str, str, str], telemetry_path: str, now: float) -> str:
    """Return the page as HTML; every value from outside is escaped. `now` is in Unix seconds."""
    sources = state.source_views()
    return _template().render(
        style=STYLE,
        now=now,
        sources=[shown.status for shown in sources],
        charts=tuple(_cut((shown.chart, shown.status.api.stale_after_seconds) for shown in sources if shown.chart)),
        sign_ins=state.sign_ins(),
        notices=[*state.unhealthy(), *state.notices()],
        build=build,
        # Relative, so that the page works behind a proxy that adds a path.
        metrics_link=telemetry_path.lstrip("/"),
    )


def _cut(charts: Iterable[tuple[Chart, float]]) -> Iterator[tuple[Chart, float]]:
    """Yield the charts that have bars, at most `_MAX_BARS` together, each with the age from which it is old."""
    room = _MAX_BARS
    for chart, stale_after_seconds in charts:
        if chart.bars:
            bars = chart.bars[:room]
            room -= len(bars)
            left_out = chart.left_out + len(chart.bars) - len(bars)
            yield replace(chart, bars=bars, left_out=left_out), stale_after_seconds


def prepare() -> None:
    """Load the template, which takes a while beside busy polls, before somebody waits for it."""
    _template()


@cache
def _template() -> Template:
    environment = Environment(
        loader=FileSystemLoader(_FOLDER), autoescape=True, undefined=StrictUndefined, trim_blocks=True
    )
    environment.filters |= {"ago": ago, "moment": moment, "licences": licences, "visible": visible, "width": width}
    return environment.get_template("status_page.html")
