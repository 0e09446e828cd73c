"""The page at `/`: is it working, and what is the usage? Plain HTML, no script, nothing from elsewhere."""

import base64
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from exporter.formatting import ago, licences, moment
from exporter.model import DeploymentRow, Shown, SignInStatus, UsageRow

_FOLDER = Path(__file__).parent
STYLE = (_FOLDER / "status_page.css").read_text("utf-8")
_STYLE_HASH = base64.b64encode(hashlib.sha256(STYLE.encode()).digest()).decode()

# Only this page's own style sheet may be used: a label that slips in markup could load and run nothing.
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
# More bars than this no person reads, and a page of a million of them no browser shows.
_MOST_BARS = 500


@dataclass(frozen=True, slots=True)
class Bar:
    """One bar: its labels, the ratio in words and as a width of 100, and where the target stands."""

    labels: tuple[str, ...]
    words: str
    width: float
    target: float | None
    below: bool


@dataclass(frozen=True, slots=True)
class Chart:
    """The bars of one source of one partner; `processed_at` is when Microsoft processed the newest."""

    title: str
    columns: tuple[str, ...]
    bars: tuple[Bar, ...]
    left_out: int
    processed_at: float | None


def render(
    sources: Sequence[Shown],
    sign_ins: Sequence[SignInStatus],
    *,
    notices: Sequence[str],
    build: tuple[str, str, str],
    telemetry_path: str,
    now: float,
) -> str:
    """Return the page as HTML; every value from outside is escaped. `now` is in Unix seconds."""
    environment = Environment(
        loader=FileSystemLoader(_FOLDER), autoescape=True, undefined=StrictUndefined, trim_blocks=True
    )
    environment.filters["ago"] = ago
    environment.filters["moment"] = moment
    version, revision, python = build
    return environment.get_template("status_page.html").render(
        style=STYLE,
        now=now,
        sources=[shown.status for shown in sources],
        charts=[chart for shown in sources if (chart := chart_of(shown)).bars],
        sign_ins=sign_ins,
        notices=notices,
        version=version,
        revision=revision,
        python=python,
        # Relative, so that the page works behind a proxy that adds a path.
        metrics_link=telemetry_path.lstrip("/"),
    )


def chart_of(shown: Shown) -> Chart:
    """Return the bars of one source, the lowest first."""
    pairs = zip(shown.rows, shown.targets, strict=True)
    usage = any(isinstance(row, UsageRow) for row in shown.rows)
    counted = not usage or any(row.licences != (None, None) for row in shown.rows)
    bars = [bar for row, target in pairs if (bar := _bar(row, target, counted=counted))]
    bars.sort(key=lambda bar: (bar.width, bar.labels))
    status = shown.status
    return Chart(
        title=f"{'Usage by workload' if usage else 'Deployment by service'}: {status.partner}",
        columns=_columns(shown.rows, usage=usage, counted=counted),
        bars=tuple(bars[:_MOST_BARS]),
        left_out=max(len(bars) - _MOST_BARS, 0),
        processed_at=max(
            (row.processed_at for row in shown.rows if row.processed_at is not None), default=None
        ),
    )


def _columns(rows: Sequence[UsageRow | DeploymentRow], *, usage: bool, counted: bool) -> tuple[str, ...]:
    if usage:
        return ("Workload", "Service", "Channel", *(["Licences in use"] if counted else []))
    deployed = any(row.licences[0] is not None for row in rows)
    return ("Service", "Channel", "Licences deployed" if deployed else "Licences sold")


def _bar(row: UsageRow | DeploymentRow, target: float | None, *, counted: bool) -> Bar | None:
    if row.ratio is None:
        return None
    labels = (*row.key, licences(*row.licences)) if counted else row.key
    return Bar(
        labels=labels,
        words=f"{row.ratio:.1%}",
        width=round(min(row.ratio, 1.0) * 100, 2),
        target=None if target is None else round(min(target, 1.0) * 100, 2),
        below=target is not None and row.ratio < target,
    )
