"""Scrapes that fail are counted as such."""

import asyncio

import httpx

from exporter.metrics.exporter_metrics import ExporterMetrics
from exporter.metrics.snapshot import SnapshotStore
from exporter.web.application import Pages
from tests.integration.web.conftest import ExporterState
from tests.support.clock import FakeClock


def test_an_error_is_a_500_and_none_stays_in_flight() -> None:
    metrics = ExporterMetrics(revision="test")
    broken = [True]

    def writable() -> bool:
        if broken:
            raise RuntimeError("a bug that nobody has thought of")
        return True

    metrics.follow(polls=tuple, sign_ins=tuple, state_writable=writable)
    pages = Pages(
        state=ExporterState(),
        snapshots=SnapshotStore(),
        metrics=metrics,
        telemetry_path="/metrics",
        lifecycle=False,
        clock=FakeClock(),
    ).application()

    async def scrape() -> httpx.Response:
        transport = httpx.ASGITransport(pages, raise_app_exceptions=False)
        async with httpx.AsyncClient(transport=transport, base_url="http://a") as client:
            return await client.get("/metrics")

    assert asyncio.run(scrape()).status_code == 500
    broken.clear()
    text = asyncio.run(scrape()).text
    assert 'promhttp_metric_handler_requests_total{code="500"} 1.0' in text
    assert 'promhttp_metric_handler_requests_total{code="200"} 0.0' in text
    assert "promhttp_metric_handler_requests_in_flight 1.0" in text
