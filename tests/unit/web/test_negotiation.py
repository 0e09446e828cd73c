"""Which format and encoding a scrape gets."""

import pytest

from exporter.web.toolkit.negotiation import OPENMETRICS, TEXT, wants_gzip, wants_openmetrics

PROMETHEUS_2_42 = (
    "application/openmetrics-text;version=1.0.0,application/openmetrics-text;version=0.0.1;q=0.75,"
    "text/plain;version=0.0.4;q=0.5,*/*;q=0.1"
)
PROMETHEUS_3 = (
    "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.6,"
    "application/openmetrics-text;version=0.0.1;q=0.5,"
    "text/plain;version=1.0.0;escaping=allow-utf-8;q=0.4,text/plain;version=0.0.4;q=0.3,*/*;q=0.2"
)
PROMETHEUS_3_WITH_HISTOGRAMS = (
    "application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=delimited;q=0.7," + PROMETHEUS_3
)
PROMETHEUS_2_TEXT_ONLY = "text/plain;version=0.0.4;q=0.5,*/*;q=0.1"
BROWSER = "text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,*/*;q=0.8"


@pytest.mark.parametrize(
    "accept",
    [
        PROMETHEUS_2_42,
        PROMETHEUS_3,
        PROMETHEUS_3_WITH_HISTOGRAMS,
        "application/openmetrics-text",
        "application/openmetrics-text; version=1.0.0",
        'application/openmetrics-text; version="1.0.0"; charset=utf-8',
        "Application/OpenMetrics-Text;Version=1.0.0",
        "application/openmetrics-text;q=0.5,text/plain;q=0.5",
        "application/openmetrics-text;q=0.001",
        "text/plain;q=0.1 , application/openmetrics-text;q=0.2",
        ",,application/openmetrics-text,,",
    ],
)
def test_clients_that_prefer_openmetrics_get_it(accept: str) -> None:
    assert wants_openmetrics(accept)


@pytest.mark.parametrize(
    "accept",
    [
        "",
        "*/*",
        "text/plain",
        "text/plain;version=0.0.4",
        PROMETHEUS_2_TEXT_ONLY,
        BROWSER,
        "application/openmetrics-text;q=0",
        "application/openmetrics-text;q=0,*/*",
        "application/openmetrics-text;q=0.0, text/plain",
        "application/openmetrics-text;version=0.0.1",
        "application/openmetrics-text;version=2.0.0",
        "application/openmetrics-text;version=1.0.0=1",
        "application/openmetrics-text;version=X1.0.0",
        "application/openmetrics-text;q=0.4,text/plain;q=0.5",
        "application/openmetrics-text;q=banana",
        "application/openmetrics-text;q=nan",
        "application/openmetrics-text;q=-1",
        "application/openmetrics-text;q=2",
        "application/openmetrics-text;q=",
        "application/json",
        ";;;,=,;q=1",
        "\x00\xff;q=\xe9",
        "q=1",
    ],
)
def test_all_other_clients_get_the_text_format(accept: str) -> None:
    assert not wants_openmetrics(accept)


@pytest.mark.parametrize(
    "accept_encoding",
    ["gzip", "GZIP", "deflate, gzip;q=1.0, *;q=0.5", "gzip;q=0.001", "*", "br, *;q=0.1", "gzip,deflate,br,zstd"],
)
def test_clients_that_accept_gzip_get_it(accept_encoding: str) -> None:
    assert wants_gzip(accept_encoding)


@pytest.mark.parametrize(
    "accept_encoding",
    [
        "",
        "identity",
        "br, zstd",
        "gzip;q=0",
        "gzip;q=0, *;q=1",
        "*;q=0",
        "gzip;q=banana",
        "gzip;q=inf",
        "gzipped",
        "not gzip",
        ";q=1",
    ],
)
def test_clients_that_do_not_accept_gzip_get_plain_bytes(accept_encoding: str) -> None:
    assert not wants_gzip(accept_encoding)


def test_the_two_content_types_are_those_of_the_formats() -> None:
    assert TEXT == "text/plain; version=0.0.4; charset=utf-8"
    assert OPENMETRICS == "application/openmetrics-text; version=1.0.0; charset=utf-8"
