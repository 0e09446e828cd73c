"""The status page in a real browser: on phone and desktop, in light and dark mode."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page, ViewportSize, sync_playwright

from exporter.formatting import visible
from partnercenter_simulator import Fault, Simulator
from tests.e2e.conftest import Process, Serving, program, start
from tests.support.config import write_config
from tests.support.process import PATIENCE_SECONDS

# Chromium's own sandbox doesn't work as root; the other flags prevent requests to the outside.
FLAGS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-proxy-server",
)
PHONE, TABLET, DESK = (ViewportSize(width=width, height=900) for width in (320, 768, 1440))
SIZES = pytest.mark.parametrize("size", [PHONE, TABLET, DESK], ids=["phone", "tablet", "desk"])
SCHEMES = pytest.mark.parametrize("scheme", ["light", "dark"])

HOSTILE = (
    "<script>document.title='broken'</script>",
    '"><img src=x onerror="document.title=\'broken\'">',
    "</td></table><h1>Injected</h1>",
    "&lt;b&gt; ' \" `",
    "{{ 7 * 7 }}",
    "\u202ereversed\u202c",
    "two\nlines\x00and a NUL",
    "long" * 250,
)


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    executable = program("chromium", "chromium")
    with (
        sync_playwright() as playwright,
        playwright.chromium.launch(executable_path=executable, args=list(FLAGS)) as browser,
    ):
        yield browser


@pytest.fixture(scope="module")
def tab(browser: Browser) -> Page:
    """One tab for all tests: a new one costs the start of a process."""
    page = browser.new_page()
    page.set_default_timeout(PATIENCE_SECONDS * 1000)
    return page


class Opened:
    """The status page in the tab, and the errors while loading it."""

    def __init__(self, tab: Page, process: Process, size: ViewportSize, scheme: Any = "light") -> None:
        self.page = tab
        self.complaints: list[str] = []
        self.asked: list[str] = []
        tab.set_viewport_size(size)
        tab.emulate_media(color_scheme=scheme)
        listeners: dict[Any, Any] = {
            "console": lambda message: self.complaints.append(message.text),
            "pageerror": lambda error: self.complaints.append(error.message),
            "request": lambda request: self.asked.append(request.url),
        }
        for event, listener in listeners.items():
            tab.on(event, listener)
        tab.goto(process.url + "/", wait_until="load")
        for event, listener in listeners.items():
            tab.remove_listener(event, listener)

    def measure(self, script: str) -> Any:
        """Return the result of a script in the page."""
        return self.page.evaluate(script)


@pytest.fixture(scope="module")
def hostile(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Process]:
    """An exporter whose upstream returns labels that try to inject markup into the page."""
    with Simulator(seed=3) as simulator:
        rows: list[dict[str, object]] = [
            {
                "workloadName": text,
                "serviceName": text,
                "channel": text,
                "proratedLicensesUsagePercent": 10 * index,
                "processedDateTime": "2026-01-05T00:00:00Z",
            }
            for index, text in enumerate(HOSTILE)
        ]
        simulator.faults.add(Fault(kind="rows", endpoint="usage", rows=rows))
        simulator.faults.add(Fault(kind="status", endpoint="deployment", status=403))
        file = write_config(tmp_path_factory.mktemp("hostile"), simulator, targets=[{"ratio": 0.35}])
        with start(file) as process:
            process.wait_until_ready()
            yield process


@SIZES
@SCHEMES
def test_nothing_overflows_and_the_console_is_empty(
    tab: Page, serving: Serving, size: ViewportSize, scheme: str
) -> None:
    opened = Opened(tab, serving.process, size, scheme)
    assert opened.complaints == []
    assert overflowing(opened) == []


@SIZES
def test_labels_of_any_kind_stay_inside_their_cells(tab: Page, hostile: Process, size: ViewportSize) -> None:
    opened = Opened(tab, hostile, size)
    assert overflowing(opened) == []


def test_no_column_s_title_breaks_within_a_word(tab: Page, simulator: Simulator, tmp_path: Path) -> None:
    file = write_config(tmp_path, simulator, sources={"usage": {"api": "commercial"}}, targets=[{"ratio": 0.5}])
    with start(file) as process:
        process.wait_until_ready()
        for size in (PHONE, TABLET, DESK):
            assert json.loads(Opened(tab, process, size).measure(BROKEN_WORDS)) == []


@SCHEMES
@pytest.mark.parametrize("size", [PHONE, DESK], ids=["phone", "desk"])
def test_contrast_structure_and_names_follow_the_rules_of_accessibility(
    tab: Page, serving: Serving, size: ViewportSize, scheme: str
) -> None:
    opened = Opened(tab, serving.process, size, scheme)
    found = Axe().run(opened.page).response["violations"]
    assert [(violation["id"], [node["html"] for node in violation["nodes"]]) for violation in found] == []


@SIZES
def test_headings_tables_and_images_have_names_and_a_sensible_order(
    tab: Page, serving: Serving, size: ViewportSize
) -> None:
    page = Opened(tab, serving.process, size).page
    assert page.get_by_role("heading", level=1).all_inner_texts() == ["Partner Center exporter"]
    second = page.get_by_role("heading", level=2).all_inner_texts()
    assert second[:2] == ["Sign-in", "Polls"]
    assert "Usage by workload: fabrikam" in second
    tables = page.get_by_role("table")
    assert tables.count() == len(second) - 2
    for table in tables.all():
        columns = table.get_by_role("columnheader").all_inner_texts()
        row = table.get_by_role("row").nth(1)
        assert row.get_by_role("cell").count() == len(columns)
        assert row.get_by_role("img").get_attribute("aria-label")


def test_a_bar_is_as_long_as_its_ratio_and_the_target_is_marked_where_it_belongs(tab: Page, serving: Serving) -> None:
    opened = Opened(tab, serving.process, DESK)
    bars = opened.measure(BARS)
    assert len(bars) > 20
    for bar in bars:
        assert bar["length"] == pytest.approx(bar["ratio"], abs=0.002), bar
        if bar["target"] is not None:
            assert bar["target"] == pytest.approx(0.8 if bar["workload"] == "Exchange" else 0.5, abs=0.002)
            assert bar["below"] == (bar["ratio"] < bar["target"] - 0.0005), bar


def test_labels_can_t_inject(tab: Page, hostile: Process) -> None:
    opened = Opened(tab, hostile, DESK)
    assert opened.page.title() == "Partner Center exporter"
    assert opened.page.locator("img, script, iframe, object, link[rel=stylesheet]").count() == 0
    assert opened.page.get_by_role("heading", level=1).count() == 1
    shown = opened.page.locator("tbody td:first-child").all_text_contents()
    assert sorted(shown) == sorted(visible(text) for text in HOSTILE)


def test_it_loads_nothing_but_itself(tab: Page, serving: Serving) -> None:
    opened = Opened(tab, serving.process, DESK)
    assert opened.asked == [serving.process.url + "/"]
    policy = serving.process.ask("/").headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "script" not in policy
    assert "unsafe" not in policy


def test_the_policy_lets_no_script_run_even_if_one_got_in(tab: Page, serving: Serving) -> None:
    opened = Opened(tab, serving.process, DESK)
    with opened.page.expect_console_message() as complaint:
        opened.measure(
            "() => { const each = document.createElement('script'); each.textContent = 'document.title = 1';"
            " document.body.append(each); }"
        )
    assert "Content Security Policy" in complaint.value.text
    assert opened.page.title() == "Partner Center exporter"


def test_a_failure_is_shown_with_its_remedy_and_ids(tab: Page, hostile: Process) -> None:
    page = Opened(tab, hostile, PHONE).page
    card = page.locator(".card", has_text="contoso: deployment")
    text = card.inner_text()
    assert "Last poll failed: forbidden" in text
    assert "What to do:" in text
    assert "Correlation ID" in text
    assert "Next poll in" in text


def test_a_browser_decompresses_a_scrape(tab: Page, serving: Serving) -> None:
    reply = tab.goto(serving.process.url + "/metrics")
    assert reply is not None
    assert reply.headers["content-encoding"] == "gzip"
    text = reply.text()
    assert text.startswith("# HELP partnercenter_license_usage_ratio")
    assert text.endswith("\n")
    assert "partnercenter_exporter_build_info{" in text


def overflowing(opened: Opened) -> list[str]:
    """Return the elements that overflow the window or their parents, as text."""
    found: list[str] = json.loads(opened.measure(OVERFLOWING))
    return found


OVERFLOWING = """() => {
    const wide = document.documentElement.scrollWidth > document.documentElement.clientWidth;
    const width = document.documentElement.clientWidth;
    const found = [...document.querySelectorAll("main *, header *")].filter((each) => {
        const box = each.getBoundingClientRect();
        const head = each.closest("thead");
        if (head && getComputedStyle(head).position === "absolute") return false;
        return box.width > 0 && (box.right > width + 1 || box.left < -1);
    });
    return JSON.stringify([...(wide ? ["the page is wider than the window"] : []),
        ...found.map((each) => each.outerHTML.slice(0, 120))]);
}"""

BROKEN_WORDS = """() => {
    const shown = [...document.querySelectorAll("thead")]
        .filter((head) => getComputedStyle(head).position !== "absolute");
    const texts = shown.flatMap((head) => [...head.querySelectorAll("th")]).map((cell) => cell.firstChild);
    return JSON.stringify(texts.flatMap((text) => [...text.data.matchAll(/\\S+/g)].filter((word) => {
        const range = document.createRange();
        range.setStart(text, word.index);
        range.setEnd(text, word.index + word[0].length);
        return range.getClientRects().length > 1;
    }).map((word) => word[0])));
}"""

BARS = """() => [...document.querySelectorAll("tbody tr")].map((row) => {
    const box = (name) => row.querySelector(name)?.getBoundingClientRect();
    const track = box(".track"), bar = box(".bar") ?? box(".low"), mark = box(".mark");
    return {
        workload: row.cells[0].innerText,
        ratio: parseFloat(row.querySelector(".value").innerText) / 100,
        length: bar.width / track.width,
        target: mark ? (mark.left + mark.width / 2 - track.left) / track.width : null,
        below: row.innerText.includes("below target"),
    };
})"""
