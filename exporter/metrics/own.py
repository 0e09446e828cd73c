"""The exporter's own metrics: counters that events move, and gauges read from the states at each scrape."""

import platform
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Histogram,
    PlatformCollector,
    ProcessCollector,
    disable_created_metrics,
)
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.core import Metric as Family
from prometheus_client.exposition import generate_latest as text_exposition
from prometheus_client.openmetrics.exposition import generate_latest as openmetrics_exposition
from prometheus_client.registry import Collector

from exporter import __version__
from exporter.metrics import catalogue
from exporter.metrics.catalogue import Metric
from exporter.model import DropReason, PollStatus, SignInStatus

_PER_SOURCE = (
    catalogue.POLLS,
    catalogue.POLL_FAILURES,
    catalogue.ROWS_DROPPED,
    catalogue.API_REQUESTS,
    catalogue.THREAD_RESTARTS,
)


Render = Callable[[CollectorRegistry], bytes]
_END = b"# EOF\n"


class OwnMetrics:
    """Counters and their registry. Safe for threads."""

    def __init__(self, *, revision: str) -> None:
        disable_created_metrics()  # type: ignore[no-untyped-call]  # the library's, untyped; a second series for every counter, which nobody asked for
        self.registry = CollectorRegistry(auto_describe=False)
        self._counters = {m: Counter(m.name, m.help, m.labels, registry=self.registry) for m in _PER_SOURCE}
        self._durations = Histogram(
            catalogue.API_DURATION.name,
            catalogue.API_DURATION.help,
            catalogue.API_DURATION.labels,
            registry=self.registry,
            buckets=catalogue.DURATION_BUCKETS_SECONDS,
        )
        self._build = (__version__, revision, platform.python_version())
        self._forgotten: set[tuple[str, str]] = set()
        self._reload: tuple[bool, float | None] = (False, None)
        self._process = CollectorRegistry(auto_describe=False)
        ProcessCollector(registry=self._process)
        PlatformCollector(registry=self._process)
        self._newest_event = object()
        self._states: Callable[[], object] = lambda: None
        self._rendered: dict[Render, tuple[object, bytes]] = {}

    def follow(
        self,
        *,
        polls: Callable[[], Sequence[PollStatus]],
        sign_ins: Callable[[], Sequence[tuple[SignInStatus, dict[str, int]]]],
        state_writable: Callable[[], bool],
    ) -> None:
        """Read the gauges from these at every scrape."""
        self._states = lambda: (
            tuple(polls()),
            [(status, dict(failures)) for status, failures in sign_ins()],
            state_writable(),
        )
        self.registry.register(_StatusCollector(self, polls, sign_ins, state_writable))

    def begin(self, partner: str, source: str) -> None:
        """Let every counter with known labels begin at 0."""
        self._forgotten.discard((partner, source))
        for metric in (catalogue.POLLS, catalogue.THREAD_RESTARTS):
            self._counters[metric].labels(partner, source)
        for reason in catalogue.POLL_FAILURE_REASONS:
            self._counters[catalogue.POLL_FAILURES].labels(partner, source, reason)
        for reason in catalogue.DROP_REASONS:
            self._counters[catalogue.ROWS_DROPPED].labels(partner, source, reason)
        self._durations.labels(partner, source)
        self._newest_event = object()

    def forget(self, partner: str, source: str) -> None:
        """Remove the counters of a source that the configuration no longer has.

        A poll of it that is still under way must not bring them back.
        """
        self._forgotten.add((partner, source))
        labels = {"partner": partner, "source": source}
        for family in (*self._counters.values(), self._durations):
            family.remove_by_labels(labels)
        self._newest_event = object()

    def observe_request(self, partner: str, source: str, *, code: str, duration_seconds: float) -> None:
        """Count one request on the wire."""
        if (partner, source) not in self._forgotten:
            self._counters[catalogue.API_REQUESTS].labels(partner, source, code).inc()
            self._durations.labels(partner, source).observe(duration_seconds)
            self._newest_event = object()

    def observe_poll(self, partner: str, source: str, *, failure: str | None) -> None:
        """Count one ended poll, with the reason where it failed."""
        if (partner, source) in self._forgotten:
            return
        self._counters[catalogue.POLLS].labels(partner, source).inc()
        if failure is not None:
            self._counters[catalogue.POLL_FAILURES].labels(partner, source, failure).inc()
        self._newest_event = object()

    def observe_dropped(self, partner: str, source: str, dropped: dict[DropReason, int]) -> None:
        """Count rows that are not shown."""
        if (partner, source) in self._forgotten:
            return
        for reason, count in dropped.items():
            self._counters[catalogue.ROWS_DROPPED].labels(partner, source, str(reason)).inc(count)
        self._newest_event = object()

    def observe_restart(self, partner: str, source: str) -> None:
        """Count one poll thread that had to be started again."""
        if (partner, source) in self._forgotten:
            return
        self._counters[catalogue.THREAD_RESTARTS].labels(partner, source).inc()
        self._newest_event = object()

    def observe_reload(self, *, at: float | None) -> None:
        """Note a reading of the configuration: its time, or None where it failed."""
        self._reload = (at is not None, at if at is not None else self._reload[1])

    @property
    def build(self) -> tuple[str, str, str]:
        """Version, revision and Python version."""
        return self._build

    @property
    def reload(self) -> tuple[bool, float | None]:
        """Whether the last reading of the configuration succeeded, and when one last did."""
        return self._reload

    def text(self) -> bytes:
        """Return the own metrics in the text format."""
        return self._unless_unchanged(text_exposition) + bytes(text_exposition(self._process))

    def openmetrics(self) -> bytes:
        """Return the own metrics in OpenMetrics, with the end mark."""
        steady = self._unless_unchanged(openmetrics_exposition).removesuffix(_END)
        return steady + bytes(openmetrics_exposition(self._process))  # type: ignore[no-untyped-call]  # the library's

    def _unless_unchanged(self, render: Render) -> bytes:
        """Render anew only what has changed: from poll to poll nothing does but the process' own figures.

        What is seen is taken down before it is rendered, so that a change meanwhile is rendered next time.
        """
        seen = (self._newest_event, self._reload, self._states())
        held = self._rendered.get(render)
        if held is None or held[0] != seen:
            held = self._rendered[render] = (seen, bytes(render(self.registry)))
        return held[1]


class _StatusCollector(Collector):
    """Gauges that follow the states, so that none is left behind and none is half updated."""

    def __init__(
        self,
        own: OwnMetrics,
        polls: Callable[[], Sequence[PollStatus]],
        sign_ins: Callable[[], Sequence[tuple[SignInStatus, dict[str, int]]]],
        state_writable: Callable[[], bool],
    ) -> None:
        self._own = own
        self._polls = polls
        self._sign_ins = sign_ins
        self._state_writable = state_writable

    def describe(self) -> Iterable[Family]:
        """Name no families: the registry need not look for clashes with itself."""
        return ()

    def collect(self) -> Iterator[Family]:
        """Read every state once."""
        polls, sign_ins = self._polls(), self._sign_ins()
        for metric, read in _POLL_GAUGES:
            yield _gauge(metric, (((s.partner, s.source), read(s)) for s in polls))
        yield _gauge(catalogue.SOURCE_INFO, (((s.partner, s.source, s.api), 1) for s in polls))
        for metric, read_sign_in in _SIGN_IN_GAUGES:
            yield _gauge(metric, (((s.partner,), read_sign_in(s)) for s, _ in sign_ins))
        yield _auth_failures(sign_ins)
        succeeded, at = self._own.reload
        yield _gauge(catalogue.STATE_WRITABLE, [((), self._state_writable())])
        yield _gauge(catalogue.RELOAD_OK, [((), succeeded)])
        yield _gauge(catalogue.RELOAD_TIME, [((), at)])
        yield _gauge(catalogue.BUILD_INFO, [(self._own.build, 1)])


_POLL_GAUGES: tuple[tuple[Metric, Callable[[PollStatus], Any]], ...] = (
    (catalogue.UP, lambda s: s.up),
    (catalogue.LAST_POLL, lambda s: s.last_poll_at),
    (catalogue.LAST_SUCCESS, lambda s: s.last_success_at),
    (catalogue.NEXT_POLL, lambda s: s.next_poll_at),
    (catalogue.POLL_DURATION, lambda s: s.last_duration_seconds),
    (catalogue.POLL_INTERVAL, lambda s: s.interval_seconds),
    (catalogue.ROWS, lambda s: s.rows),
)
_SIGN_IN_GAUGES: tuple[tuple[Metric, Callable[[SignInStatus], Any]], ...] = (
    (catalogue.AUTH_UP, lambda s: s.up),
    (catalogue.TOKEN_ISSUED, lambda s: s.token_issued_at),
    (catalogue.TOKEN_EXPIRY, lambda s: s.token_expires_at),
    (catalogue.CREDENTIAL_EXPIRY, lambda s: s.credential_expires_at),
)


def _gauge(metric: Metric, values: Iterable[tuple[tuple[str, ...], Any]]) -> Family:
    family = GaugeMetricFamily(metric.name, metric.help, labels=metric.labels)
    for labels, value in values:
        if value is not None:
            family.add_metric(labels, float(value))
    return family


def _auth_failures(sign_ins: Sequence[tuple[SignInStatus, dict[str, int]]]) -> Family:
    metric = catalogue.AUTH_FAILURES
    family = CounterMetricFamily(metric.name, metric.help, labels=metric.labels)
    for status, failures in sign_ins:
        for error, count in sorted(failures.items()):
            family.add_metric((status.partner, error), count)
    return family
