"""The routes: what each path answers."""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Protocol, TypeVar

from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import HTMLResponse, PlainTextResponse, Response
from starlette.routing import Route

from exporter.clock import Clock
from exporter.metrics.exporter_metrics import ExporterMetrics
from exporter.metrics.snapshot import SnapshotStore
from exporter.model.status import SignInStatus, SourceView
from exporter.web.scrape import gzipped, plain
from exporter.web.toolkit.negotiation import OPENMETRICS, TEXT, wants_gzip, wants_openmetrics
from exporter.web.toolkit.response import PiecewiseResponse

T = TypeVar("T")


class ExporterState(Protocol):
    """What the web side asks of the exporter."""

    def source_views(self) -> Sequence[SourceView]:
        """Return every source with its data."""

    def sign_ins(self) -> Sequence[SignInStatus]:
        """Return every partner's sign-in."""

    def notices(self) -> Sequence[str]:
        """Return what a person should know besides the states."""

    def unhealthy(self) -> Sequence[str]:
        """Return what is dead or stuck, a sentence for each."""

    def not_ready(self) -> Sequence[str]:
        """Return which sources have not finished a poll yet, a sentence for each."""

    def reload(self) -> str:
        """Reload the configuration; return what is wrong with it, or an empty string."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Pages:
    """The pages, made from these parts; with `lifecycle`, the configuration can be reloaded over HTTP."""

    state: ExporterState
    snapshots: SnapshotStore
    metrics: ExporterMetrics
    telemetry_path: str
    lifecycle: bool
    clock: Clock
    _lock: asyncio.Lock = field(default_factory=asyncio.Lock, init=False)

    def application(self) -> Starlette:
        """Return the ASGI application."""
        routes = [
            Route(self.telemetry_path, self._metrics, methods=["GET"]),
            Route("/-/healthy", self._healthy, methods=["GET"]),
            Route("/-/ready", self._ready, methods=["GET"]),
            Route("/-/reload", self._reload, methods=["POST", "PUT"]),
        ]
        if self.telemetry_path != "/":
            routes.append(Route("/", self._status, methods=["GET"]))
        application = Starlette(routes=routes)
        # A redirect would repeat whatever Host the client names.
        application.router.redirect_slashes = False
        return application

    async def _metrics(self, request: Request) -> Response:
        openmetrics = wants_openmetrics(request.headers.get("accept", ""))
        compressed = wants_gzip(request.headers.get("accept-encoding", ""))
        tail = self.metrics.openmetrics() if openmetrics else self.metrics.text()
        headers = {"Content-Type": OPENMETRICS if openmetrics else TEXT, "Vary": "Accept, Accept-Encoding"}
        if compressed:
            return PiecewiseResponse(gzipped(self.snapshots.current, tail), {**headers, "Content-Encoding": "gzip"})
        return PiecewiseResponse(plain(self.snapshots.current, tail), headers)

    async def _healthy(self, _request: Request) -> Response:
        return _state(self.state.unhealthy(), good="healthy", bad_status=500)

    async def _ready(self, _request: Request) -> Response:
        return _state(self.state.not_ready(), good="ready", bad_status=503)

    async def _reload(self, _request: Request) -> Response:
        if not self.lifecycle:
            return PlainTextResponse("reloading over HTTP is off: start with --web.enable-lifecycle\n", 403)
        problem = await self._in_thread(self.state.reload)
        return PlainTextResponse(f"{problem}\n", 500) if problem else PlainTextResponse("reloaded\n")

    async def _status(self, _request: Request) -> Response:
        return await self._in_thread(self._status_page)

    def _status_page(self) -> Response:
        from exporter.web import status_page  # noqa: PLC0415  templates are loaded when a person asks

        build, now = self.metrics.build, self.clock.time()
        page = status_page.render(self.state, build=build, telemetry_path=self.telemetry_path, now=now)
        return HTMLResponse(page, headers=status_page.HEADERS)

    async def _in_thread(self, call: Callable[[], T]) -> T:
        """Run what is slow on a thread, so that no scrape waits for it; for the same reason one at a time."""
        async with self._lock:
            return await run_in_threadpool(call)


def _state(problems: Sequence[str], *, good: str, bad_status: int) -> Response:
    if problems:
        return PlainTextResponse("\n".join(problems) + "\n", bad_status)
    return PlainTextResponse(f"partnercenter-exporter is {good}\n")
