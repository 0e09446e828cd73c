"""Totals and lists of the report where data are missing; the figures themselves are compared with a real Prometheus."""

from collections.abc import Mapping
from contextlib import closing

import httpx
import pytest

from exporter.clock import Clock
from exporter.redaction import Redactor
from exporter.report import words
from exporter.report.figures import Options, Report, Row, collect
from exporter.report.page import html
from exporter.report.prometheus import Prometheus
from exporter.report.tables import markdown
from exporter.upstream.transport import HttpTransport
from tests.support.prometheus_api import vector
from tests.support.upstream import MockUpstream

NOW, DAY = 1_700_000_000.0, 86_400.0
Figures = Mapping[tuple[str, str], float]


def made(now: Mapping[str, Figures], before: Mapping[str, Figures] | None = None) -> Report:
    """Return the report where Prometheus has these counts by partner and customer, now and 30 days ago, by metric."""

    def respond(request: httpx.Request) -> httpx.Response:
        query, at = request.url.params["query"], float(request.url.params.get("time", NOW))
        if query == "vector(time())":
            return httpx.Response(200, content=vector(({}, NOW))[1])
        counts = now if at > NOW - DAY else before or {}
        if "customer_info" in query:
            found = {key: 1.0 for figures in counts.values() for key in figures}
        else:
            found = dict(next((figures for name, figures in counts.items() if f"{name}{{" in query), {}))
        series = [
            ({"partner": partner, "customer_id": customer}, value) for (partner, customer), value in found.items()
        ]
        return httpx.Response(200, content=vector(*series)[1])

    client = httpx.Client(transport=MockUpstream(respond))
    with closing(HttpTransport(client, clock=Clock(), timeout_seconds=9.0)) as transport:
        prometheus = Prometheus(transport, "http://p", headers={}, redactor=Redactor())
        return collect(prometheus, Options(partner=None, top=9, compare_seconds=30 * DAY))


def listed(report: Report, name: str) -> tuple[Row, ...]:
    [table] = [table for table in (*report.totals, *report.tables) if table.name == name]
    return table.rows


def usage(**counts: tuple[float, float]) -> dict[str, Figures]:
    """Return active and qualified of customers, written partner_customer."""
    keys = {tuple(name.split("_")): pair for name, pair in counts.items()}
    return {
        f"partnercenter_licenses_{what}": {
            (partner, customer): pair[side] for (partner, customer), pair in keys.items()
        }
        for side, what in enumerate(("active", "qualified"))
    }


def test_customers_of_a_partner_whose_exporter_is_down_are_not_gone_but_said_to_be_missing() -> None:
    report = made(usage(a_1=(5, 10)), usage(a_1=(5, 10), a_2=(1, 2), b_1=(7, 7)))
    assert report.missing == ("b",)
    assert [(row.partner, row.customer_id, row.note) for row in listed(report, "down")] == [("a", "2", "gone")]
    assert [row.partner for row in listed(report, "total")] == ["a"]
    for text in (markdown(report), html(report)):
        assert "Not in it, as Prometheus has no newer data of them: b." in text


def test_customers_of_a_partner_that_is_new_are_not_new_customers() -> None:
    report = made(usage(a_1=(5, 10), b_1=(7, 7)), usage(a_1=(4, 10)))
    assert [(row.customer_id, row.change) for row in listed(report, "up")] == [("1", 1.0)]
    by_partner = {row.partner: row for row in listed(report, "total")}
    assert by_partner["b"].before is None
    assert by_partner[""].before == by_partner["a"].before


def test_with_deployment_alone_the_lists_are_of_deployment() -> None:
    report = made({
        "partnercenter_licenses_deployed": {("a", "1"): 5.0, ("a", "2"): 2.0},
        "partnercenter_licenses_sold": {("a", "1"): 5.0, ("a", "2"): 8.0},
        "partnercenter_license_usage_target_ratio": {("a", ""): 0.5},
    })  # fmt: skip
    assert report.below_target is None
    assert [table.title for table in report.tables] == ["Lowest deployment", "Idle licences: sold but not deployed"]
    assert [row.customer_id for row in listed(report, "lowest")] == ["2", "1"]
    assert report.bands == (
        ("0 to 20 %", 0), ("20 to 40 %", 1), ("40 to 60 %", 0), ("60 to 80 %", 0), ("80 to 100 %", 1),
    )  # fmt: skip


def test_a_count_that_is_not_there_is_no_zero() -> None:
    report = made({"partnercenter_licenses_qualified": {("a", "1"): 10.0}})
    [row] = listed(report, "total")
    assert (row.now.part, row.now.whole, row.idle, row.now.ratio) == (None, 10.0, None, None)
    assert listed(report, "lowest") == ()
    assert "| a | 1 | – | 10 | – | – |" in markdown(report)  # noqa: RUF001  the dash that says so
    assert "<p>None.</p>" in html(report)


@pytest.mark.parametrize(
    ("value", "written"),
    [(None, "–"), (0.0, "0"), (0.4, "0"), (-0.4, "0"), (1234.0, "+1,234"), (-1234.0, "−1,234")],  # noqa: RUF001
)
def test_a_change_has_its_sign_unless_it_is_none(value: float | None, written: str) -> None:
    assert words.change(value) == written
