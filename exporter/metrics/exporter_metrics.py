"""The exporter's own metrics: counters that events move, and gauges read from the states at each scrape."""

import platform
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Any

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, PlatformCollector, ProcessCollector
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.core import Metric as Family
from prometheus_client.exposition import generate_latest as text_exposition
from prometheus_client.metrics import disable_created_metrics
from prometheus_client.openmetrics.exposition import generate_latest as openmetrics_exposition
from prometheus_client.registry import Collector

from exporter import __version__
from exporter.errors import Reason
from exporter.metrics import catalogue
from exporter.metrics.catalogue import SCRAPES, Kind, Metric
from exporter.metrics.catalogue import SCRAPES_IN_FLIGHT as IN_FLIGHT
from exporter.model.rows import DropReason, SourceName
from exporter.model.status import PollStatus, SignInStatus

_COUNTED = [metric for metric in catalogue.EXPORTER if metric.kind is Kind.COUNTER and "source" in metric.labels]
_END = b"# EOF\n"
# Those that client_golang begins at 0.
_SCRAPE_CODES = (200, 500, 503)
_NO_REQUESTS = dict.fromkeys(catalogue.USUAL_CODES, 0)

Render = Callable[[CollectorRegistry], bytes]
SignIns = Sequence[tuple[SignInStatus, dict[str, int], dict[str, int]]]
"""Each partner's sign-in, with the number of its failures by OAuth error code and of its requests by HTTP status."""
_States = tuple[Sequence[PollStatus], SignIns, bool, bool, int, float | None]


class ExporterMetrics(Collector):
    """Counters, their registry, and gauges that follow the states: none is left behind or half updated.

    Safe for threads.
    """

    def __init__(self, *, revision: str, branch: str = "unknown") -> None:
        disable_created_metrics()  # type: ignore[no-untyped-call]  # the library's; it would double every counter
        self._states: Callable[[], _States] = lambda: ((), (), True, True, 0, None)
        self.registry = CollectorRegistry(auto_describe=False)
        # Before the counters: a page that shows how a poll ended has counted it, since that is counted first.
        self.registry.register(self)
        self._counters = {m: Counter(m.name, m.help, m.labels, registry=self.registry) for m in _COUNTED}
        timed, buckets = catalogue.API_DURATION, catalogue.DURATION_BUCKETS_SECONDS
        self._durations = Histogram(timed.name, timed.help, timed.labels, registry=self.registry, buckets=buckets)
        self.build = (__version__, revision, platform.python_version())
        self._branch = branch
        self._forgotten: set[tuple[str, SourceName]] = set()
        self._reload: tuple[bool, float | None] = (False, None)
        self._process = CollectorRegistry(auto_describe=False)
        # Here, since they change with every scrape: what the other registry has is rendered only when it has changed.
        self._scrapes = Counter(SCRAPES.name, SCRAPES.help, SCRAPES.labels, registry=self._process)
        for code in _SCRAPE_CODES:
            self._scrapes.labels(code)
        self._in_flight = Gauge(IN_FLIGHT.name, IN_FLIGHT.help, registry=self._process)
        ProcessCollector(registry=self._process)
        PlatformCollector(registry=self._process)
        self._newest_event = object()
        self._rendered: dict[Render, tuple[object, bytes]] = {}

    def follow(
        self,
        *,
        polls: Callable[[], Sequence[PollStatus]],
        sign_ins: Callable[[], SignIns],
        state_writable: Callable[[], bool],
        web_config_read: Callable[[], bool] = lambda: True,
        log_lines_dropped: Callable[[], int] = lambda: 0,
        clock_offset: Callable[[], float | None] = lambda: None,
    ) -> None:
        """Read the gauges, and what others count, from these at every scrape."""
        self._states = lambda: (
            tuple(polls()),
            [(status, dict(failures), dict(requests)) for status, failures, requests in sign_ins()],
            state_writable(),
            web_config_read(),
            log_lines_dropped(),
            clock_offset(),
        )

    def begin(self, partner: str, source: SourceName) -> None:
        """Let every counter with known labels begin at 0."""
        self._forgotten.discard((partner, source))
        for metric in (catalogue.POLLS, catalogue.THREAD_RESTARTS):
            self._count(metric, partner, source, by=0)
        for reason in Reason:
            self._count(catalogue.POLL_FAILURES, partner, source, reason, by=0)
        for drop_reason in DropReason:
            self._count(catalogue.ROWS_DROPPED, partner, source, drop_reason, by=0)
        for code in catalogue.USUAL_CODES:
            self._count(catalogue.API_REQUESTS, partner, source, code, by=0)
        self._durations.labels(partner, source)

    def forget(self, partner: str, source: SourceName) -> None:
        """Remove the counters of a source that is no longer configured.

        A poll of it that is still in progress must not bring them back.
        """
        self._forgotten.add((partner, source))
        for family in (*self._counters.values(), self._durations):
            family.remove_by_labels({"partner": partner, "source": source})
        self._newest_event = object()

    def observe_request(self, partner: str, source: SourceName, *, code: str, duration_seconds: float) -> None:
        """Count one HTTP request."""
        if (partner, source) not in self._forgotten:
            self._durations.labels(partner, source).observe(duration_seconds)
            self._count(catalogue.API_REQUESTS, partner, source, code)

    def observe_poll(self, partner: str, source: SourceName, *, failure: str | None) -> None:
        """Count one finished poll, with the reason where it failed."""
        self._count(catalogue.POLLS, partner, source)
        if failure is not None:
            self._count(catalogue.POLL_FAILURES, partner, source, failure)

    def observe_dropped(self, partner: str, source: SourceName, dropped: dict[DropReason, int]) -> None:
        """Count rows that are not shown."""
        for reason, count in dropped.items():
            self._count(catalogue.ROWS_DROPPED, partner, source, reason, by=count)

    def observe_restart(self, partner: str, source: SourceName) -> None:
        """Count one poll thread that had to be restarted."""
        self._count(catalogue.THREAD_RESTARTS, partner, source)

    def observe_reload(self, *, at: float | None) -> None:
        """Note that the configuration was read at this time, or None where that failed."""
        self._reload = (at is not None, at if at is not None else self._reload[1])

    def observe_scrape(self, code: int) -> None:
        """Count one answer of the metrics page by its status."""
        self._scrapes.labels(code).inc()

    def scrape_in_flight(self) -> AbstractContextManager[None]:
        """Return a context in which one more scrape is being served."""
        return self._in_flight.track_inprogress()

    def text(self) -> bytes:
        """Return the exporter's metrics in the text format."""
        return self._render(text_exposition) + bytes(text_exposition(self._process))

    def openmetrics(self) -> bytes:
        """Return the exporter's metrics in OpenMetrics, with the end mark."""
        metrics = self._render(openmetrics_exposition).removesuffix(_END)
        return metrics + bytes(openmetrics_exposition(self._process))  # type: ignore[no-untyped-call]  # the library's

    def _render(self, render: Render) -> bytes:
        """Render again only when an event or a state has changed: from poll to poll nothing does.

        With three partners, rendering takes 4.1 ms; everything else that a scrape of them costs, less than 1 ms
        (benchmarks/scrape.py). Events and states are noted before rendering, so that a change in the meantime
        is rendered next time.
        """
        seen = (self._newest_event, self._reload, self._states())
        rendered = self._rendered.get(render)
        if rendered is None or rendered[0] != seen:
            rendered = self._rendered[render] = (seen, bytes(render(self.registry)))
        return rendered[1]

    def _count(self, metric: Metric, partner: str, source: SourceName, *labels: str, by: int = 1) -> None:
        if (partner, source) not in self._forgotten:
            self._counters[metric].labels(partner, source, *labels).inc(by)
            self._newest_event = object()

    def describe(self) -> Iterable[Family]:
        """Name no families: the registry need not check for clashes with itself."""
        return ()

    def collect(self) -> Iterator[Family]:
        """Return every gauge, all states read at once."""
        polls, sign_ins, state_writable, web_config_read, log_lines_dropped, clock_offset = self._states()
        for metric, read in _POLL_GAUGES:
            yield _gauge(metric, (((s.partner, s.source), read(s)) for s in polls))
        yield _gauge(catalogue.SOURCE_INFO, (((s.partner, s.source, s.api), 1) for s in polls))
        for metric, read_sign_in in _SIGN_IN_GAUGES:
            yield _gauge(metric, (((s.partner,), read_sign_in(s)) for s, *_ in sign_ins))
        yield _counted(catalogue.AUTH_FAILURES, [(s.partner, failures) for s, failures, _ in sign_ins])
        yield _counted(catalogue.AUTH_REQUESTS, [(s.partner, _NO_REQUESTS | requests) for s, _, requests in sign_ins])
        succeeded, at = self._reload
        yield _gauge(catalogue.STATE_WRITABLE, [((), state_writable)])
        yield _gauge(catalogue.RELOAD_OK, [((), succeeded)])
        yield _gauge(catalogue.RELOAD_TIME, [((), at)])
        yield _gauge(catalogue.WEB_CONFIG_OK, [((), web_config_read)])
        lost = catalogue.LOG_LINES_DROPPED
        yield CounterMetricFamily(lost.name, lost.help, value=log_lines_dropped)
        yield _gauge(catalogue.CLOCK_OFFSET, [((), clock_offset)])
        version, revision, python = self.build
        yield _gauge(catalogue.BUILD_INFO, [((version, revision, self._branch, python), 1)])


_POLL_GAUGES: tuple[tuple[Metric, Callable[[PollStatus], Any]], ...] = (
    (catalogue.UP, lambda s: s.up),
    (catalogue.LAST_POLL, lambda s: s.last_poll_at),
    (catalogue.LAST_SUCCESS, lambda s: s.last_success_at),
    (catalogue.NEXT_POLL, lambda s: s.next_poll_at),
    (catalogue.POLL_DURATION, lambda s: s.last_duration_seconds),
    (catalogue.POLL_INTERVAL, lambda s: s.interval_seconds),
    (catalogue.POLL_IN_PROGRESS, lambda s: s.in_progress),
    (catalogue.MAX_SERIES, lambda s: s.max_series),
    (catalogue.DATA_WITHDRAWN, lambda s: s.stale),
    (catalogue.STALE_AFTER, lambda s: s.api.stale_after_seconds),
    (catalogue.ROWS, lambda s: s.rows),
)
_SIGN_IN_GAUGES: tuple[tuple[Metric, Callable[[SignInStatus], Any]], ...] = (
    (catalogue.AUTH_UP, lambda s: s.up),
    (catalogue.TOKEN_ISSUED, lambda s: s.token_issued_at),
    (catalogue.TOKEN_EXPIRY, lambda s: s.token_expires_at),
    (catalogue.CREDENTIAL_EXPIRY, lambda s: s.credential_expires_at),
    (catalogue.MFA_COMPLIANT, lambda s: s.mfa_compliant),
)


def _gauge(metric: Metric, values: Iterable[tuple[tuple[str, ...], Any]]) -> Family:
    family = GaugeMetricFamily(metric.name, metric.help, labels=metric.labels)
    for labels, value in values:
        if value is not None:
            family.add_metric(labels, float(value))
    return family


def _counted(metric: Metric, counts: Iterable[tuple[str, Mapping[str, int]]]) -> Family:
    """Return a counter of each partner by its one other label."""
    family = CounterMetricFamily(metric.name, metric.help, labels=metric.labels)
    for partner, counted in counts:
        for value, count in sorted(counted.items()):
            family.add_metric((partner, value), count)
    return family
