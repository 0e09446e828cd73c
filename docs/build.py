"""Writes the pages that are made of tables in the code: `python docs/build.py`.

docs/metrics.md comes from the catalogue of metrics, docs/reliability.md from the fault matrix of the tests.
With `--check` nothing is written: the status is 1 where a page is stale.
"""

import sys
from collections.abc import Callable, Mapping
from pathlib import Path

FOLDER = Path(__file__).parent
sys.path.insert(0, str(FOLDER.parent))  # the matrix belongs to the tests, which are no installed package

from exporter.metrics.catalogue import DATA, OWN, Metric  # noqa: E402
from tests.reliability.page import reliability_page  # noqa: E402

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
    rows = [f"| `{m.name}` | {m.kind} | {_labels(m)} | {m.help} |" for m in metrics]
    return "\n".join(["| name | type | labels | meaning |", "|---|---|---|---|", *rows, ""])


def _labels(metric: Metric) -> str:
    detail = [f"{label} (with `detail`)" for label in metric.detail]
    return ", ".join([*metric.labels, *detail]) or "–"


PAGES: Mapping[str, Callable[[], str]] = {"metrics.md": metrics_page, "reliability.md": reliability_page}


def main() -> int:
    """Write or compare the pages; 1 where one is stale."""
    stale = [name for name, page in PAGES.items() if not _is_fresh(FOLDER / name, page())]
    if "--check" not in sys.argv:
        for name in stale:
            (FOLDER / name).write_text(PAGES[name](), "utf-8")
        return 0
    for name in PAGES:
        print(f"docs/{name} is {'stale: run python docs/build.py' if name in stale else 'fresh'}")
    return 1 if stale else 0


def _is_fresh(file: Path, page: str) -> bool:
    return file.exists() and file.read_text("utf-8") == page


if __name__ == "__main__":
    sys.exit(main())
