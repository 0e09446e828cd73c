"""Expositions as values, so that tests compare what Prometheus would store."""

from collections.abc import Mapping

from prometheus_client import Metric
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse_openmetrics
from prometheus_client.parser import text_string_to_metric_families as parse_text

from exporter.metrics.own import OwnMetrics
from exporter.metrics.snapshot import SnapshotStore

Labels = frozenset[tuple[str, str]]


class Exposition:
    """One scrape, parsed. A series that stands there twice fails the test."""

    def __init__(self, text: str, *, openmetrics: bool = False) -> None:
        parse = parse_openmetrics if openmetrics else parse_text
        self.families: tuple[Metric, ...] = tuple(parse(text))
        self.samples: dict[tuple[str, Labels], float] = {}
        for family in self.families:
            for sample in family.samples:
                series = (sample.name, frozenset(sample.labels.items()))
                assert series not in self.samples, f"twice: {sample}"
                assert sample.timestamp is None, f"with a timestamp: {sample}"
                self.samples[series] = sample.value

    def value(self, name: str, **labels: str) -> float | None:
        """Return the value of the only series with this name and at least these labels; None without one."""
        found = self.select(name, **labels)
        assert len(found) <= 1, f"several: {found}"
        return next(iter(found.values()), None)

    def select(self, name: str, **labels: str) -> dict[Labels, float]:
        """Return every series with this name and at least these labels."""
        wanted = labels.items()
        return {held: value for (each, held), value in self.samples.items() if each == name and wanted <= held}

    def named(self, *prefixes: str) -> dict[tuple[str, Labels], float]:
        """Return every series whose name begins with one of the prefixes."""
        return {series: value for series, value in self.samples.items() if series[0].startswith(prefixes)}

    @property
    def data(self) -> Mapping[tuple[str, Labels], float]:
        """Every licence series."""
        return self.named("partnercenter_license")


def scraped(snapshots: SnapshotStore, own: OwnMetrics) -> Exposition:
    """Return what a scrape would get now."""
    data = b"".join(block.plain for block in snapshots.current.blocks)
    return Exposition((data + own.text()).decode())
