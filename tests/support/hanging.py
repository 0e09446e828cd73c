"""The web side of an exporter whose page and reloads never come to an end: python -m tests.support.hanging."""

import sys
import threading
from collections.abc import Sequence

from exporter.clock import Clock
from exporter.metrics.exporter_metrics import ExporterMetrics
from exporter.metrics.snapshot import SnapshotStore
from exporter.model.status import SignInStatus, SourceView
from exporter.web.application import Pages
from exporter.web.toolkit.listening import address_of, listen
from exporter.web.toolkit.server import WebServer


class Hanging:
    """What the pages ask: the slow ones never get an answer."""

    def source_views(self) -> Sequence[SourceView]:
        """Hang, and say so."""
        sys.stderr.write("hanging\n")
        threading.Event().wait()
        raise AssertionError

    def reload(self) -> str:
        """Hang, and say so."""
        self.source_views()
        return ""

    def sign_ins(self) -> Sequence[SignInStatus]:
        """Return nothing."""
        return ()

    def notices(self) -> Sequence[str]:
        """Return nothing."""
        return ()

    def unhealthy(self) -> Sequence[str]:
        """Return nothing."""
        return ()

    def not_ready(self) -> Sequence[str]:
        """Return nothing."""
        return ()


def main() -> None:
    """Serve until a signal, on a free port."""
    pages = Pages(
        state=Hanging(),
        snapshots=SnapshotStore(),
        metrics=ExporterMetrics(revision="test"),
        telemetry_path="/metrics",
        lifecycle=True,
        clock=Clock(),
    ).application()
    [listener] = listen(["127.0.0.1:0"])
    sys.stderr.write(f"listening={address_of(listener)} \n")
    WebServer(pages, on_start=lambda: None, on_reload=lambda: None).run([listener])
    sys.stderr.write("served\n")


if __name__ == "__main__":
    main()
