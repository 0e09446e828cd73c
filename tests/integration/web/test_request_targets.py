"""Each form that a request's target can have, on the wire, and headers on several lines."""

import re

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families as read

from exporter.web.toolkit.config_file import WebSettings
from tests.integration.web.conftest import ExporterState, Serve, Served
from tests.support.process import until

HASH = "$2b$04$CwTycUXWue0Thq9StjUM0uJ8Y8x2yQ7k2uX0xX3vQ9z1w6m7n5p5K"


def ask(served: Served, target: str, *, method: str = "GET", headers: tuple[str, ...] = ("Host: a.example",)) -> str:
    """Return the whole answer to a request that is sent as it is."""
    client = served.connect()
    lines = (f"{method} {target} HTTP/1.1", *headers, "Connection: close")
    client.sendall("".join(f"{line}\r\n" for line in (*lines, "")).encode())
    return b"".join(iter(lambda: client.recv(65_536), b"")).decode("latin-1")


def status(answer: str) -> int:
    """Return the status of an answer."""
    return int(answer.split(" ", 2)[1])


@pytest.mark.parametrize(
    "origin",
    ["http://a.example", "https://a.example:10058", "HTTP://A.EXAMPLE", "http://elsewhere.example:1", "http://[::1]:2"],
)
@pytest.mark.parametrize(
    ("target", "wanted"),
    [
        ("/-/healthy", 200),
        ("/-/ready?a=b&c", 200),
        ("/-/%72eady", 200),
        ("/none", 404),
        ("/-/reload", 405),
        ("//-/ready", 404),
    ],
)
def test_an_absolute_target_is_answered_like_its_path(serve: Serve, origin: str, target: str, wanted: int) -> None:
    served = serve()
    assert status(ask(served, target)) == wanted
    assert status(ask(served, origin + target)) == wanted
    assert status(ask(served, origin + target, method="HEAD")) == wanted


@pytest.mark.parametrize("target", ["http://a.example", "http://a.example?a=b", "http://a.example/", "/"])
def test_an_absolute_target_without_a_path_is_the_page_at_the_root(
    serve: Serve, state: ExporterState, target: str
) -> None:
    state.released.set()
    answer = ask(serve(), target)
    assert status(answer) == 200
    assert "text/html" in answer


def test_an_absolute_target_is_scraped_and_head_has_the_same_length(serve: Serve) -> None:
    served = serve()
    assert "partnercenter_license_usage_ratio{" in ask(served, "http://a.example/metrics?x=y")
    assert status(ask(served, "http://a.example/metrics", method="HEAD")) == 200


@pytest.mark.parametrize(
    ("method", "target"),
    [
        ("OPTIONS", "*"),
        ("GET", "*"),
        ("CONNECT", "a.example:443"),
        ("GET", "a.example:443"),
        ("GET", "metrics"),
        ("GET", "http:///metrics"),
        ("GET", "http://"),
        ("GET", "http:/metrics"),
        ("GET", "http://user@a.example/metrics"),
        ("GET", "ftp://a.example/metrics"),
        ("GET", "?a=b"),
    ],
)
def test_a_target_that_is_no_path_and_no_url_is_refused(serve: Serve, method: str, target: str) -> None:
    served = serve()
    assert status(ask(served, target, method=method)) in (400, 405)
    assert served.get("/-/healthy").status_code == httpx.codes.OK


def test_an_absolute_target_is_guarded_as_its_path_is(serve: Serve) -> None:
    served = serve(settings=lambda: WebSettings(users={"u": HASH.encode()}))
    for origin in ("", "http://a.example"):
        assert status(ask(served, origin + "/metrics")) == 401
        assert status(ask(served, origin + "/-/healthy")) == 200


@pytest.mark.parametrize(("origin", "wanted"), [("http://a.example", 200), ("http://b.example", 403)])
def test_an_absolute_target_s_host_counts_and_not_the_header_s(serve: Serve, origin: str, wanted: int) -> None:
    headers = ("Host: b.example", f"Origin: {origin}", "Content-Length: 0")
    assert status(ask(serve(), "http://a.example/-/reload", method="POST", headers=headers)) == wanted


def test_headers_on_several_lines_are_one_list(serve: Serve) -> None:
    lines = (
        "Host: a",
        "Accept: text/plain;q=0.5",
        "Accept: application/openmetrics-text;version=1.0.0",
        "Accept-Encoding: br",
        "Accept-Encoding: gzip",
    )
    head = ask(serve(), "/metrics", method="HEAD", headers=lines).lower()
    assert "content-type: application/openmetrics-text" in head
    assert "content-encoding: gzip" in head


def test_scrapes_are_counted_by_status_and_those_in_flight_shown(serve: Serve) -> None:
    served = serve()

    def counted() -> dict[str, float]:
        text = "\n".join(re.findall(r"^.*promhttp_.*$", served.get("/metrics").text, re.MULTILINE)) + "\n"
        samples = (sample for family in read(text) for sample in family.samples)
        return {sample.labels.get("code", "in flight"): sample.value for sample in samples}

    assert counted() == {"200": 0, "500": 0, "503": 0, "in flight": 1}
    assert counted()["200"] == 1
    ask(served, "http://a.example/metrics", method="HEAD")
    until(lambda: counted()["200"] >= 3)
    slow = served.connect(receive_buffer=4_096)
    slow.sendall(b"GET /metrics HTTP/1.1\r\nHost: a\r\n\r\n")
    slow.recv(1)
    until(lambda: counted()["in flight"] == 2)
    slow.close()
    until(lambda: counted()["in flight"] == 1)
    assert {code: value for code, value in counted().items() if code in ("500", "503")} == {"500": 0, "503": 0}
