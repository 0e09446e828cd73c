"""Rows as metric families, and those as bytes of the text format, which for gauges are the same in OpenMetrics.

A value that the API did not give has no sample.
"""

import re
import zlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from itertools import islice

from exporter.metrics import catalogue
from exporter.metrics.catalogue import Metric
from exporter.metrics.targets import CustomerSeries, Target, Targets
from exporter.model.rows import Row
from exporter.model.totals import Labels, Total

Sample = tuple[tuple[str, ...], float]
Families = dict[Metric, list[Sample]]

_PAIR = re.compile(r'(\w+)="((?:[^"\\]|\\.)*)"')
_ESCAPED = re.compile(r"\\(.)")
_ESCAPES = str.maketrans({"\\": "\\\\", "\n": "\\n", '"': '\\"'})
# Level 1 takes a third of the time of level 6; licence data compresses well either way.
_LEVEL = 1
_RAW = -zlib.MAX_WBITS
_LINES_PER_BLOCK = 1_500


@dataclass(frozen=True, slots=True)
class Block:
    """Pre-rendered bytes, plain and as raw deflate that ends with a full flush, so that blocks can be joined."""

    plain: bytes
    deflated: bytes


def families(
    partner: str, rows: Sequence[Row], targets: Sequence[Target], customers: Iterable[CustomerSeries] = ()
) -> Families:
    """Return every data family of one partner's and source's rows; label values in the catalogue's order.

    `customers` are the series of customers that some target names.
    """
    result: Families = {}
    index = Targets(targets)
    for row in rows:
        labels = (partner, *row.key)
        for metric, value in catalogue.values_of(row):
            if value is not None:
                result.setdefault(metric, []).append((labels, value))
        target = index.of(partner, row)
        if target is not None and row.ratio is not None:
            result.setdefault(catalogue.USAGE_TARGET, []).append((labels, target.ratio))
    for series in customers:
        target = index.of_customer(partner, series)
        if target is not None:
            labels = (partner, *series.key, series.customer)
            result.setdefault(catalogue.CUSTOMER_TARGET, []).append((labels, target.ratio))
    return result


def block(text: str) -> Block:
    """Return the text as a block."""
    plain = text.encode()
    compressor = zlib.compressobj(_LEVEL, zlib.DEFLATED, _RAW)
    return Block(plain, compressor.compress(plain) + compressor.flush(zlib.Z_FULL_FLUSH))


def header(metric: Metric) -> Block:
    """Return the HELP and TYPE lines."""
    text = metric.help.replace("\\", "\\\\").replace("\n", "\\n")
    return block(f"# HELP {metric.name} {text}\n# TYPE {metric.name} {metric.kind}\n")


def samples(metric: Metric, values: Iterable[Sample]) -> tuple[Block, ...]:
    """Return the sample lines, in small blocks: as one text, they could take a hundred megabytes."""
    names = [f'{name}="' for name in metric.labels]
    remaining = iter(values)
    blocks = []
    while some := list(islice(remaining, _LINES_PER_BLOCK)):
        lines = [f"{metric.name}{{{_pairs(names, labels)}}} {float(value)!r}\n" for labels, value in some]
        blocks.append(block("".join(lines)))
    return tuple(blocks)


def totals(
    partner: str, metrics: tuple[Metric, Metric], names: Labels, entries: Iterable[tuple[Labels, Total]]
) -> dict[Metric, tuple[Block, ...]]:
    """Return the sample lines of two metrics, part and whole, that share their labels; None is no sample.

    In small blocks, so that neither the lines' memory nor the interpreter's lock is held for long.
    """
    first: list[Block] = []
    second: list[Block] = []
    fixed = _pairs(['partner="'], (partner,)).replace("%", "%%")
    template = fixed + "".join([f',{name}="%s"' for name in names])
    remaining = iter(entries)
    while some := list(islice(remaining, _LINES_PER_BLOCK)):
        # A block repeats few values: each is escaped once.
        escaped = _Escaped().__getitem__
        written = [(template % tuple(map(escaped, labels)), total) for labels, total in some]
        for blocks, metric, lines in (
            (first, metrics[0], [(pairs, total.part) for pairs, total in written]),
            (second, metrics[1], [(pairs, total.whole) for pairs, total in written]),
        ):
            text = "".join([f"{metric.name}{{{pairs}}} {value!r}\n" for pairs, value in lines if value is not None])
            if text:
                blocks.append(block(text))
    return {metrics[0]: tuple(first), metrics[1]: tuple(second)}


def labelled(
    blocks: Iterable[Block], name: str, values: AbstractSet[str]
) -> Iterator[tuple[Mapping[str, str], str, float]]:
    """Yield each sample in which a label has one of the values: the labels before it, which of the values, the number.

    Read from what was rendered: of a million label sets nothing else is kept, and few of them are asked for.
    """
    wanted = {value.translate(_ESCAPES).encode(): value for value in values}
    read = _Read().__getitem__
    # A quotation mark in a label is escaped, so that this begins nowhere but between two labels.
    pattern = re.compile(rb',%s="((?:[^"\\]|\\.)*)"' % name.encode())
    for plain in (block.plain for block in blocks if wanted):
        for found in pattern.finditer(plain):
            value = wanted.get(found[1])
            if value is not None:
                start, end = plain.rfind(b"\n", 0, found.start()) + 1, plain.index(b"\n", found.end())
                yield read(plain[start : found.start()]), value, float(plain[plain.rindex(b" ", 0, end) : end])


def names(partner: str, metric: Metric, named: Iterable[tuple[str, str]]) -> tuple[Block, ...]:
    """Return the sample lines of an info metric, one per id."""
    return samples(metric, (((partner, *pair), 1.0) for pair in named))


def pairs(labels: Mapping[str, str]) -> list[str]:
    """Return each label as the format writes it."""
    return [f'{name}="{value.translate(_ESCAPES)}"' for name, value in labels.items()]


class _Read(dict[bytes, Mapping[str, str]]):
    """The labels at the beginning of a sample's line, which many lines share."""

    def __missing__(self, written: bytes) -> Mapping[str, str]:
        labels = self[written] = {name: _ESCAPED.sub(_meaning, text) for name, text in _PAIR.findall(written.decode())}
        return labels


def _meaning(escape: re.Match[str]) -> str:
    return "\n" if escape[1] == "n" else escape[1]


class _Escaped(dict[str, str]):
    """Label values, escaped for the format."""

    def __missing__(self, text: str) -> str:
        escaped = self[text] = text.translate(_ESCAPES)
        return escaped


def _pairs(label_names: list[str], labels: tuple[str, ...]) -> str:
    return ",".join([f'{label}{text.translate(_ESCAPES)}"' for label, text in zip(label_names, labels, strict=True)])
