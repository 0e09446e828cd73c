"""`report` from a real Prometheus, and its page in a real browser."""

import csv
import io
import stat
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page, sync_playwright

from tests.e2e.conftest import program
from tests.e2e.test_browser import FLAGS, OVERFLOWING, PHONE, SCHEMES
from tests.support.customers import HOSTILE, LATE, PLAIN, lines
from tests.support.process import PATIENCE_SECONDS, run_command
from tests.support.prometheus import prometheus, write_blocks


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A Prometheus with two partners' customers, now and thirty days ago."""
    server, promtool = program("prometheus"), program("promtool")
    folder = tmp_path_factory.mktemp("report")
    write_blocks(promtool, lines(float(int(time.time()))), folder / "storage")
    config = folder / "prometheus.yml"
    config.write_text("{}\n")
    with prometheus(server, config, folder / "storage") as started:
        yield str(started.client.base_url)


def report(url: str, *flags: str) -> str:
    """Return what the command prints."""
    done = run_command("report", f"--prometheus={url}", *flags)
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout


def read(text: str) -> dict[str, list[dict[str, str]]]:
    """Return the CSV's rows by the name of their list."""
    lists: dict[str, list[dict[str, str]]] = {}
    for row in csv.DictReader(io.StringIO(text, newline="")):
        lists.setdefault(row["list"], []).append(row)
    return lists


def figures(rows: list[dict[str, str]], *columns: str) -> list[tuple[str, ...]]:
    return [tuple(row[column] for column in columns) for row in rows]


NUMBERS = ("used", "available", "ratio", "idle")


def test_the_table_has_the_figures_that_prometheus_has_of_both_replicas_once(url: str) -> None:
    lists = read(report(url, "--format=csv"))
    assert list(lists) == ["total", "below target", "lowest", "up", "down", "idle usage", "idle deployment"]
    assert figures(lists["total"], "source", "partner", "customers", *NUMBERS, "used_before", "available_before") == [
        ("usage", "contoso", "4", "105", "210", "0.5", "105", "120", "210"),
        ("usage", "fabrikam", "1", "9", "10", "0.9", "1", "1", "10"),
        ("usage", "", "5", "114", "220", "0.518182", "106", "121", "220"),
        ("deployment", "contoso", "2", "210", "260", "0.807692", "50", "210", "260"),
        ("deployment", "fabrikam", "1", "12", "10", "1.2", "-2", "12", "10"),
        ("deployment", "", "3", "222", "270", "0.822222", "48", "222", "270"),
    ]
    # A1 has a target of its own, 80 % of Exchange; F4 95 %; the others 60 %.
    assert figures(lists["below target"], "customer_id", "short_of_target") == [
        ("B2", "25"), ("A1", "10"), ("N8", "4"), ("F4", "0.5"),
    ]  # fmt: skip
    assert figures(lists["lowest"], "rank", "partner", "customer_id", *NUMBERS) == [
        ("1", "contoso", "B2", "5", "50", "0.1", "45"),
        ("2", "contoso", "N8", "20", "40", "0.5", "20"),
        ("3", "contoso", "A1", "80", "120", "0.666667", "40"),
        ("4", "fabrikam", "F4", "9", "10", "0.9", "1"),
    ]
    moved = ("customer_id", "used_before", "used", "ratio_before", "note")
    assert figures(lists["up"], *moved) == [
        ("A1", "40", "80", "0.4", ""), ("N8", "0", "20", "", "new"), ("F4", "1", "9", "0.1", ""),
    ]  # fmt: skip
    assert figures(lists["down"], *moved) == [("B2", "50", "5", "1", ""), ("G7", "30", "0", "0.5", "gone")]
    assert figures(lists["idle usage"], "customer_id", "idle") == [
        ("B2", "45"), ("A1", "40"), ("N8", "20"), ("F4", "1"),
    ]  # fmt: skip
    assert figures(lists["idle deployment"], "customer_id", "customer_name", "idle") == [("A1", "Adatum", "50")]


def test_a_spreadsheet_takes_no_name_for_a_formula(url: str) -> None:
    [row] = [row for row in read(report(url, "--format=csv"))["lowest"] if row["customer_id"] == "B2"]
    assert row["customer_name"] == f"'{HOSTILE}"


def test_one_partner_and_a_shorter_list(url: str) -> None:
    lists = read(report(url, "--format=csv", "--partner=contoso", "--top=1"))
    assert {row["partner"] for rows in lists.values() for row in rows} == {"contoso"}
    assert figures(lists["total"], "source", "available") == [("usage", "210"), ("deployment", "260")]
    assert figures(lists["idle usage"], "customer_id") == [("B2",)]
    assert "2 more are not listed." in report(url, "--format=markdown", "--partner=contoso", "--top=1")


def test_without_data_of_that_time_nothing_is_compared(url: str) -> None:
    text = report(url, "--format=markdown", "--compare=60d")
    assert "Prometheus has no customers of 60 days ago" in text
    assert "Movers" not in text
    assert "Change in" not in text


def test_what_was_there_before_the_exporter_went_down_is_reported_with_its_time(url: str) -> None:
    text = report(url, "--format=markdown", f"--partner={LATE}")
    assert "The newest data in Prometheus are from" in text
    assert "| 1 | Late | 1 | 2 | 50.0% |" in text


def test_markdown_makes_nothing_of_a_name(url: str) -> None:
    text = report(url, "--format=markdown")
    assert "Not in it" not in text
    [row, *_] = [line for line in text.splitlines() if "broken" in line]
    assert row.startswith(r"| 1 | contoso | =\<script\>document.title='broken'\</script\>\|")
    assert r"\`\*\_\[a\](b) | 5 | 50 | 10.0% | 45 | 25 | −45 | −90.0 points |" in row  # noqa: RUF001  its minus sign


@pytest.mark.parametrize(
    ("flags", "message", "fix"),
    [
        ([f"--partner={PLAIN}"], "there are no customers in the data of plain", "set `api: commercial` and `detail"),
        (["--partner=nobody"], "there is no data of a partner nobody", "choose from contoso, fabrikam, plain"),
    ],
)
def test_without_customers_it_says_what_to_configure(url: str, flags: list[str], message: str, fix: str) -> None:
    done = run_command("report", f"--prometheus={url}", *flags)
    assert (done.returncode, done.stdout) == (1, "")
    assert message in done.stderr
    assert f"fix: {fix}" in done.stderr


def test_a_file_is_written_for_this_user_alone_and_keeps_the_mode_that_it_was_given(url: str, tmp_path: Path) -> None:
    file = tmp_path / "licences.html"
    assert report(url, f"--output={file}") == ""
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    file.chmod(0o644)
    report(url, f"--output={file}", "--format=csv")
    assert stat.S_IMODE(file.stat().st_mode) == 0o644
    assert file.read_text().startswith("list,")
    link = tmp_path / "link"
    link.symlink_to(file)
    done = run_command("report", f"--prometheus={url}", f"--output={link}")
    assert done.returncode == 1
    assert "is not a regular file" in done.stderr


@pytest.fixture(scope="module")
def page(url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Page]:
    """The page, opened from a file."""
    file = tmp_path_factory.mktemp("page") / "licences.html"
    report(url, f"--output={file}")
    executable = program("chromium", "chromium")
    with (
        sync_playwright() as playwright,
        playwright.chromium.launch(executable_path=executable, args=list(FLAGS)) as browser,
    ):
        opened = browser.new_page(viewport=PHONE)
        opened.set_default_timeout(PATIENCE_SECONDS * 1000)
        complaints: list[str] = []
        opened.on("console", lambda message: complaints.append(message.text))
        opened.on("request", lambda request: complaints.append(request.url))
        opened.goto(file.as_uri(), wait_until="load")
        assert complaints == [file.as_uri()]
        yield opened


@SCHEMES
def test_the_page_follows_the_rules_of_accessibility(page: Page, scheme: str) -> None:
    page.emulate_media(color_scheme="dark" if scheme == "dark" else "light")
    found = Axe().run(page).response["violations"]
    assert [(violation["id"], [node["html"] for node in violation["nodes"]]) for violation in found] == []


def test_the_page_has_every_list_and_a_name_is_only_text(page: Page) -> None:
    assert page.title() == "Licences by customer"
    assert page.get_by_role("heading", level=2).all_inner_texts() == [
        "Totals",
        "Usage in total",
        "Deployment in total",
        "Customers below their target",
        "Lowest usage",
        "Movers up",
        "Movers down",
        "Idle licences: qualified but not in use",
        "Idle licences: sold but not deployed",
    ]
    assert page.locator("script, img, iframe").count() == 0
    lowest = page.get_by_role("region", name="Lowest usage").get_by_role("row").nth(1)
    assert lowest.get_by_role("rowheader").inner_text() == f"{HOSTILE}\nB2"
    assert lowest.get_by_role("img").get_attribute("aria-label") == "10.0%"
    assert "new" in page.get_by_role("region", name="Movers up").inner_text()


def test_bars_are_as_long_as_their_ratios_and_wide_tables_scroll_by_themselves(page: Page) -> None:
    bars = page.evaluate(
        """() => [...document.querySelectorAll("td.chart")].map((cell) => [
            parseFloat(cell.previousElementSibling.innerText) / 100 || 0,
            cell.querySelector(".bar").getBoundingClientRect().width /
            cell.querySelector(".track").getBoundingClientRect().width])"""
    )
    assert len(bars) > 15
    for ratio, length in bars:
        assert length == pytest.approx(min(ratio, 1), abs=0.002)
    found = page.evaluate(
        OVERFLOWING.replace('closest("thead")', 'closest(".scroll *")').replace(
            'getComputedStyle(head).position === "absolute"', "true"
        )
    )
    assert found == "[]"


def test_print_is_black_on_white_whole_tables_without_navigation(page: Page) -> None:
    page.emulate_media(media="print", color_scheme="dark")
    assert not page.get_by_role("navigation").is_visible()
    assert page.evaluate("getComputedStyle(document.body).color") == "rgb(0, 0, 0)"
    assert page.evaluate("getComputedStyle(document.querySelector('.scroll')).overflowX") == "visible"
    assert page.pdf(format="A4").startswith(b"%PDF")
    page.emulate_media(media="screen")
