"""Pages for humans and probes."""

import re
from pathlib import Path
from urllib.parse import urljoin

import httpx
import pytest

from exporter import __version__
from partnercenter_simulator import Fault, Simulator
from tests.e2e.conftest import Serving, start
from tests.support.config import write_config
from tests.support.plain_http import NO_TLS

LINK = re.compile(r'href="([^"]*)"')
PATHS = ("/", "/metrics", "/-/healthy", "/-/ready")


def test_probes_answer_with_one_line_of_text(serving: Serving) -> None:
    for name in ("healthy", "ready"):
        reply = serving.process.ask(f"/-/{name}")
        assert (reply.status_code, reply.text) == (200, f"partnercenter-exporter is {name}\n")
        assert reply.headers["content-type"] == "text/plain; charset=utf-8"


def test_head_is_answered_like_get_but_for_the_body(serving: Serving) -> None:
    for path in PATHS:
        get, head = serving.process.ask(path), serving.process.ask(path, method="HEAD")
        assert head.status_code == get.status_code == 200
        assert head.content == b""
        assert head.headers["content-type"] == get.headers["content-type"]
        assert int(head.headers["content-length"]) > 0


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [
        ("POST", "/metrics", {"GET", "HEAD"}),
        ("PUT", "/", {"GET", "HEAD"}),
        ("DELETE", "/-/healthy", {"GET", "HEAD"}),
        ("POST", "/-/ready", {"GET", "HEAD"}),
        ("GET", "/-/reload", {"POST", "PUT"}),
    ],
)
def test_other_methods_are_refused_with_those_that_are_allowed(
    serving: Serving, method: str, path: str, allowed: set[str]
) -> None:
    reply = serving.process.ask(path, method=method)
    assert reply.status_code == 405
    assert set(reply.headers["allow"].split(", ")) == allowed


def test_the_page_says_what_is_wrong_and_what_to_do(serving: Serving) -> None:
    page = serving.process.ask("/").text
    assert f"Version {__version__}" in page
    for words in (
        "contoso: usage",
        "contoso: deployment",
        "fabrikam: usage",
        "initech: usage",
        "Working",
        "Last poll failed: auth",
        "there is no refresh token yet",
        "sign in once: partnercenter-exporter login --partner initech",
    ):
        assert words in page, words
    assert f"Signed in as {serving.contoso.user}" in page
    assert "Not signed in" in page


def test_the_page_shows_the_usage_of_each_workload_as_a_bar(serving: Serving) -> None:
    page = serving.process.ask("/").text
    assert "Usage by workload: fabrikam" in page
    assert "Deployment by service: fabrikam" in page
    for figure in serving.fabrikam.dataset.usage(serving.fabrikam.time.data_now()):
        row = f"<td>{figure.workload}</td><td>{figure.service}</td><td>{figure.channel}</td>"
        assert page.count(row) >= 1
        assert f"{figure.active / figure.qualified:.1%}" in page
    assert "below target" in page
    assert "<script" not in page


def test_the_page_s_links_are_relative_and_lead_somewhere(serving: Serving) -> None:
    process = serving.process
    links = [link for link in LINK.findall(process.ask("/").text) if not link.startswith("data:")]
    assert len(links) >= 3
    for link in links:
        # Relative, so that they work behind a proxy that adds a path prefix.
        assert not link.startswith(("/", "http"))
        assert httpx.get(urljoin(f"{process.url}/", link), trust_env=False, verify=NO_TLS).status_code == 200


def test_the_telemetry_path_can_be_changed(simulator: Simulator, tmp_path: Path) -> None:
    with start(write_config(tmp_path, simulator), "--web.telemetry-path=/own/telemetry") as process:
        assert process.ask("/own/telemetry").text.startswith("# HELP")
        assert process.ask("/metrics").status_code == 404
        page = process.ask("/").text
        assert 'href="own/telemetry"' in page


def test_metrics_can_be_served_at_the_root(simulator: Simulator, tmp_path: Path) -> None:
    with start(write_config(tmp_path, simulator), "--web.telemetry-path=/") as process:
        assert process.ask("/").text.startswith("# HELP")


def test_it_answers_while_the_first_polls_are_under_way_but_is_not_ready(simulator: Simulator, tmp_path: Path) -> None:
    simulator.faults.add(Fault(kind="stall", endpoint="usage", seconds=300))
    file = write_config(tmp_path, simulator, poll={"timeout": "5m"})
    with start(file) as process:
        simulator.requests.wait_for(1, "usage")
        process.wait_for_log("poll succeeded")
        assert process.ask("/-/healthy").status_code == 200
        ready = process.ask("/-/ready")
        assert (ready.status_code, ready.text) == (503, "contoso usage has not been polled yet\n")
        scrape = process.scrape()
        assert not scrape.select("partnercenter_up", source="usage")
        assert scrape.value("partnercenter_up", source="deployment") == 1
        assert "Not polled yet" in process.ask("/").text
