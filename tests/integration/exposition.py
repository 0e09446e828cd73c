"""Expositions as values, so that tests compare what Prometheus would store."""

import re
from collections.abc import Mapping
from functools import lru_cache

from prometheus_client import Metric
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse_openmetrics
from prometheus_client.parser import text_string_to_metric_families as parse_text

from exporter.metrics.exporter_metrics import ExporterMetrics
from exporter.metrics.snapshot import SnapshotStore

Labels = frozenset[tuple[str, str]]


_BEFORE_A_FAMILY = re.compile(r"^(?=# HELP )", re.MULTILINE)


@lru_cache(maxsize=200)
def _parsed(block: str, *, openmetrics: bool) -> tuple[Metric, ...]:
    """Parse one family; most are the same from scrape to scrape, and the parsers are slow."""
    parse = parse_openmetrics if openmetrics else parse_text
    return tuple(parse(f"{block}# EOF\n" if openmetrics else block))


class Exposition:
    """One scrape, parsed. A series that stands there twice fails the test."""

    def __init__(self, text: str, *, openmetrics: bool = False) -> None:
        assert text.endswith("# EOF\n") == openmetrics
        blocks = _BEFORE_A_FAMILY.split(text.removesuffix("# EOF\n"))
        self.families = tuple(family for block in blocks for family in _parsed(block, openmetrics=openmetrics))
        names = [family.name for family in self.families]
        assert len(names) == len(set(names)), f"twice: {names}"
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
        return {found: value for (other, found), value in self.samples.items() if other == name and wanted <= found}

    def named(self, *prefixes: str) -> dict[tuple[str, Labels], float]:
        """Return every series whose name begins with one of the prefixes."""
        return {series: value for series, value in self.samples.items() if series[0].startswith(prefixes)}

    @property
    def data(self) -> Mapping[tuple[str, Labels], float]:
        """Every licence series."""
        return self.named("partnercenter_license")


def scraped(snapshots: SnapshotStore, metrics: ExporterMetrics) -> Exposition:
    """Return what a scrape would get now."""
    data = b"".join(block.plain for block in snapshots.current.blocks)
    return Exposition((data + metrics.text()).decode())
