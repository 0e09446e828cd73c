"""Writes the manifest of the rules, which the Prometheus operator reads: `python deploy/build.py`.

The rules are those of prometheus/rules. With `--check` nothing is written: the status is 1 where the file is
stale.
"""

import sys
from pathlib import Path
from typing import Any

import yaml

FOLDER = Path(__file__).parent
FILE = FOLDER / "kubernetes" / "prometheusrule.yaml"
RULES = FOLDER.parent / "prometheus" / "rules"
_HEAD = "# Written by `python deploy/build.py` from prometheus/rules.\n"


def prometheus_rule() -> dict[str, Any]:
    """Return the manifest; its form: prometheus-operator.dev/docs/api-reference/api/#PrometheusRule."""
    files = [yaml.safe_load(file.read_text("utf-8")) for file in sorted(RULES.glob("*.yaml"))]
    return {
        "apiVersion": "monitoring.coreos.com/v1",
        "kind": "PrometheusRule",
        "metadata": {"name": "partnercenter-exporter"},
        "spec": {"groups": [group for file in files for group in file["groups"]]},
    }


def main() -> int:
    """Write or compare the file; 1 where it is stale."""
    content = _HEAD + yaml.safe_dump(prometheus_rule(), sort_keys=False, allow_unicode=True, width=110)
    if "--check" not in sys.argv:
        FILE.write_text(content, "utf-8")
        return 0
    fresh = FILE.exists() and FILE.read_text("utf-8") == content
    print(f"deploy/kubernetes/{FILE.name} is {'fresh' if fresh else 'stale: run python deploy/build.py'}")
    return 0 if fresh else 1


if __name__ == "__main__":
    sys.exit(main())
