"""How the simulated Partner Insights behaves where the documentation is silent, contradicts itself or drifts."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields

SPELLINGS: Mapping[str, str] = {
    "camel": "keys as recorded: value, nextLink, totalCount",
    "pascal": "keys as documented: Value, NextLink, TotalCount",
    "blanks": 'Pascal case with a stray blank in each key: "Value ", " NextLink"',
}
LINKS: Mapping[str, str] = {
    "relative": "relative to the base, without a leading slash",
    "path": "a path and query from the host's root",
    "absolute": "an absolute URL",
    "foreign": "an absolute URL on another host",
    "loop": "a link back to the same page",
}
MONTHS: Mapping[str, str] = {
    "date": "2026-05-01",
    "date-time": "2026-05-01T00:00:00",
    "us": "5/1/2026",
    "us-time": "5/1/2026 12:00:00 AM",
}
NEWEST: Mapping[str, str] = {
    "calendar": "blank on a month's first days, then more customers each three days, complete from the 19th on",
    "blank": "no rows",
    "partial": "the rows of about half of the customers",
    "full": "every row",
}
ROLES: Mapping[str, str] = {
    "executive": "Executive report viewer: every call is answered",
    "viewer": "Report viewer only: every call is refused with 403",
    "viewer-inside": "Report viewer only: every call is refused, with 403 inside a response of status 200",
}
STUCK: Mapping[str, str] = {
    "": "executions complete",
    "Pending": "executions stay Pending",
    "Running": "executions stay Running",
}
CODINGS: Mapping[str, str] = {
    "gzip": "gzip, announced as Content-Encoding",
    "raw-gzip": "gzip that no header announces",
    "plain": "no compression",
}
CONTENTS: Mapping[str, str] = {
    "whole": "every row",
    "header-only": "the header line without rows",
    "empty": "no bytes",
    "cut-row": "the end is missing, from the middle of the last row",
    "cut-gzip": "the end of the compressed bytes is missing",
}
CHOICES: Mapping[str, Mapping[str, str]] = {
    "spelling": SPELLINGS,
    "links": LINKS,
    "month_format": MONTHS,
    "newest_month": NEWEST,
    "role": ROLES,
    "stuck_status": STUCK,
    "file_coding": CODINGS,
    "file_content": CONTENTS,
}
"""The quirks that are one word of several, with what each word means."""

DATE_RANGES = ("LAST_MONTH", "LAST_3_MONTHS", "LAST_6_MONTHS", "LAST_1_YEAR")


@dataclass(frozen=True, slots=True, kw_only=True)
class InsightsQuirks:
    """The switches; CHOICES names the words that some of them take.

    `renamed_columns` maps a column or metric, as `Column` or `Set.Column`, to its new name; "" removes it.
    `page_rows` and `rate_limit` (calls in `rate_limit_seconds`) are off at 0. Times are in seconds: those of
    executions in the data's time, those of links, answers and rate limits in real time.
    """

    missing_sets: Sequence[str] = ()
    sets_without_columns: Sequence[str] = ()
    sets_without_rows: Sequence[str] = ()
    renamed_columns: Mapping[str, str] = field(default_factory=dict)
    date_ranges: Sequence[str] = DATE_RANGES
    spelling: str = "camel"
    bom: bool = False
    page_rows: int = 0
    links: str = "relative"
    numbers_as_text: bool = False
    month_format: str = "date-time"
    newest_month: str = "calendar"
    row_limit: int = 100
    data_redacted: bool = False
    role: str = "executive"
    slow_seconds: float = 0
    empty_list_is_404: bool = True
    queue_seconds: float = 60
    run_seconds: float = 300
    stuck_status: str = ""
    shows_pending: bool = False
    file_coding: str = "gzip"
    file_content: str = "whole"
    file_bom: bool = False
    link_seconds: float = 3600
    rate_limit: int = 0
    rate_limit_seconds: float = 60

    def __post_init__(self) -> None:
        for name, words in CHOICES.items():
            if getattr(self, name) not in words:
                allowed = ", ".join(repr(word) for word in words)
                raise ValueError(f"{name} must be one of {allowed}, not {getattr(self, name)!r}")
        texts = (*self.missing_sets, *self.sets_without_columns, *self.sets_without_rows, *self.date_ranges)
        if not all(isinstance(text, str) for text in (*texts, *self.renamed_columns.values())):
            raise ValueError("sets, columns and date ranges must be text")
        for each in fields(self):
            value = getattr(self, each.name)
            if isinstance(value, int | float) and value < 0:
                raise ValueError(f"{each.name} must not be negative")
        if self.row_limit < 1:
            raise ValueError("row_limit must be at least 1")
        if self.file_content == "cut-gzip" and self.file_coding == "plain":
            raise ValueError("file_content must not be 'cut-gzip' while file_coding is 'plain'")
