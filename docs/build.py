"""Writes docs/metrics.md from the catalogue: `python docs/build.py`; with `--check` it only compares."""

import sys
from pathlib import Path

from exporter.metrics.catalogue import DATA, OWN, Metric

FILE = Path(__file__).with_name("metrics.md")

_INTRODUCTION = """\
# Metrics

Written by `python docs/build.py` from the catalogue in `exporter/metrics/catalogue.py`.

Ratios are 0 to 1, times are Unix seconds. No sample carries a timestamp. A value that the API did not give is
absent, never 0, -1 or NaN. A row that is gone from the newest good answer is gone from the next scrape. Label
values are the API's own words.
"""


def metrics_page() -> str:
    """Return the page as Markdown."""
    sections = [
        _INTRODUCTION,
        "## Licence data\n",
        _table(DATA),
        "## The exporter's own\n",
        _table(OWN),
        "Beside these: `process_*` and `python_info`, as prometheus_client gives them.\n",
    ]
    return "\n".join(sections)


def _table(metrics: tuple[Metric, ...]) -> str:
    rows = [f"| `{m.name}` | {m.kind} | {', '.join(m.labels) or '–'} | {m.help} |" for m in metrics]
    return "\n".join(["| name | type | labels | meaning |", "|---|---|---|---|", *rows, ""])


def main() -> int:
    """Write or compare the page; 1 where it is stale."""
    page = metrics_page()
    if "--check" not in sys.argv:
        FILE.write_text(page, "utf-8")
        return 0
    fresh = FILE.exists() and FILE.read_text("utf-8") == page
    print("docs/metrics.md is fresh" if fresh else "docs/metrics.md is stale: run python docs/build.py")
    return 0 if fresh else 1


if __name__ == "__main__":
    sys.exit(main())
