"""The routes: what each path answers."""

import threading
from collections.abc import Awaitable, Callable, Collection, Sequence
from dataclasses import dataclass
from typing import Protocol

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import HTMLResponse, PlainTextResponse, Response
from starlette.routing import Route
from starlette.types import Message, Receive, Scope, Send

from exporter.clock import Clock
from exporter.metrics.exporter_metrics import ExporterMetrics
from exporter.metrics.snapshot import SnapshotStore
from exporter.model.status import SignInStatus, SourceView
from exporter.web.scrape import gzipped, plain
from exporter.web.toolkit.cross_site import is_cross_site
from exporter.web.toolkit.negotiation import OPENMETRICS, TEXT, wants_gzip, wants_openmetrics
from exporter.web.toolkit.one_at_a_time import NotAnsweredError, OneAtATime
from exporter.web.toolkit.response import PiecewiseResponse

_HEALTHY, _READY = "/-/healthy", "/-/ready"
_MAX_WAITING_FOR_A_PAGE = 32
_MAX_WAITING_FOR_A_RELOAD = 4
# A flood of requests costs one page in this time.
_PAGE_LIFETIME_SECONDS = 1.0


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


@dataclass(kw_only=True, eq=False)
class Pages:
    """The pages, made from these parts; with `lifecycle`, the configuration can be reloaded over HTTP.

    What is slow, the page at `/` and reloads, is made off the event loop, and so that no scrape has to wait.
    """

    state: ExporterState
    snapshots: SnapshotStore
    metrics: ExporterMetrics
    telemetry_path: str
    lifecycle: bool
    clock: Clock

    def __post_init__(self) -> None:
        self._pages = OneAtATime[Response]("page", _MAX_WAITING_FOR_A_PAGE)
        self._reloads = OneAtATime[str]("reload over HTTP", _MAX_WAITING_FOR_A_RELOAD)
        self._page = _Page()

    @property
    def urgent_paths(self) -> Collection[str]:
        """What monitoring asks for, which other requests must not delay."""
        return (self.telemetry_path, _HEALTHY, _READY)

    def prepare(self) -> None:
        """Load on a thread what the page at `/` needs, so that neither the start nor the first page takes longer."""

        def load() -> None:
            from exporter.web import status_page  # noqa: PLC0415  this is what takes long

            status_page.prepare()

        threading.Thread(target=load, name="prepare pages", daemon=True).start()

    def application(self) -> Starlette:
        """Return the ASGI application."""
        routes = [
            Route(self.telemetry_path, _Counted(self._metrics, self.metrics), methods=["GET"]),
            Route(_HEALTHY, self._healthy, methods=["GET"]),
            Route(_READY, self._ready, methods=["GET"]),
            Route("/-/reload", self._reload, methods=["POST", "PUT"]),
        ]
        if self.telemetry_path != "/":
            routes.append(Route("/", self._status, methods=["GET"]))
        application = Starlette(routes=routes)
        # A redirect would repeat whatever Host the client names.
        application.router.redirect_slashes = False
        return application

    async def _metrics(self, request: Request) -> Response:
        openmetrics = wants_openmetrics(_joined(request, "accept"))
        compressed = wants_gzip(_joined(request, "accept-encoding"))
        tail = self.metrics.openmetrics() if openmetrics else self.metrics.text()
        headers = {"Content-Type": OPENMETRICS if openmetrics else TEXT, "Vary": "Accept, Accept-Encoding"}
        if compressed:
            return PiecewiseResponse(gzipped(self.snapshots.current, tail), {**headers, "Content-Encoding": "gzip"})
        return PiecewiseResponse(plain(self.snapshots.current, tail), headers)

    async def _healthy(self, _request: Request) -> Response:
        return _state(self.state.unhealthy(), good="healthy", bad_status=500)

    async def _ready(self, _request: Request) -> Response:
        return _state(self.state.not_ready(), good="ready", bad_status=503)

    async def _reload(self, request: Request) -> Response:
        if not self.lifecycle:
            return PlainTextResponse("reloading over HTTP is off: start with --web.enable-lifecycle\n", 403)
        if is_cross_site(request.headers):
            return PlainTextResponse("a page of another site can't reload the configuration\n", 403)
        try:
            problem = await self._reloads.run(self._reload_now, request)
        except NotAnsweredError:
            return _busy("too many reloads at once")
        return PlainTextResponse(f"{problem}\n", 500) if problem else PlainTextResponse("reloaded\n")

    def _reload_now(self) -> str:
        try:
            return self.state.reload()
        finally:
            self._page = _Page()

    async def _status(self, request: Request) -> Response:
        shown = self._page.newest(self.clock)
        if shown is not None:
            return shown
        try:
            return await self._pages.run(self._status_page, request)
        except NotAnsweredError:
            return _busy("too many requests for this page at once")

    def _status_page(self) -> Response:
        """Return the page, which was rendered for a client that waited before this one, or is rendered now."""
        page = self._page
        return page.newest(self.clock) or page.show(self._render(), self.clock)

    def _render(self) -> Response:
        from exporter.web import status_page  # noqa: PLC0415  `prepare` loads the template

        build, now = self.metrics.build, self.clock.time()
        page = status_page.render(self.state, build=build, telemetry_path=self.telemetry_path, now=now)
        return HTMLResponse(page, headers=status_page.HEADERS)


@dataclass(frozen=True, eq=False, slots=True)
class _Counted:
    """A page whose answers are counted as scrapes, by the status that the client gets."""

    answer: Callable[[Request], Awaitable[Response]]
    metrics: ExporterMetrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer. An error is answered further out, with 500."""
        code = 500

        async def note(message: Message) -> None:
            nonlocal code
            code = message.get("status", code)
            await send(message)

        with self.metrics.scrape_in_flight():
            try:
                response = await self.answer(Request(scope, receive))
                await response(scope, receive, note)
            finally:
                self.metrics.observe_scrape(code)


@dataclass(eq=False, slots=True)
class _Page:
    """The page at `/`, kept for a moment. A reload replaces this, so that no page begun before it is shown after it."""

    _shown: Response | None = None
    _outdated_at: float = 0.0

    def newest(self, clock: Clock) -> Response | None:
        """Return the page; None if there is none yet, or it is outdated."""
        return self._shown if clock.monotonic() < self._outdated_at else None

    def show(self, page: Response, clock: Clock) -> Response:
        """Keep this page, and return it."""
        self._shown, self._outdated_at = page, clock.monotonic() + _PAGE_LIFETIME_SECONDS
        return page


def _joined(request: Request, name: str) -> str:
    """Return a header that is a list: on one line or on several, they mean the same."""
    return ",".join(request.headers.getlist(name))


def _busy(reason: str) -> Response:
    return PlainTextResponse(f"{reason}\n", 503, {"Retry-After": "1"})


def _state(problems: Sequence[str], *, good: str, bad_status: int) -> Response:
    if problems:
        return PlainTextResponse("\n".join(problems) + "\n", bad_status)
    return PlainTextResponse(f"partnercenter-exporter is {good}\n")
