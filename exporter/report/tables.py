"""The report as Markdown and as CSV."""

import csv
import io
import re
from collections.abc import Iterable, Iterator

from exporter.formatting import visible
from exporter.model.totals import Total
from exporter.report import words
from exporter.report.figures import Report, Row, Table

_MARKDOWN = re.compile(r"([\\`*_{}\[\]#!|~<>&@:])")
# A spreadsheet takes a cell that begins like this for a formula, and a customer chooses its own name.
_FORMULA = ("=", "+", "-", "@", "\t", "\r")
_COLUMNS = (
    "list", "source", "rank", "partner", "customer_id", "customer_name", "customers",
    "used", "available", "ratio", "idle", "used_before", "available_before", "ratio_before", "short_of_target", "note",
)  # fmt: skip


def csv_text(report: Report) -> str:
    """Return one table for all lists, with a header; `used` of `available` are active of qualified, deployed of sold.

    rfc-editor.org/rfc/rfc4180
    """
    text = io.StringIO(newline="")
    writer = csv.writer(text)
    writer.writerow(_COLUMNS)
    for table in (*report.totals, *report.tables):
        for rank, row in enumerate(table.rows, 1):
            writer.writerow(_cells(table, rank, row))
    return text.getvalue()


def _cells(table: Table, rank: int, row: Row) -> Iterator[object]:
    yield from (table.name, table.source, rank)
    yield from map(_text, (row.partner, row.customer_id, row.name))
    yield row.customers
    before = row.before or Total()
    numbers = (
        row.now.part, row.now.whole, row.now.ratio, row.idle, before.part, before.whole, before.ratio,
        row.short if words.has_short(table) else None,
    )  # fmt: skip
    yield from ("" if number is None else f"{round(number, 6):.15g}" for number in numbers)
    yield row.note


def _text(text: str) -> str:
    shown = visible(text)
    return f"'{shown}" if shown.startswith(_FORMULA) else shown


def markdown(report: Report) -> str:
    """Return the report as GitHub and most chats show it."""
    return "\n".join(_lines(report)) + "\n"


def _lines(report: Report) -> Iterator[str]:
    yield f"# {words.title(report, _escaped)}"
    yield ""
    yield " ".join(words.facts(report, _escaped))
    yield ""
    yield f"- Customers: {words.count(report.customers)}"
    if report.below_target is not None:
        yield f"- Below their target: {words.count(report.below_target)}"
    for table in (*report.totals, *report.tables):
        yield from _table(report, table)
    yield ""
    yield words.FOOTNOTE


def _table(report: Report, table: Table) -> Iterator[str]:
    yield from ("", f"## {table.title}", "")
    if table.note:
        yield from (table.note, "")
    if not table.rows:
        yield "None."
        return
    is_total = table.name == "total"
    heads = ["" if is_total else "#", *(["Partner"] if words.has_partners(report) and not is_total else [])]
    heads += ["Partner" if is_total else "Customer", *(["Customers"] if is_total else []), *words.columns(table)]
    heads += [words.ratio_name(table), "Idle", *(["Short of target"] if words.has_short(table) else [])]
    heads += [f"Change {words.since(report)}", "In points"] if report.compared_at is not None else []
    texts = 2 if is_total else len(heads[: heads.index("Customer") + 1])
    yield _line(heads)
    yield _line("---" if place < texts else "---:" for place in range(len(heads)))
    for rank, row in enumerate(table.rows, 1):
        cells = ["" if is_total else str(rank)]
        if words.has_partners(report) and not is_total:
            cells.append(_escaped(row.partner))
        note = f" ({words.explanation(row)})" if row.note else ""
        cells += [_escaped(row.label) + note, *([words.count(row.customers)] if is_total else [])]
        cells += [words.count(row.now.part), words.count(row.now.whole), words.percent(row.now.ratio)]
        cells += [words.count(row.idle), *([words.count(row.short)] if words.has_short(table) else [])]
        cells += [words.change(row.change), words.points(row.points)] if report.compared_at is not None else []
        yield _line(cells)
    if table.left_out:
        yield from ("", f"{words.count(table.left_out)} more are not listed.")


def _line(cells: Iterable[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _escaped(text: str) -> str:
    """Return a text of which Markdown makes nothing: each sign that it may read is escaped."""
    return _MARKDOWN.sub(r"\\\1", " ".join(visible(text).split()))
