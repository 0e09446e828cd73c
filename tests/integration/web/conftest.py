"""The real server in a thread of this process, with limits short enough to wait for."""

import socket
import ssl
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace

import httpx
import pytest
from starlette.types import ASGIApp

from exporter.metrics.exporter_metrics import ExporterMetrics
from exporter.metrics.exposition import families
from exporter.metrics.snapshot import SnapshotStore
from exporter.model.rows import SourceName, UsageRow
from exporter.model.status import SignInStatus, SourceView
from exporter.web import application
from exporter.web.toolkit.config_file import WebSettings
from exporter.web.toolkit.guard import Guard
from exporter.web.toolkit.listening import listen
from exporter.web.toolkit.protocol import Limits
from exporter.web.toolkit.request_target import OriginForm
from exporter.web.toolkit.server import WebServer
from tests.support.clock import FakeClock
from tests.support.logs import LogStream
from tests.support.process import PATIENCE_SECONDS, until

_LONG_SECONDS = 5 * int(PATIENCE_SECONDS)
PATIENT = Limits(
    header_seconds=_LONG_SECONDS,
    answer_seconds=_LONG_SECONDS,
    keep_alive_seconds=_LONG_SECONDS,
    handshake_seconds=_LONG_SECONDS,
    closing_seconds=_LONG_SECONDS,
)
"""No deadline that a test could meet by accident; a test shortens the one that it is about."""
SHORT = 0.3


@dataclass
class ExporterState:
    """What the web side asks of the exporter, set by the test.

    `released` lets the page at / be answered, `reloads_released` reloads; `asked` counts both when they begin.
    """

    problems: list[str] = field(default_factory=list)
    waiting: list[str] = field(default_factory=list)
    reload_problem: str = ""
    reloads: int = 0
    asked: threading.Semaphore = field(default_factory=lambda: threading.Semaphore(0))
    released: threading.Event = field(default_factory=threading.Event)
    reloads_released: threading.Event = field(default_factory=threading.Event)
    error: Exception | None = None

    def __post_init__(self) -> None:
        self.reloads_released.set()

    def source_views(self) -> Sequence[SourceView]:
        self.asked.release()
        self.released.wait(PATIENCE_SECONDS)
        if self.error:
            raise self.error
        return ()

    def sign_ins(self) -> Sequence[SignInStatus]:
        return ()

    def notices(self) -> Sequence[str]:
        return ()

    def unhealthy(self) -> Sequence[str]:
        return self.problems

    def not_ready(self) -> Sequence[str]:
        return self.waiting

    def reload(self) -> str:
        self.asked.release()
        self.reloads_released.wait(PATIENCE_SECONDS)
        self.reloads += 1
        return self.reload_problem


class ThreadServer(WebServer):
    """Leaves signals alone: they belong to the main thread."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


@dataclass
class Served:
    """A running server and what a client does with it."""

    server: ThreadServer
    thread: threading.Thread
    address: tuple[str, int]
    clients: ExitStack

    def connect(self, *, receive_buffer: int = 0) -> socket.socket:
        """Open a connection that the test may leave open."""
        client = self.clients.enter_context(socket.socket())
        if receive_buffer:
            client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        client.settimeout(PATIENCE_SECONDS)
        client.connect(self.address)
        return client

    def get(self, path: str = "/metrics", *, tls: ssl.SSLContext | None = None) -> httpx.Response:
        """Ask over a connection of its own."""
        scheme = "https" if tls else "http"
        host, port = self.address
        url = f"{scheme}://{host}:{port}{path}"
        return httpx.get(url, verify=tls or False, trust_env=False, timeout=PATIENCE_SECONDS)

    @property
    def connections(self) -> int:
        """How many connections the server holds."""
        return len(self.server.server_state.connections)

    def stop(self) -> None:
        """Stop the server, and wait for its end."""
        self.server.should_exit = True
        self.thread.join(PATIENCE_SECONDS)
        assert not self.thread.is_alive()


Serve = Callable[..., Served]


@pytest.fixture
def state() -> ExporterState:
    """What the pages show."""
    return ExporterState()


@pytest.fixture(scope="session")
def snapshots() -> SnapshotStore:
    """Data of about 8 MB: more than the buffers on the way to a client hold."""
    store = SnapshotStore()
    rows = [UsageRow(f"{n}".rjust(4_000), "o365", "reseller", 0.5, 1_800_000_000.0) for n in range(1_000)]
    store.publish("contoso", SourceName.USAGE, families("contoso", rows, []))
    return store


@pytest.fixture
def app(state: ExporterState, snapshots: SnapshotStore, clock: FakeClock) -> ASGIApp:
    """The pages, without a guard."""
    metrics = ExporterMetrics(revision="test")
    return application.Pages(
        state=state, snapshots=snapshots, metrics=metrics, telemetry_path="/metrics", lifecycle=True, clock=clock
    ).application()


@pytest.fixture
def serve(app: ASGIApp, state: ExporterState, log_stream: LogStream) -> Iterator[Serve]:
    """Return a function that starts the server; keywords change PATIENT. Nothing may go to the log."""
    with ExitStack() as stack:

        def start(
            other: ASGIApp | None = None,
            *,
            settings: Callable[[], WebSettings] = WebSettings,
            tls: ssl.SSLContext | None = None,
            **limits: float,
        ) -> Served:
            [listener] = listen(["127.0.0.1:0"])
            address = listener.getsockname()
            started = threading.Event()
            server = ThreadServer(
                OriginForm(Guard(other or app, settings)),
                on_start=started.set,
                on_reload=lambda: None,
                urgent_paths=("/metrics",),
                tls=tls,
                limits=replace(PATIENT, **limits),  # type: ignore[arg-type]  # whole numbers are floats too
            )
            thread = threading.Thread(target=server.run, args=[[listener]], name="server")
            thread.start()
            served = Served(server, thread, address, stack.enter_context(ExitStack()))
            stack.callback(served.stop)
            assert started.wait(PATIENCE_SECONDS)
            until(lambda: server.started)
            return served

        try:
            yield start
        finally:
            state.released.set()
            state.reloads_released.set()
    assert [entry for entry in log_stream.entries if entry["msg"] == "library message"] == []
