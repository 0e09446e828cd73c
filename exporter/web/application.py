"""The routes: what each path answers, and nothing about how the answer came to be."""

import asyncio
from collections.abc import Callable, Sequence
from typing import Protocol, TypeVar

from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import HTMLResponse, PlainTextResponse, Response
from starlette.routing import Route

from exporter.clock import Clock
from exporter.metrics.own import OwnMetrics
from exporter.metrics.snapshot import SnapshotStore
from exporter.model import Shown, SignInStatus
from exporter.web.scrape import PiecewiseResponse, gzipped, plain
from exporter.web.toolkit.negotiation import OPENMETRICS, TEXT, wants_gzip, wants_openmetrics

T = TypeVar("T")


class Facts(Protocol):
    """What the web side asks of the exporter."""

    def shown(self) -> Sequence[Shown]:
        """Return every source with its data."""
        ...

    def sign_ins(self) -> Sequence[SignInStatus]:
        """Return every partner's sign-in."""
        ...

    def notices(self) -> Sequence[str]:
        """Return what a person should know beside the states."""
        ...

    def unhealthy(self) -> Sequence[str]:
        """Return what is dead or stuck, in words; nothing where all is well."""
        ...

    def not_ready(self) -> Sequence[str]:
        """Return which sources have not finished a poll yet, in words."""
        ...

    def reload(self) -> str:
        """Read the configuration anew; return what is wrong with it, or nothing."""
        ...


def build(
    facts: Facts,
    *,
    snapshots: SnapshotStore,
    own: OwnMetrics,
    telemetry_path: str,
    lifecycle: bool,
    clock: Clock,
) -> Starlette:
    """Return the ASGI application."""
    pages = _Pages(facts, snapshots, own, telemetry_path, clock)
    routes = [
        Route(telemetry_path, pages.metrics, methods=["GET"]),
        Route("/-/healthy", pages.healthy, methods=["GET"]),
        Route("/-/ready", pages.ready, methods=["GET"]),
        Route("/-/reload", pages.reload if lifecycle else _no_lifecycle, methods=["POST", "PUT"]),
    ]
    if telemetry_path != "/":
        routes.append(Route("/", pages.status, methods=["GET"]))
    application = Starlette(routes=routes)
    # A redirect would repeat whatever Host the client names.
    application.router.redirect_slashes = False
    return application


class _Pages:
    def __init__(
        self, facts: Facts, snapshots: SnapshotStore, own: OwnMetrics, telemetry_path: str, clock: Clock
    ) -> None:
        self._facts = facts
        self._snapshots = snapshots
        self._own = own
        self._telemetry_path = telemetry_path
        self._clock = clock
        self._turn = asyncio.Lock()

    async def metrics(self, request: Request) -> PiecewiseResponse:
        openmetrics = wants_openmetrics(request.headers.get("accept", ""))
        compressed = wants_gzip(request.headers.get("accept-encoding", ""))
        tail = self._own.openmetrics() if openmetrics else self._own.text()
        parts = (gzipped if compressed else plain)(self._snapshots.current, tail)
        headers = {
            "Content-Type": OPENMETRICS if openmetrics else TEXT,
            "Vary": "Accept, Accept-Encoding",
            **({"Content-Encoding": "gzip"} if compressed else {}),
        }
        return PiecewiseResponse(parts, headers)

    async def healthy(self, _request: Request) -> Response:
        return _verdict(self._facts.unhealthy(), good="healthy", bad_status=500)

    async def ready(self, _request: Request) -> Response:
        return _verdict(self._facts.not_ready(), good="ready", bad_status=503)

    async def reload(self, _request: Request) -> Response:
        problem = await self._aside(self._facts.reload)
        return PlainTextResponse(f"{problem}\n", 500) if problem else PlainTextResponse("reloaded\n")

    async def status(self, _request: Request) -> Response:
        return await self._aside(self._status)

    def _status(self) -> Response:
        from exporter.web import status_page  # noqa: PLC0415  templates are loaded when a person looks

        page = status_page.render(
            self._facts.shown(),
            self._facts.sign_ins(),
            notices=[*self._facts.unhealthy(), *self._facts.notices()],
            build=self._own.build,
            telemetry_path=self._telemetry_path,
            now=self._clock.time(),
        )
        return HTMLResponse(page, headers=status_page.HEADERS)

    async def _aside(self, call: Callable[[], T]) -> T:
        """Do on a thread what takes its time, so that no scrape waits for it; one at a time, likewise."""
        async with self._turn:
            return await run_in_threadpool(call)


def _verdict(problems: Sequence[str], *, good: str, bad_status: int) -> Response:
    if problems:
        return PlainTextResponse("\n".join(problems) + "\n", bad_status)
    return PlainTextResponse(f"partnercenter-exporter is {good}\n")


async def _no_lifecycle(_request: Request) -> Response:
    return PlainTextResponse("reloading over HTTP is off: start with --web.enable-lifecycle\n", 403)
