"""The page at `/`: what a person reads, and what a hostile word can't do."""

import base64
import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from html.parser import HTMLParser

import pytest

from exporter.local_text import local_text
from exporter.messages import line
from exporter.model.chart import Chart, chart_of
from exporter.model.rows import Api, DeploymentRow, Row, SourceName, UsageRow
from exporter.model.status import Failure, PollStatus, SignInStatus, SourceView
from exporter.web.status_page import CONTENT_SECURITY_POLICY, HEADERS, render

HOSTILE = "<script>alert(1)</script>\"'><img src=x onerror=alert(2)>&amp;{{ 7*7 }}"
NOW = 1_800_000_000.0
GOOD = PollStatus("contoso", SourceName.USAGE, Api.LEGACY, 3_600.0, up=True, last_success_at=NOW - 5 * 86_400, rows=2)
FAILED = replace(
    GOOD,
    up=False,
    failure=Failure(
        "mfa", line("the API wants a second factor"), line("sign in again"), line("correlation-1"), line("request-1")
    ),
)
ROWS = (
    UsageRow("Exchange", "o365", "reseller", 0.25, 1489104000.0),
    UsageRow("Teams", "o365", "reseller", 0.9, 1489104000.0),
)


class Page(HTMLParser):
    """The page as a browser reads it: tags, attributes and words."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.html = html
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str]] = []
        self.words = ""
        self.style = ""
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += [(name, value or "") for name, value in attrs]

    @property
    def heads(self) -> list[str]:
        """The heads of the columns of all tables."""
        return re.findall("<th [^>]*>([^<]*)</th>", self.html)

    @property
    def cells(self) -> list[list[str]]:
        """The cells of each row of all tables, without the bars."""
        lines = re.findall("<tr>(<td>.*?)</tr>", self.html, re.DOTALL)
        return [re.findall('<td(?: class="value")?>([^<]*)</td>', line) for line in lines]

    def handle_data(self, data: str) -> None:
        if self.tags and self.tags[-1] == "style" and not self.style:
            self.style = data
        else:
            self.words += data

    def values(self, name: str) -> list[str]:
        return [value for attribute, value in self.attributes if attribute == name]


@dataclass
class ExporterState:
    """What the page asks of the exporter."""

    sources: Sequence[SourceView]
    people: Sequence[SignInStatus]
    words: Sequence[str]

    def source_views(self) -> Sequence[SourceView]:
        return self.sources

    def sign_ins(self) -> Sequence[SignInStatus]:
        return self.people

    def notices(self) -> Sequence[str]:
        return self.words

    def unhealthy(self) -> Sequence[str]:
        return ["the poll thread of contoso usage is dead"]

    def not_ready(self) -> Sequence[str]:
        raise AssertionError("not asked")

    def reload(self) -> str:
        raise AssertionError("not asked")


def page(
    *sources: SourceView,
    sign_ins: Sequence[SignInStatus] = (),
    notices: Sequence[str] = (),
    build: tuple[str, str, str] = ("1.2.3", "abc", "3.11.7"),
    telemetry_path: str = "/metrics",
    now: float = NOW,
) -> Page:
    return Page(render(ExporterState(sources, sign_ins, notices), build=build, telemetry_path=telemetry_path, now=now))


def shown(
    status: PollStatus = GOOD, *, rows: Sequence[Row] = ROWS, targets: tuple[float | None, ...] | None = None
) -> SourceView:
    return SourceView(status, chart(rows, targets))


def chart(rows: Sequence[Row], targets: Sequence[float | None] | None = None) -> Chart:
    """Return the chart of rows with these targets."""
    ratios = dict(zip(rows, targets or [None] * len(rows), strict=True))
    made = chart_of("contoso", rows, ratios.__getitem__)
    assert made is not None
    return made


def everything(word: str) -> Page:
    """Return a page with this word in every place that something from outside can reach."""
    failure = Failure(word, local_text(word), local_text(word), local_text(word), local_text(word))
    return page(
        SourceView(
            PollStatus(word, SourceName.USAGE, Api.LEGACY, 60.0, up=False, failure=failure),
            chart_of(word, [UsageRow(word, word, word, 0.1, 0.0)], lambda _row: 0.5),
        ),
        SourceView(
            PollStatus(word, SourceName.DEPLOYMENT, Api.LEGACY, 60.0),
            chart_of(word, [DeploymentRow(word, word, 0.1, 3.0)], lambda _row: None),
        ),
        sign_ins=[SignInStatus(word, up, local_text(word), 1.0, 1.0, 1.0, failure) for up in (True, False, None)],
        notices=[word],
        build=(word, word, word),
    )


def test_hostile_text_stays_text() -> None:
    harmless, hostile = everything("harmless"), everything(HOSTILE)
    assert hostile.tags == harmless.tags
    assert [name for name, _ in hostile.attributes] == [name for name, _ in harmless.attributes]
    assert hostile.words.count(HOSTILE) == harmless.words.count("harmless") > 20


@pytest.mark.parametrize(
    "invisible", ["\0", "\x1b[2J", "\x85", "\u2028", "\u202e", "\u2066", "\u200f", "\ufeff", "\U000e0041"]
)
def test_a_label_can_t_reorder_or_hide_what_is_around_it(invisible: str) -> None:
    row = UsageRow(f"Ex{invisible}change", "o365", f"{invisible}reseller", 0.25, None)
    cells = page(shown(rows=[row])).cells[0]
    assert cells[0].startswith("Ex\N{REPLACEMENT CHARACTER}")
    assert all(map(str.isprintable, cells))


def test_the_page_loads_and_runs_nothing() -> None:
    seen = everything("word")
    assert not {"script", "img", "iframe", "object", "form", "base"} & set(seen.tags)
    assert not [name for name, _ in seen.attributes if name.startswith("on") or name in ("src", "style")]
    assert set(seen.values("href")) == {"data:,", "metrics", "-/healthy", "-/ready"}
    assert "url(" not in seen.style
    assert "@import" not in seen.style


def test_the_links_are_relative_so_that_a_proxy_may_add_a_path() -> None:
    assert "some/path" in page(telemetry_path="/some/path").values("href")
    assert not [link for link in page().values("href") if link.startswith("/") or "://" in link]


def test_the_policy_allows_this_style_sheet_and_nothing_else() -> None:
    style = page().style
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    directives = dict(part.strip().split(" ", 1) for part in CONTENT_SECURITY_POLICY.split(";"))
    assert directives["style-src"] == f"'sha256-{digest}'"
    assert directives["default-src"] == "'none'"
    assert not {"script-src", "connect-src"} & directives.keys()
    assert HEADERS["Content-Security-Policy"] == CONTENT_SECURITY_POLICY
    assert HEADERS["X-Content-Type-Options"] == "nosniff"


def test_a_working_source_shows_when_it_was_polled_and_how_many_rows_it_has() -> None:
    words = page(shown()).words
    assert "Working" in words
    assert re.search(r"Last successful poll 5 days ago \(.* UTC\), 2 rows", words)
    assert "What to do" not in words


def test_a_failed_source_shows_why_and_what_to_do() -> None:
    words = page(shown(FAILED)).words
    for part in ("Last poll failed: mfa", "the API wants a second factor", "What to do: sign in again"):
        assert part in words
    for part in ("correlation-1", "request-1"):
        assert part in words


@pytest.mark.parametrize(
    ("status", "words"),
    [
        (PollStatus("contoso", SourceName.USAGE, Api.LEGACY, 60.0), "Not polled yet"),
        (PollStatus("contoso", SourceName.USAGE, Api.LEGACY, 60.0), "No successful poll yet"),
        (replace(GOOD, rows=0), "the response has no rows"),
        (replace(FAILED, stale=True), "was too old and has been withdrawn"),
        (replace(GOOD, next_poll_at=NOW + 7_200), "Next poll in"),
        (replace(GOOD, next_poll_at=NOW - 5), "Polling now"),
        (replace(FAILED, failure=None), "Last poll failed: unknown"),
    ],
)
def test_each_state_of_a_source_is_shown(status: PollStatus, words: str) -> None:
    assert words in page(SourceView(status)).words


@pytest.mark.parametrize(
    ("sign_in", "words"),
    [
        (SignInStatus("contoso"), "Not tried yet"),
        (SignInStatus("contoso", up=True, account=line("exporter@contoso.example")), "as exporter@contoso.example"),
        (
            SignInStatus("contoso", up=False, failure=Failure("auth", line("expired"), line("log in"))),
            "What to do: log in",
        ),
        (SignInStatus("contoso", up=True, token_expires_at=NOW + 5 * 86_400), "expires in 5 days unless"),
        (SignInStatus("contoso", up=False, token_expires_at=NOW - 5 * 86_400), "Refresh token: expired 5 days ago"),
        (SignInStatus("contoso", credential_expires_at=NOW + 20 * 86_400), "Client credential: expires in"),
        (SignInStatus("contoso", credential_expires_at=NOW - 20 * 86_400), "Client credential: expired 20 days ago"),
    ],
)
def test_each_state_of_a_sign_in_is_shown(sign_in: SignInStatus, words: str) -> None:
    assert words in " ".join(page(sign_ins=[sign_in]).words.split())


def test_what_is_below_its_target_is_marked() -> None:
    seen = page(shown(targets=(0.5, 0.5)))
    assert seen.words.count("below target") == 1
    assert seen.values("class").count("low") == 1
    assert seen.values("x1") == ["50.0", "50.0"]


def test_what_is_at_its_target_is_not_below_it() -> None:
    assert "below target" not in page(shown(targets=(0.25, 0.9))).words


def test_what_has_no_target_has_no_mark() -> None:
    seen = page(shown())
    assert "below target" not in seen.words
    assert seen.values("x1") == []


def test_the_lowest_bar_comes_first_and_none_is_wider_than_100_percent() -> None:
    rows = tuple(UsageRow(name, "s", "c", ratio) for name, ratio in (("a", 1.12), ("b", 0.5), ("c", 0.0)))
    seen = page(shown(rows=rows))
    assert seen.cells == [["c", "s", "c", "0.0%"], ["b", "s", "c", "50.0%"], ["a", "s", "c", "112.0%"]]
    assert seen.values("width")[-6:] == ["100", "0.0", "100", "50.0", "100", "100.0"]


def test_a_row_without_a_ratio_has_no_bar() -> None:
    rows = (UsageRow("a", "s", "c"), DeploymentRow("s", "c", sold=5.0))
    assert chart(rows).bars == ()
    assert "table" not in page(shown(rows=rows)).tags


def test_a_deployment_bar_shows_the_licences_sold() -> None:
    rows = (DeploymentRow("crm", "reseller", 0.5, 4464.0), DeploymentRow("o365", "reseller", 0.6))
    seen = page(shown(rows=rows))
    assert seen.heads[:3] == ["Service", "Channel", "Licences sold"]
    assert seen.cells == [["crm", "reseller", "4,464", "50.0%"], ["o365", "reseller", "", "60.0%"]]


def test_counts_stand_beside_the_bars_where_the_api_gives_them() -> None:
    rows = (UsageRow("Teams", "o365", "reseller", 0.25, active=250.0, qualified=1000.0),)
    seen = page(shown(rows=rows))
    assert seen.heads == ["Workload", "Service", "Channel", "Licences in use", "Ratio", "Bar"]
    assert seen.cells == [["Teams", "o365", "reseller", "250 of 1,000", "25.0%"]]
    deployed = page(shown(rows=[DeploymentRow("crm", "r", 0.5, 10.0, deployed=5.0)]))
    assert deployed.heads == ["Service", "Channel", "Licences deployed", "Ratio", "Bar"]
    assert deployed.cells == [["crm", "r", "5 of 10", "50.0%"]]


def test_without_counts_there_is_no_column_for_them() -> None:
    assert page(shown()).heads == ["Workload", "Service", "Channel", "Ratio", "Bar"]


def test_a_page_with_very_many_series_is_cut_short_with_a_note() -> None:
    rows = tuple(UsageRow(f"w{number}", "s", "c", 0.5) for number in range(700))
    seen = page(shown(rows=rows))
    assert seen.tags.count("svg") == 500
    assert "200 more series" in seen.words


def test_a_page_with_very_many_sources_is_cut_short_with_a_note_too() -> None:
    rows = tuple(UsageRow(f"w{number}", "s", "c", 0.5) for number in range(500))
    seen = page(*[shown(rows=rows)] * 11)
    assert seen.tags.count("svg") == 5_000
    assert seen.words.count("500 more series") == 1


def test_notices_and_the_build_are_shown() -> None:
    words = page(notices=["target 0.5 matches no series"]).words
    assert "target 0.5 matches no series" in words
    assert "the poll thread of contoso usage is dead" in words
    assert "Version 1.2.3, revision abc, Python 3.11.7" in words


def test_times_that_are_no_dates_do_not_break_the_page() -> None:
    for at in (1e30, -1e30):
        words = page(SourceView(replace(GOOD, last_success_at=at, next_poll_at=at))).words
        assert "a time out of range" in words


def test_a_chart_says_how_old_its_newest_data_are() -> None:
    rows = (
        UsageRow("Exchange", "o365", "reseller", 0.5, processed_at=86_400.0),
        UsageRow("Teams", "o365", "reseller", 0.5, processed_at=2 * 86_400.0),
        UsageRow("Yammer", "o365", "reseller", 0.5),
    )
    words = page(shown(rows=rows), now=6 * 86_400.0).words
    assert "Processed by Microsoft 4 days ago (1970-01-03 00:00:00 UTC)." in words
    assert chart(rows[2:]).processed_at is None
