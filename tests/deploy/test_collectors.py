"""The files for the OpenTelemetry Collector and Grafana Alloy, run by these programs where they are installed.

Real exporter, real Prometheus; only addresses, paths and the interval are replaced. tests/deploy/otelcol builds a
Collector.
"""

import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import bcrypt
import pytest
import yaml

from partnercenter_simulator import Simulator
from tests.e2e.conftest import program, start
from tests.integration.exposition import Exposition
from tests.integration.web.material import Material
from tests.support.config import write_config
from tests.support.daemon import LOOPBACK, free_port, running
from tests.support.process import until
from tests.support.prometheus import Labels, Prometheus, prometheus
from tests.support.rules import PROMETHEUS, REPOSITORY, RULE_FILES

FOLDER = REPOSITORY / "deploy" / "collectors"
FILES = {"otelcol": FOLDER / "otelcol.yaml", "alloy": FOLDER / "config.alloy"}
PAGE = (REPOSITORY / "docs" / "collectors.md").read_text("utf-8")
LANGUAGES = {"otelcol": "yaml", "alloy": "alloy"}
PASSWORD = "scraped and written"
# Alloy's timeout does not follow the interval.
INTERVAL = {"otelcol": {"1m": "1s"}, "alloy": {'"1m"': '"1s"\n\tscrape_timeout = "1s"'}}
SHIPPED_TARGET = {"otelcol": '["localhost:10058"]', "alloy": '"localhost:10058"'}
# Kubernetes attaches labels of these names to its targets. The first is ours as well.
TARGET = {
    "otelcol": '["{}"]\n              labels: {{service: monitoring, namespace: monitoring}}',
    "alloy": '"{}", service = "monitoring", namespace = "monitoring"',
}
TARGET_LABELS = {"service": "monitoring", "namespace": "monitoring"}
JOB = "partnercenter-exporter"
OF_THE_SCRAPE = {
    "up",
    "scrape_duration_seconds",
    "scrape_samples_scraped",
    "scrape_samples_post_metric_relabeling",
    "scrape_series_added",
}
# The Collector sends no staleness marker for the sum of a histogram.
NOT_ENDED = {"otelcol": {"partnercenter_api_request_duration_seconds_sum"}, "alloy": set[str]()}

Series = dict[tuple[str, Labels], float]


def documented(name: str) -> str:
    """Return the page's configuration with TLS and passwords."""
    [configuration] = re.findall(rf"^```{LANGUAGES[name]}\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)
    return str(configuration)


@pytest.fixture(params=FILES)
def name(request: pytest.FixtureRequest) -> str:
    """The name of a collector; the test is skipped where it is not installed."""
    program_name: str = request.param
    if shutil.which(program_name) is None:
        pytest.skip(f"{program_name} is not installed")
    return program_name


@contextmanager
def collecting(name: str, folder: Path, replaced: dict[str, str], *configurations: str) -> Iterator[None]:
    """Run a collector with these configurations until the block ends."""
    files = [folder / f"{number}-{FILES[name].name}" for number in range(len(configurations))]
    for file, text in zip(files, configurations, strict=True):
        changed = text
        for before, after in {**replaced, **INTERVAL[name]}.items():
            changed = changed.replace(before, after)
        file.write_text(changed)
    if name == "otelcol":
        # Its own metrics would take a fixed port.
        flags = [*(f"--config={file}" for file in files), "--set=service.telemetry.metrics.level=none"]
    else:
        address = f"--server.http.listen-addr={LOOPBACK}:{free_port()}"
        flags = ["run", f"--storage.path={folder}/alloy", address, "--disable-reporting", *map(str, files)]
    with running([name, *flags], folder / f"{name}.log"):
        yield


@contextmanager
def receiving(folder: Path, *flags: str, **client: Any) -> Iterator[Prometheus]:
    """Run a Prometheus with the shipped rules that scrapes nothing and accepts what is written."""
    file = folder / "prometheus.yml"
    rules = [str(rule_file) for rule_file in RULE_FILES]
    file.write_text(yaml.safe_dump({"global": {"evaluation_interval": "1s"}, "rule_files": rules}))
    accept = "--web.enable-remote-write-receiver"
    with prometheus(program("prometheus"), file, folder / "data", accept, *flags, **client) as started:
        yield started


def comparable(series: Series) -> Series:
    """Return series without the values that change from scrape to scrape."""
    return {key: 0 if key[0].startswith(("process_", "promhttp_")) else value for key, value in series.items()}


def served(page: Exposition, name: str, address: str) -> Series:
    """Return what a scrape of this page makes of it. The Collector writes bounds of buckets without .0."""
    attached = {**TARGET_LABELS, "job": JOB, "instance": address}
    ours = ((metric, {**attached, **dict(labels)}, value) for (metric, labels), value in page.samples.items())
    return {
        (
            metric,
            frozenset(
                (key, text.removesuffix(".0") if (name, key) == ("otelcol", "le") else text)
                for key, text in labels.items()
            ),
        ): value
        for metric, labels, value in ours
    }


def arrived(received: Prometheus) -> Series:
    """Return what was written, without what the rules made of it."""
    newest = received.newest(f'{{job="{JOB}",__name__!~"ALERTS.*|.*:.*"}}')
    return {
        (dict(labels)["__name__"], frozenset(pair for pair in labels if pair[0] != "__name__")): value
        for labels, value in newest.items()
    }


def names(series: Series) -> set[str]:
    """Return the names of metrics."""
    return {name for name, _ in series}


def test_every_series_arrives_and_ends_as_if_prometheus_had_scraped(
    name: str, simulator: Simulator, tmp_path: Path
) -> None:
    config = write_config(tmp_path / "exporter", simulator)
    with receiving(tmp_path) as received, start(config) as exporter:
        exporter.wait_until_ready()
        address = exporter.url.removeprefix("http://")
        expected = comparable(served(exporter.scrape(), name, address))
        replaced = {SHIPPED_TARGET[name]: TARGET[name].format(address), "localhost:9090": received.address}
        with collecting(name, tmp_path, replaced, FILES[name].read_text()):

            def ours() -> Series:
                return comparable(
                    {key: value for key, value in arrived(received).items() if key[0] not in OF_THE_SCRAPE}
                )

            with suppress(TimeoutError):
                until(lambda: ours() == expected)
            assert ours() == expected
            assert names(arrived(received)) >= OF_THE_SCRAPE
            exporter.stop()
            until(lambda: received.newest("up == 0"))
            until(lambda: names(arrived(received)) - NOT_ENDED[name] == OF_THE_SCRAPE)
            down = 'ALERTS{alertname="PartnerCenterExporterDown",alertstate="pending"}'
            [alert] = until(lambda: received.newest(down))
            assert {("instance", address), ("namespace", "monitoring")} <= alert


def test_what_the_page_says_of_tls_and_passwords_works(name: str, simulator: Simulator, tmp_path: Path) -> None:
    material = Material(tmp_path)
    material.issue()
    material.authority.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    hashed = bcrypt.hashpw(PASSWORD.encode(), bcrypt.gensalt(5)).decode()
    web = material.write(tls={}, basic_auth_users=dict.fromkeys(("prometheus", "partnercenter"), hashed))
    for file in ("scrape-password", "write-password"):
        (tmp_path / file).write_text(PASSWORD)
    config = write_config(tmp_path / "exporter", simulator)
    flag = f"--web.config.file={web}"
    reading = {"scheme": "https", "verify": material.client(), "auth": ("prometheus", PASSWORD)}
    with receiving(tmp_path, flag, **reading) as received, start(config, flag) as exporter:
        replaced = {
            "exporter.example.com:10058": exporter.url.removeprefix("http://"),
            "prometheus.example.com": received.address,
            f"/etc/{name}": str(tmp_path),
        }
        # The Collector merges the page's file with ours, Alloy's replaces it.
        shipped = [FILES[name].read_text()] if name == "otelcol" else []
        with collecting(name, tmp_path, replaced, *shipped, documented(name)):
            until(lambda: len(received.newest(f'partnercenter_up{{job="{JOB}"}} == 1')) == 2)


def shipped_scrape() -> dict[str, Any]:
    """Return how the example for Prometheus scrapes, with the interval that it has for all jobs."""
    content = yaml.safe_load((PROMETHEUS / "prometheus.yml").read_text("utf-8"))
    [scrape] = content["scrape_configs"]
    return {"scrape_interval": content["global"]["scrape_interval"], **scrape}


def test_the_collector_scrapes_as_prometheus_does_and_changes_no_name_or_label() -> None:
    content = yaml.safe_load(FILES["otelcol"].read_text())
    assert content["receivers"]["prometheus"]["config"]["scrape_configs"] == [shipped_scrape()]
    exporter = content["exporters"]["prometheus_remote_write"]
    assert exporter.pop("http").keys() == {"endpoint"}
    assert exporter == {
        "translation_strategy": "UnderscoreEscapingWithoutSuffixes",
        "disable_scope_info": True,
        "target_info": {"enabled": False},
    }
    [pipeline] = content["service"]["pipelines"].values()
    assert pipeline == {"receivers": ["prometheus"], "exporters": ["prometheus_remote_write"]}


def test_alloy_scrapes_as_prometheus_does_and_relabels_nothing() -> None:
    text = FILES["alloy"].read_text()
    scrape = shipped_scrape()
    [static] = scrape["static_configs"]
    assert dict(re.findall(r"^\t+(\w+) += (.*)$", text, re.MULTILINE)) == {
        "job_name": f'"{scrape["job_name"]}"',
        "scrape_interval": f'"{scrape["scrape_interval"]}"',
        "honor_labels": str(scrape["honor_labels"]).lower(),
        "targets": "[{" + "".join(f'__address__ = "{target}"' for target in static["targets"]) + "}]",
        "forward_to": "[prometheus.remote_write.partnercenter.receiver]",
        "url": '"http://localhost:9090/api/v1/write"',
    }


def test_the_page_s_collector_differs_by_tls_passwords_and_addresses_only() -> None:
    [scrape] = yaml.safe_load(documented("otelcol"))["receivers"]["prometheus"]["config"]["scrape_configs"]
    shipped = shipped_scrape()
    assert scrape.keys() - shipped.keys() == {"scheme", "tls_config", "basic_auth"}
    del shipped["static_configs"]
    assert scrape.items() >= shipped.items()


def test_the_page_s_alloy_has_every_line_of_the_file_but_addresses() -> None:
    shipped, page = (
        {" ".join(line.split()) for line in text.splitlines() if "//" not in line}
        for text in (FILES["alloy"].read_text(), documented("alloy"))
    )
    assert {line for line in shipped - page if "localhost" not in line} == set()
