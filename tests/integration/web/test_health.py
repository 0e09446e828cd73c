"""/-/healthy and /-/ready over HTTP: the pages' own logic, and the real Application behind them."""

from pathlib import Path

import httpx
import pytest

from exporter.clock import Clock
from exporter.web import application
from partnercenter_simulator import Fault, Simulator
from tests.integration.application.conftest import Exporter, running
from tests.integration.web.conftest import ExporterState, Serve, Served
from tests.support.clock import LeapingClock
from tests.support.config import write_config
from tests.support.logs import LogStream
from tests.support.plain_http import NO_TLS
from tests.support.process import until

RESTARTS = "partnercenter_poll_thread_restarts_total"
USAGE = {"partner": "contoso", "source": "usage"}


def test_the_answer_says_what_is_wrong(serve: Serve, state: ExporterState) -> None:
    served = serve()
    good = served.get("/-/healthy"), served.get("/-/ready")
    assert [(answer.status_code, answer.text) for answer in good] == [
        (200, "partnercenter-exporter is healthy\n"),
        (200, "partnercenter-exporter is ready\n"),
    ]
    state.problems = ["the poll thread of contoso usage is dead", "the poll thread of contoso usage is stuck"]
    state.waiting = ["contoso usage has not been polled yet"]
    bad = served.get("/-/healthy"), served.get("/-/ready")
    assert [(answer.status_code, answer.text) for answer in bad] == [
        (500, "\n".join(state.problems) + "\n"),
        (503, "contoso usage has not been polled yet\n"),
    ]


def test_the_answer_to_a_reload_says_what_is_wrong(serve: Serve, state: ExporterState) -> None:
    url = "http://{}:{}/-/reload".format(*serve().address)
    for method in ("POST", "PUT"):
        answer = httpx.request(method, url, trust_env=False, verify=NO_TLS)
        assert (answer.status_code, answer.text) == (200, "reloaded\n")
    state.reload_problem = "config.yaml:3: poll.interval: minimum interval is 1m"
    answer = httpx.post(url, trust_env=False, verify=NO_TLS)
    assert (answer.status_code, answer.text) == (500, f"{state.reload_problem}\n")
    assert httpx.get(url, trust_env=False, verify=NO_TLS).status_code == 405
    assert state.reloads == 3


def serve_pages(exporter: Exporter, serve: Serve) -> Served:
    """Serve the real Application's pages."""
    pages = application.Pages(
        state=exporter.app,
        snapshots=exporter.app.snapshots,
        metrics=exporter.metrics,
        telemetry_path="/metrics",
        lifecycle=False,
        clock=Clock(),
    ).application()
    return serve(pages)


def test_a_stuck_poll_is_unhealthy_until_it_progresses(tmp_path: Path, serve: Serve, log_stream: LogStream) -> None:
    clock = LeapingClock(stands_still=True)
    with Simulator(seed=7, now=clock.time) as simulator:
        simulator.faults.add(Fault(kind="slow_first_byte", endpoint="usage", seconds=60, times=1))
        with running(write_config(tmp_path, simulator), clock, log_stream) as exporter:
            simulator.requests.wait_for(1, "usage")
            exporter.advance(1_000, sleeping=["supervisor", "poll-contoso-deployment"])
            served = serve_pages(exporter, serve)
            answer = served.get("/-/healthy")
            assert (answer.status_code, answer.text) == (500, "the poll thread of contoso usage is stuck\n")
            # A scrape goes on, and the source that works is not hidden by the one that doesn't.
            assert "partnercenter_license_deployment_ratio{" in served.get("/metrics").text
            simulator.stop()
            until(lambda: served.get("/-/healthy").status_code == httpx.codes.OK)


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_a_dead_poll_thread_is_unhealthy_until_it_is_restarted_and_counted(
    tmp_path: Path, serve: Serve, log_stream: LogStream
) -> None:
    clock = LeapingClock(stands_still=True)
    with (
        Simulator(seed=7, now=clock.time) as simulator,
        running(write_config(tmp_path, simulator), clock, log_stream) as exporter,
    ):
        exporter.settle()
        clock.end_thread("poll-contoso-usage")
        served = serve_pages(exporter, serve)
        answer = served.get("/-/healthy")
        assert (answer.status_code, answer.text) == (500, "the poll thread of contoso usage is dead\n")
        exporter.tick()
        exporter.settle()
        assert served.get("/-/healthy").status_code == httpx.codes.OK
        metrics = served.get("/metrics").text
        assert f'{RESTARTS}{{partner="contoso",source="usage"}} 1.0' in metrics
