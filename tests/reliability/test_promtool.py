"""Prometheus' own parser on what hostile labels make of /metrics."""

import os
import random
import shutil
import subprocess

import pytest

from partnercenter_simulator import Fault
from tests.fixtures import deployment_item, usage_item
from tests.reliability.conftest import MakeRig
from tests.reliability.examples import NASTY

_PARSE_ERROR = 1


def random_texts(count: int) -> list[str]:
    """Return texts of any characters at all, the same ones every time."""
    rng = random.Random(7)  # noqa: S311  no secret
    planes = ((0, 0x7F), (0x80, 0x24F), (0x2000, 0x2069), (0xD800, 0xDFFF), (0xE000, 0xFFFF), (0x10000, 0x10FFFF))
    return ["".join(chr(rng.randint(*rng.choice(planes))) for _ in range(rng.randint(1, 20))) for _ in range(count)]


def test_prometheus_itself_reads_every_label_that_json_can_contain(make_rig: MakeRig) -> None:
    promtool = shutil.which("promtool")
    if promtool is None:
        assert "CI" not in os.environ, "CI must have promtool"
        pytest.skip("promtool is not installed")
    labels = [text for text in (*NASTY, *random_texts(300)) if text]
    rig = make_rig()
    for endpoint, item, key in (("usage", usage_item, "workloadName"), ("deployment", deployment_item, "serviceName")):
        rows = [item(**{key: label, "channel": labels[-index]}) for index, label in enumerate(labels, 1)]
        rig.simulator.faults.add(Fault(kind="rows", endpoint=endpoint, rows=rows))
    rig.start()
    rig.settle()
    seen = rig.see()
    assert seen.of_source("up") == 1
    assert len(seen.scrape.select("partnercenter_license_usage_ratio")) > len(labels) - 20
    checked = subprocess.run(  # noqa: S603  Prometheus' own tool
        [promtool, "check", "metrics"], input=rig.page("/metrics").encode(), capture_output=True, check=False
    )
    assert checked.returncode != _PARSE_ERROR, checked.stderr.decode()
    assert b"partnercenter" not in checked.stdout + checked.stderr
