"""Families into bytes that the text format and OpenMetrics both read."""

import pytest

from exporter.metrics.catalogue import LICENSES_SOLD, USAGE_RATIO, Metric
from exporter.metrics.exposition import Block, header, samples
from tests.fixtures.exposition import read_openmetrics, read_text

LABELS = ("contoso", "Exchange", "o365", "reseller")


def plain(blocks: tuple[Block, ...]) -> bytes:
    """Return the blocks as a scrape sends them."""
    return b"".join(block.plain for block in blocks)


def test_many_samples_come_in_blocks_of_limited_length() -> None:
    blocks = samples(LICENSES_SOLD, [(("contoso", str(number), "r"), number) for number in range(4_000)])
    assert len(plain(blocks).splitlines()) == 4_000
    assert max(len(block.plain.splitlines()) for block in blocks) < 2_000


def test_a_sample_is_one_line_with_its_labels_in_order_and_no_timestamp() -> None:
    assert plain(samples(USAGE_RATIO, [(LABELS, 0.25)])) == (
        b"partnercenter_license_usage_ratio"
        b'{partner="contoso",workload="Exchange",service="o365",channel="reseller"} 0.25\n'
    )


@pytest.mark.parametrize(
    ("value", "written"),
    [(0, b"0.0"), (1, b"1.0"), (343, b"343.0"), (0.2616, b"0.2616"), (1e15, b"1000000000000000.0"), (1e22, b"1e+22")],
)
def test_a_value_is_written_as_the_shortest_float_that_is_it(value: float, written: bytes) -> None:
    assert plain(samples(USAGE_RATIO, [(LABELS, value)])).split()[-1] == written


@pytest.mark.parametrize(
    ("text", "written"),
    [
        ('say "hi"', rb"say \"hi\""),
        ("back\\slash", rb"back\\slash"),
        ("two\nlines", rb"two\nlines"),
        ("\\n", rb"\\n"),
        ('\\"', rb"\\\""),
        ("a\rb\tc\0d", b"a\rb\tc\0d"),
        ("Überblick 概要", "Überblick 概要".encode()),
        ("a,b={c}", b"a,b={c}"),
    ],
)
def test_a_label_is_escaped_where_the_format_wants_it_and_nowhere_else(text: str, written: bytes) -> None:
    assert b'workload="' + written + b'",' in plain(samples(USAGE_RATIO, [(("p", text, "s", "c"), 1.0)]))


def test_both_parsers_read_a_block_with_its_header() -> None:
    block = header(LICENSES_SOLD).plain + plain(samples(LICENSES_SOLD, [(("contoso", "o365", "r"), 343)]))
    for families in (read_text(block.decode()), read_openmetrics(block.decode() + "# EOF\n")):
        (family,) = families
        assert (family.name, family.type, family.documentation) == (LICENSES_SOLD.name, "gauge", LICENSES_SOLD.help)
        assert [(s.labels, s.value, s.timestamp) for s in family.samples] == [
            ({"partner": "contoso", "service": "o365", "channel": "r"}, 343.0, None)
        ]


def test_help_is_escaped() -> None:
    assert header(Metric("a_metric", "one\\two\nthree")).plain == (
        b"# HELP a_metric one\\\\two\\nthree\n# TYPE a_metric gauge\n"
    )


def test_there_must_be_as_many_label_values_as_names() -> None:
    with pytest.raises(ValueError, match="zip"):
        samples(USAGE_RATIO, [(("contoso",), 1.0)])
