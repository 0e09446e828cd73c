"""Prometheus exporter for licence usage in Microsoft Partner Center."""

import os

__version__ = "0.1.0"


def revision() -> str:
    """Return the source revision that the container build recorded."""
    return os.environ.get("PARTNERCENTER_EXPORTER_REVISION", "unknown")


def branch() -> str:
    """Return the branch that the container build recorded; HEAD for a build from a tag or commit."""
    return os.environ.get("PARTNERCENTER_EXPORTER_BRANCH", "unknown")
