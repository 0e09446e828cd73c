"""The report as one HTML page: no script, nothing from elsewhere, fit for print and for a screen reader."""

import base64
import hashlib
from functools import cache
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined, Template

from exporter.formatting import visible
from exporter.model.chart import width
from exporter.report import words
from exporter.report.figures import Report

_FOLDER = Path(__file__).parent
_STYLE = (_FOLDER / "page.css").read_text("utf-8")
_STYLE_HASH = base64.b64encode(hashlib.sha256(_STYLE.encode()).digest()).decode()
# Whatever a customer's name contains, the page can load and run nothing.
_POLICY = f"default-src 'none'; style-src 'sha256-{_STYLE_HASH}'; img-src data:; base-uri 'none'; form-action 'none'"


def html(report: Report) -> str:
    """Return the page; every value from outside is escaped."""
    return _template().render(report=report, style=_STYLE, policy=_POLICY, words=words)


@cache
def _template() -> Template:
    environment = Environment(
        loader=FileSystemLoader(_FOLDER),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"visible": visible, "width": width}
    environment.filters |= {name: getattr(words, name) for name in ("count", "change", "percent", "points")}
    return environment.get_template("page.html")
