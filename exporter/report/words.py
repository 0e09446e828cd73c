"""How figures are written in the report, and what its columns are called."""

from collections.abc import Callable

from exporter.formatting import ago, moment, visible
from exporter.model.rows import SourceName, row_type
from exporter.report.figures import Report, Row, Table

_MINUS = "\N{MINUS SIGN}"
_NOTHING = "\N{EN DASH}"
_MINUTE_SECONDS = 60.0


def count(value: float | None) -> str:
    """Return a number of licences or customers."""
    return _NOTHING if value is None else f"{value:,.0f}".replace("-", _MINUS)


def change(value: float | None) -> str:
    """Return by how many licences something has changed."""
    return _NOTHING if value is None else f"{value:+,.0f}".replace("-", _MINUS) if round(value) else "0"


def percent(ratio: float | None) -> str:
    """Return a ratio."""
    return _NOTHING if ratio is None else f"{ratio:.1%}"


def points(difference: float | None) -> str:
    """Return by how much a ratio has changed, in percentage points."""
    if difference is None:
        return ""
    return f"{100 * difference:+.1f} points".replace("-", _MINUS) if round(100 * difference, 1) else "0 points"


def columns(table: Table) -> tuple[str, str]:
    """Return the names of a table's two counts."""
    part, whole = row_type(table.source).LICENCES
    return part.capitalize(), whole.capitalize()


def ratio_name(table: Table) -> str:
    """Return the name of a table's ratio."""
    return table.source.capitalize()


def has_partners(report: Report) -> bool:
    """Return whether rows must say whose customers they are."""
    return len({row.partner for table in report.tables for row in table.rows}) > 1


def has_short(table: Table) -> bool:
    """Return whether a table says how many licences are missing to the targets."""
    return table.name == "below target" or (
        table.name == "total" and table.source is SourceName.USAGE and any(row.short is not None for row in table.rows)
    )


def since(report: Report) -> str:
    """Return over how long a change is."""
    return f"in {ago(report.options.compare_seconds)}"


def title(report: Report, shown: Callable[[str], str] = visible) -> str:
    """Return the report's title; `shown` is how names are written."""
    whose = f": {shown(report.options.partner)}" if report.options.partner is not None else ""
    return f"Licences by customer{whose}"


def facts(report: Report, shown: Callable[[str], str] = visible) -> list[str]:
    """Return when the data are from, and what is not in the report; `shown` is how names are written."""
    said = [f"Made {moment(report.made_at)} by partnercenter-exporter, from Prometheus."]
    if report.made_at - report.data_at > _MINUTE_SECONDS:
        said.append(f"The newest data in Prometheus are from {moment(report.data_at)}.")
    if report.compared_at is None:
        said.append(
            f"Prometheus has no customers of {ago(report.options.compare_seconds)} ago, so nothing is compared; "
            "partnercenter-exporter backfill fetches the past."
        )
    else:
        said.append(f"Compared with {moment(report.compared_at)}.")
    if report.missing:
        said.append(f"Not in it, as Prometheus has no newer data of them: {', '.join(map(shown, report.missing))}.")
    return said


def explanation(row: Row) -> str:
    """Return what to know of a row that is not there at both times."""
    return {"new": "new", "gone": "no longer there"}.get(row.note, "")


FOOTNOTE = (
    "Usage: licences in use out of those that qualify, added up over workloads; a licence counts once for each "
    "workload that it includes. Deployment: licences deployed out of those sold. Idle: the rest."
)
