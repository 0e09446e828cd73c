"""Families into the bytes of the text format, which for gauges are those of OpenMetrics too."""

import zlib
from dataclasses import dataclass

from exporter.metrics.catalogue import Metric
from exporter.metrics.families import Sample

_ESCAPES = str.maketrans({"\\": "\\\\", "\n": "\\n", '"': '\\"'})
# Level 1 costs a third of level 6 and is read once a scrape; licence data compresses well either way.
_LEVEL = 1
_RAW = -zlib.MAX_WBITS


@dataclass(frozen=True, slots=True)
class Block:
    """Ready bytes, plain and as raw deflate that ends with a full flush, so that blocks can be joined."""

    plain: bytes
    deflated: bytes


def block(text: str) -> Block:
    """Return the text as a block."""
    plain = text.encode()
    compressor = zlib.compressobj(_LEVEL, zlib.DEFLATED, _RAW)
    return Block(plain, compressor.compress(plain) + compressor.flush(zlib.Z_FULL_FLUSH))


def header(metric: Metric) -> Block:
    """Return the HELP and TYPE lines."""
    words = metric.help.replace("\\", "\\\\").replace("\n", "\\n")
    return block(f"# HELP {metric.name} {words}\n# TYPE {metric.name} {metric.kind}\n")


def samples(metric: Metric, values: list[Sample]) -> Block:
    """Return the sample lines."""
    names = [f'{name}="' for name in metric.labels]
    return block("".join(_line(metric.name, names, labels, value) for labels, value in values))


def _line(name: str, label_names: list[str], labels: tuple[str, ...], value: float) -> str:
    pairs = ",".join(
        f'{label}{text.translate(_ESCAPES)}"' for label, text in zip(label_names, labels, strict=True)
    )
    return f"{name}{{{pairs}}} {float(value)!r}\n"
